"""Where the daemon is, and how to reach it."""

from __future__ import annotations

import os
import socket

from corten.client.error import ConnectFailed
from corten.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from corten.client.transport import Transport

DEFAULT = "unix:///run/corten/corten.sock"
_SCHEMES = ("unix", "tcp", "http", "https")


class Endpoint:
    """A daemon's address. ``url`` is as the user wrote it, ``tls`` holds the files of a TLS connection or is None."""

    __slots__ = ("host", "path", "port", "tls", "url")

    def __init__(self, url: str, path: str = "", host: str = "", port: int = 0, tls: TlsFiles | None = None) -> None:
        self.url = url
        self.path = path
        self.host = host
        self.port = port
        self.tls = tls

    def connect(self) -> Transport:
        """A new connection. ConnectFailed says where nothing answered and why."""
        try:
            return self._open()
        except PermissionError as error:
            raise ConnectFailed(
                f"permission denied while trying to connect to the Corten daemon socket at {self.url}"
            ) from error
        except OSError as error:
            reason = "" if isinstance(error, (FileNotFoundError, ConnectionRefusedError)) else f" ({error})"
            raise ConnectFailed(
                f"Cannot connect to the Corten daemon at {self.url}. Is cortend running?{reason}"
            ) from error

    def _open(self) -> Transport:
        if self.path:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(self.path)
            except BaseException:
                sock.close()
                raise
            return sock
        sock = socket.create_connection((self.host, self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is None:
            return sock
        from corten.client import tls

        return tls.wrap(sock, self.host, self.tls)


class TlsFiles:
    """The files that secure a TCP connection: CA, certificate and key; ``verify`` is False for ``--tls`` alone."""

    __slots__ = ("ca", "certificate", "key", "verify")

    def __init__(self, ca: str, certificate: str, key: str, verify: bool) -> None:
        self.ca = ca
        self.certificate = certificate
        self.key = key
        self.verify = verify


def resolve(host: str | None, environ: Mapping[str, str], tls: TlsFiles | None = None) -> Endpoint:
    """The endpoint that ``-H``, else CORTEN_HOST, else DOCKER_HOST names; else the daemon's own socket.

    ``tls`` are the files from the command line; without them DOCKER_TLS_VERIFY and DOCKER_CERT_PATH decide.
    InvalidArgument when the address cannot be understood.
    """
    url = host or environ.get("CORTEN_HOST") or environ.get("DOCKER_HOST") or DEFAULT
    scheme, found, rest = url.partition("://")
    if not found:
        scheme, rest = ("unix", url) if url.startswith("/") else ("tcp", url)
    if scheme not in _SCHEMES:
        raise InvalidArgument(f"unable to parse docker host `{url}`: unsupported protocol {scheme!r}")
    if scheme == "unix":
        if not rest:
            raise InvalidArgument(f"unable to parse docker host `{url}`")
        return Endpoint(url, path=rest)
    if tls is None and (environ.get("DOCKER_TLS_VERIFY") or scheme == "https"):
        tls = default_files(environ, verify=bool(environ.get("DOCKER_TLS_VERIFY")) or scheme == "https")
    name, port = _split_port(rest.rstrip("/"), 2376 if tls else 2375, url)
    return Endpoint(url, host=name, port=port, tls=tls)


def default_files(environ: Mapping[str, str], verify: bool) -> TlsFiles:
    """ca.pem, cert.pem and key.pem of DOCKER_CERT_PATH, else of the configuration directory."""
    home = environ.get("DOCKER_CERT_PATH") or environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    ca, cert, key = (os.path.join(home, name) for name in ("ca.pem", "cert.pem", "key.pem"))
    return TlsFiles(ca, cert, key, verify)


def _split_port(address: str, default: int, url: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = address, str(default)
    if not port.isdigit() or int(port) > 65535:
        raise InvalidArgument(f"unable to parse docker host `{url}`: invalid port")
    return host.strip("[]") or "127.0.0.1", int(port)
