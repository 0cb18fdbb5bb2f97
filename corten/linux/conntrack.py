"""Connections that the kernel remembers (linux/netfilter/nfnetlink_conntrack.h): forgetting some of them.

A remembered UDP conversation goes on to where it went first, for as long as its client keeps sending: to the address of
a container that is gone, or past a port that was published later.
"""

import errno
import ipaddress
import socket
import struct
from collections.abc import Callable, Collection, Iterable

from corten.linux.netlink import NLA_F_NESTED, Batch, Socket, attr, attr_u32, attributes, nested

Host = ipaddress.IPv4Address | ipaddress.IPv6Address

_SUBSYSTEM = 1 << 8
_GET, _DELETE = _SUBSYSTEM | 1, _SUBSYSTEM | 2
_TUPLE_ORIGINAL, _TUPLE_REPLY, _ID, _FILTER = 1, 2, 12, 25
_FILTER_ORIGINAL, _FILTER_REPLY = 1, 2
_F_IP_SOURCE, _F_PROTOCOL = 1 << 0, 1 << 3
_IP, _PROTOCOL = 1, 2
_V4_SOURCE, _V6_SOURCE = 1, 3
_NUMBER, _DESTINATION_PORT = 1, 3
_NFGENMSG = struct.Struct("=BBH")


def forget_addresses(conntrack: Socket, addresses: Iterable[Host]) -> None:
    """Forget every connection that one of *addresses* answers. *conntrack* is a netfilter socket."""
    for address in addresses:
        _forget_address(conntrack, address)


def _forget_address(conntrack: Socket, address: Host) -> None:
    kind = _V4_SOURCE if address.version == 4 else _V6_SOURCE
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    answer = nested(_TUPLE_REPLY, nested(_IP, attr(kind, address.packed)))
    chosen = nested(_FILTER, attr_u32(_FILTER_ORIGINAL, 0), attr_u32(_FILTER_REPLY, _F_IP_SOURCE))
    _forget(conntrack, family, answer + chosen, lambda values: _ip(values, _TUPLE_REPLY).get(kind) == address.packed)


def forget_udp_ports(conntrack: Socket, ports: Collection[int]) -> None:
    """Forget every UDP conversation, over IPv4 and IPv6, whose client sends to one of *ports*."""
    wanted = {struct.pack("!H", port) for port in ports}
    udp = bytes((socket.IPPROTO_UDP,))
    original = nested(_TUPLE_ORIGINAL, nested(_PROTOCOL, attr(_NUMBER, udp)))
    chosen = nested(_FILTER, attr_u32(_FILTER_ORIGINAL, _F_PROTOCOL), attr_u32(_FILTER_REPLY, 0))

    def matches(values: dict[int, bytes]) -> bool:
        found = attributes(attributes(values.get(_TUPLE_ORIGINAL, b"")).get(_PROTOCOL, b""))
        return found.get(_NUMBER) == udp and found.get(_DESTINATION_PORT) in wanted

    for family in (socket.AF_INET, socket.AF_INET6):
        _forget(conntrack, family, original + chosen, matches)


def _forget(conntrack: Socket, family: int, wanted: bytes, matches: Callable[[dict[int, bytes]], bool]) -> None:
    """Delete what the kernel finds for *wanted*; *matches* looks again, for kernels before 5.8 that find everything."""
    header = _NFGENMSG.pack(family, 0, 0)
    batch = Batch()
    for body in conntrack.dump(_GET, header + wanted, "listing connections"):
        values = attributes(body, _NFGENMSG.size)
        if matches(values):
            original = attr(_TUPLE_ORIGINAL | NLA_F_NESTED, values[_TUPLE_ORIGINAL])
            identity = attr(_ID, values[_ID]) if _ID in values else b""
            batch.add(_DELETE, 0, header + original + identity, "forgetting a connection", (errno.ENOENT,))
    for part in batch.split(256):
        conntrack.run(part)


def _ip(values: dict[int, bytes], direction: int) -> dict[int, bytes]:
    return attributes(attributes(values.get(direction, b"")).get(_IP, b""))
