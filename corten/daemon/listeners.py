"""The sockets that cortend listens on: unix, inherited from systemd, and TCP behind client certificates."""

import errno
import grp
import logging
import os
import socket
import ssl
import stat
from typing import NamedTuple

from corten import errors
from corten.daemon import systemd
from corten.daemon.config import DEFAULT_SOCKET, Config

BACKLOG = 512
TLS_PORT = 2376
PLAIN_PORT = 2375

log = logging.getLogger(__name__)


class Listener(NamedTuple):
    """A listening socket, the TLS settings for its connections (None: plain) and its address for messages."""

    socket: socket.socket
    tls: ssl.SSLContext | None
    address: str


class Listeners:
    """All listening sockets of a daemon. ``close`` removes the unix sockets that it made."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self._paths: list[tuple[str, os.stat_result]] = []

    @classmethod
    def open(cls, config: Config) -> "Listeners":
        """Open everything that ``config.hosts`` names, or nothing: errors close what was opened."""
        result = cls()
        try:
            for host in config.hosts:
                result._open_host(host, config)
        except BaseException:
            result.close()
            raise
        return result

    def close(self) -> None:
        """Close the sockets and remove their files; may be called twice."""
        for listener in self.listeners:
            listener.socket.close()
        self.listeners.clear()
        for path, made in self._paths:
            try:
                if os.path.samestat(os.lstat(path), made):
                    os.unlink(path)
            except FileNotFoundError:
                continue
        self._paths.clear()

    def _open_host(self, host: str, config: Config) -> None:
        scheme, _, rest = host.partition("://")
        if scheme == "unix":
            self._open_unix(rest or DEFAULT_SOCKET.removeprefix("unix://"), config.group)
        elif scheme == "fd":
            self._take_inherited(rest, config)
        else:
            self._open_tcp(rest, host, config)

    def _open_unix(self, path: str, group: str) -> None:
        _remove_stale(path)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            try:
                listener.bind(path)
                self._paths.append((path, os.lstat(path)))
                # Nobody can connect before listen, so the socket is never open to more than it should be.
                os.chown(path, 0 if os.geteuid() == 0 else -1, _group_id(group))
                os.chmod(path, 0o660)
                listener.listen(BACKLOG)
            except BaseException:
                listener.close()
                raise
        except OSError as error:
            raise errors.System(f"can't create unix socket {path}: {error.strerror or error}") from error
        self.listeners.append(Listener(listener, None, f"unix://{path}"))

    def _take_inherited(self, wanted: str, config: Config) -> None:
        found = systemd.inherited_sockets()
        if wanted not in ("", "*"):
            found = [(name, listener) for name, listener in found if wanted in (name, str(listener.fileno()))]
        if not found:
            raise errors.InvalidArgument(
                "no sockets found via socket activation: make sure the service was started by systemd"
            )
        for name, listener in found:
            tls = None if listener.family == socket.AF_UNIX else _tls_context(config, f"fd://{name}")
            self.listeners.append(Listener(listener, tls, f"fd://{name or listener.fileno()}"))

    def _open_tcp(self, rest: str, host: str, config: Config) -> None:
        tls = _tls_context(config, host)
        name, port = _host_and_port(rest.rstrip("/"), host, TLS_PORT if tls else PLAIN_PORT)
        try:
            addresses = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, _, _, _, address = addresses[0]
            listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
        except OSError as error:
            raise errors.System(f"can't listen on {host}: {error.strerror or error}") from error
        self.listeners.append(Listener(listener, tls, host))


def _host_and_port(text: str, host: str, default: int) -> tuple[str, int]:
    name, colon, port = text.rpartition(":")
    if not colon or "]" in port:
        name, port = text, str(default)
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise errors.InvalidArgument(f"invalid bind address ({host}): invalid port")
    return name.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)


def _tls_context(config: Config, host: str) -> ssl.SSLContext | None:
    """TLS settings for a TCP listener; None only if the user insists on an open door."""
    if not config.tlsverify and not config.insecure_tcp:
        raise errors.InvalidArgument(
            f"refusing to listen on {host} without client certificates, as whoever reaches it is root on this host: "
            "use --tlsverify with --tlscacert, --tlscert and --tlskey, or say --insecure-tcp"
        )
    if not config.tlsverify and not config.tls:
        log.warning("%s is open to everybody who can reach it: whoever does is root on this host", host)
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(config.tlscert, config.tlskey)
        if config.tlsverify:
            context.load_verify_locations(config.tlscacert)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:  # ssl.SSLError is one
        files = f"{config.tlscacert}, {config.tlscert}, {config.tlskey}"
        raise errors.InvalidArgument(f"invalid TLS configuration ({files}): {error}") from error
    return context


def _remove_stale(path: str) -> None:
    """Remove the socket that a killed daemon left at *path*; Conflict if a living one answers there."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise errors.Conflict(f"can't create unix socket {path}: a file that is no socket is in the way")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.settimeout(2)
        code = probe.connect_ex(path)
    if code not in (errno.ECONNREFUSED, errno.ENOENT):
        raise errors.Conflict(f"can't create unix socket {path}: another process is listening on it")
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _group_id(group: str) -> int:
    """The group's id; the default group may be missing, then the socket stays root's."""
    if not group or group.isdigit():
        return int(group or 0)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        if group != Config().group:
            raise errors.InvalidArgument(f"could not change group of the socket: group {group} not found") from None
        log.warning("group %s does not exist: only root can use the socket", group)
        return os.getegid()
