"""Host ports: which are ours, kept by sockets that are bound and never used.

The firewall sends packets on before any socket sees them; the socket is there so that no other process takes the port
and so that the kernel refuses one that another process has. IPv6 sockets listen, for the relay that answers on [::1].
"""

import ctypes
import errno
import logging
import os
import socket
import struct
import threading
from dataclasses import dataclass

from corten import errors
from corten.linux import sysctl
from corten.network.portspec import Wanted

log = logging.getLogger(__name__)

SO_ATTACH_FILTER = 26
_DEFAULT_RANGE = (32768, 60999)
_KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_LACKS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
BACKLOG = 128
_DROP = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0), 8)
"""One instruction of classic BPF, "return 0" (linux/filter.h): accept no byte of any packet."""


class PortTaken(errors.System):
    """The port cannot be had. ``ours`` if another container of this daemon has it."""

    def __init__(self, text: str, *, ours: bool = False) -> None:
        super().__init__(text)
        self.ours = ours


@dataclass(frozen=True, slots=True)
class Held:
    """A port that is ours on one address. ``socket`` is None where the kernel has no such protocol for sockets, or
    where another process was faster at the daemon's restart."""

    protocol: str
    host_ip: str
    port: int
    socket: socket.socket | None


class Ports:
    """The host ports of this daemon. Safe for use by several threads."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, int], dict[str, Held]] = {}
        self._lock = threading.Lock()
        words = sysctl.read("net/ipv4/ip_local_port_range").split()
        self._low, self._high = (int(words[0]), int(words[1])) if len(words) == 2 else _DEFAULT_RANGE
        self._next = self._low

    def reserve(self, wanted: Wanted, target: str) -> list[Held]:
        """Take one port number on all the addresses that *wanted* names. *target* is named in ``PortTaken``."""
        with self._lock:
            if not wanted.low:
                return self._reserve_any(wanted, target)
            failure: PortTaken | None = None
            for port in range(wanted.low, wanted.high + 1):
                try:
                    return self._reserve_port(wanted, port, target)
                except PortTaken as error:
                    failure = failure or error
            raise failure or PortTaken("all ports are allocated")

    def _reserve_any(self, wanted: Wanted, target: str) -> list[Held]:
        for _ in range(self._low, self._high + 1):
            port = self._next
            self._next = port + 1 if port < self._high else self._low
            try:
                return self._reserve_port(wanted, port, target)
            except PortTaken:
                continue
        raise PortTaken("all ports are allocated")

    def _reserve_port(self, wanted: Wanted, port: int, target: str) -> list[Held]:
        taken: list[Held] = []
        try:
            for host_ip in wanted.host_ips:
                held = self._bind(wanted.protocol, host_ip, port, f"{target}:{wanted.port}")
                taken.append(held)  # one by one: what is taken already must be given back when the next one fails
        except (PortTaken, errors.Exhausted):
            self._release(taken)
            raise
        return taken

    def _bind(self, protocol: str, host_ip: str, port: int, target: str) -> Held:
        others = self._held.setdefault((protocol, port), {})
        if any(_overlap(host_ip, other) for other in others):
            raise PortTaken(f"Bind for {host_ip}:{port} failed: port is already allocated", ours=True)
        try:
            held = Held(protocol, host_ip, port, hold(protocol, host_ip, port))
        except OSError as error:
            if not others:
                del self._held[(protocol, port)]
            where = f"[{host_ip}]:{port}" if ":" in host_ip else f"{host_ip}:{port}"
            reason = os.strerror(error.errno or 0).lower()
            if error.errno in _LACKS:  # another port will not help
                raise errors.Exhausted(f"failed to bind host port for {where}:{target}/{protocol}: {reason}") from error
            raise PortTaken(f"failed to bind host port for {where}:{target}/{protocol}: {reason}") from error
        others[host_ip] = held
        return held

    def adopt(self, protocol: str, host_ip: str, port: int) -> Held:
        """Take back a port of a container that ran on while the daemon was away.

        Also one that another process has bound meanwhile: its rule is in force, so no other container may get it.
        ``PortTaken`` when one has it already.
        """
        with self._lock:
            try:
                return self._bind(protocol, host_ip, port, "")
            except (PortTaken, errors.Exhausted) as error:
                if isinstance(error, PortTaken) and error.ours:
                    raise
                log.warning("network: %s; it is kept all the same", error)
            held = Held(protocol, host_ip, port, None)
            self._held.setdefault((protocol, port), {})[host_ip] = held
            return held

    def release(self, held: list[Held]) -> None:
        with self._lock:
            self._release(held)

    def _release(self, held: list[Held]) -> None:
        for item in held:
            others = self._held.get((item.protocol, item.port), {})
            others.pop(item.host_ip, None)
            if not others:
                self._held.pop((item.protocol, item.port), None)
            if item.socket is not None:
                item.socket.close()

    def close(self) -> None:
        with self._lock:
            for others in list(self._held.values()):
                self._release(list(others.values()))


def hold(protocol: str, host_ip: str, port: int) -> socket.socket | None:
    """A socket bound to that port. Raises ``OSError``."""
    kind, number = _KINDS[protocol]
    version6 = ":" in host_ip
    family = socket.AF_INET6 if version6 else socket.AF_INET
    relayed = version6 and protocol == "tcp"
    try:
        return _bound(family, kind, number, host_ip, port, listen=relayed)
    except OSError as error:
        if error.errno == errno.EPROTONOSUPPORT:
            return None
        if error.errno != errno.EADDRINUSE or protocol != "tcp" or relayed:
            raise
    # Old connections that linger in TIME_WAIT refuse a bind without SO_REUSEADDR; a listener refuses it with, too.
    return _bound(family, kind, number, host_ip, port, listen=True)


def _bound(family: int, kind: int, number: int, host_ip: str, port: int, *, listen: bool) -> socket.socket:
    held = socket.socket(family, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, number)
    try:
        if family == socket.AF_INET6:
            held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        else:
            _deafen(held)
        if listen:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host_ip, port))
        if listen:
            held.listen(BACKLOG)
    except OSError:
        held.close()
        raise
    return held


def _deafen(held: socket.socket) -> None:
    """Let the socket drop every packet (socket(7), SO_ATTACH_FILTER): it must not answer for a container."""
    held.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", 1, ctypes.addressof(_DROP)))


def _overlap(one: str, other: str) -> bool:
    if (":" in one) != (":" in other):
        return False
    return one == other or one in ("0.0.0.0", "::") or other in ("0.0.0.0", "::")
