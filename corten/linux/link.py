"""Network devices, addresses and routes: requests for rtnetlink(7) and their answers as values.

The ``add_*`` functions append requests to a ``Batch``; the ``find_*`` and ``list_*`` functions ask right away.
"""

import errno
import ipaddress
import socket
import struct
from dataclasses import dataclass

from corten.linux.netlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Batch,
    Refused,
    Socket,
    attr,
    attr_text,
    attr_u8,
    attr_u32,
    attributes,
    nested,
)

Address = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Host = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO = 1, 3, 4, 10, 18
IFLA_NET_NS_PID, IFLA_IFALIAS, IFLA_NET_NS_FD, IFLA_EXT_MASK = 19, 20, 28, 29
IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA = 1, 2, 4, 5
VETH_INFO_PEER = 1
IFLA_BRPORT_MODE, IFLA_BRPORT_ISOLATED = 4, 33
IFLA_BR_FORWARD_DELAY, IFLA_BR_VLAN_FILTERING = 1, 7
IFF_UP = 0x1
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_FLAGS = 1, 2, 4, 8
IFA_F_NODAD = 0x02
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_TABLE = 1, 4, 5, 15
RT_TABLE_MAIN, RTPROT_BOOT, RTPROT_STATIC, RTN_UNICAST = 254, 3, 4, 1
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK = 0, 253
LOOPBACK_INDEX = 1

_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")


@dataclass(frozen=True, slots=True)
class Link:
    """A device. ``mac`` is "" where it has none; ``kind`` is "" for hardware; ``master`` 0 for none."""

    index: int
    name: str
    flags: int
    mac: str
    mtu: int
    master: int
    alias: str
    kind: str


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", "").replace("-", ""))


def add_bridge(batch: Batch, name: str, mtu: int, alias: str, mac: str) -> None:
    """Ask for a bridge device. Its own MAC is set so that it does not change as ports come and go."""
    data = attr_u32(IFLA_BR_FORWARD_DELAY, 0)
    parts = (
        attr_text(IFLA_IFNAME, name),
        attr_u32(IFLA_MTU, mtu) if mtu else b"",
        attr(IFLA_ADDRESS, mac_bytes(mac)),
        nested(IFLA_LINKINFO, attr_text(IFLA_INFO_KIND, "bridge"), nested(IFLA_INFO_DATA, data)),
    )
    payload = _IFINFO.pack(0, 0, 0, 0, 0) + b"".join(parts)
    batch.add(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, payload, f"creating bridge {name}")
    payload = _IFINFO.pack(0, 0, 0, 0, 0) + attr_text(IFLA_IFNAME, name) + attr_text(IFLA_IFALIAS, alias)
    batch.add(RTM_SETLINK, 0, payload, f"marking bridge {name}")


def add_veth(batch: Batch, name: str, peer: str, *, peer_ns: int, peer_mac: str, mtu: int, master: int) -> None:
    """Ask for a veth pair: *name* here, up, as a port of *master*; *peer*, still down, in the namespace of *peer_ns*.

    veth refuses to come up before it knows its other end, so the peer has to be brought up by a second request.
    """
    size = attr_u32(IFLA_MTU, mtu) if mtu else b""
    other = (
        _IFINFO.pack(0, 0, 0, 0, 0)
        + attr_text(IFLA_IFNAME, peer)
        + attr(IFLA_ADDRESS, mac_bytes(peer_mac))
        + attr_u32(IFLA_NET_NS_FD, peer_ns)
        + size
    )
    info = nested(
        IFLA_LINKINFO, attr_text(IFLA_INFO_KIND, "veth"), nested(IFLA_INFO_DATA, nested(VETH_INFO_PEER, other))
    )
    here = _IFINFO.pack(0, 0, 0, IFF_UP, IFF_UP) + attr_text(IFLA_IFNAME, name) + size
    payload = here + (attr_u32(IFLA_MASTER, master) if master else b"") + info
    batch.add(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, payload, f"creating veth pair {name}")


def add_port_options(batch: Batch, name: str, *, hairpin: bool, isolated: bool) -> None:
    """Set what a bridge port may do: send a frame back out where it came in; reach no other isolated port."""
    data = attr_u8(IFLA_BRPORT_MODE, hairpin) + attr_u8(IFLA_BRPORT_ISOLATED, isolated)
    info = nested(IFLA_LINKINFO, attr_text(IFLA_INFO_SLAVE_KIND, "bridge"), nested(IFLA_INFO_SLAVE_DATA, data))
    payload = _IFINFO.pack(0, 0, 0, 0, 0) + attr_text(IFLA_IFNAME, name) + info
    batch.add(RTM_NEWLINK, 0, payload, f"setting options of port {name}")


def add_up(batch: Batch, index: int, mtu: int = 0) -> None:
    payload = _IFINFO.pack(0, 0, index, IFF_UP, IFF_UP) + (attr_u32(IFLA_MTU, mtu) if mtu else b"")
    batch.add(RTM_NEWLINK, 0, payload, f"bringing up device {index}")


def add_delete_link(batch: Batch, name: str) -> None:
    """Delete a device; one that is gone already is no failure."""
    payload = _IFINFO.pack(0, 0, 0, 0, 0) + attr_text(IFLA_IFNAME, name)
    batch.add(RTM_DELLINK, 0, payload, f"deleting device {name}", (errno.ENODEV,))


def add_address(batch: Batch, index: int, address: Address) -> None:
    """Give a device an address. No duplicate address detection: it would hold the address back for a second."""
    packed, flags = address.ip.packed, IFA_F_NODAD if address.version == 6 else 0
    parts = attr(IFA_LOCAL, packed) + attr(IFA_ADDRESS, packed) + attr_u32(IFA_FLAGS, flags)
    if address.version == 4 and address.network.prefixlen < 31:
        parts += attr(IFA_BROADCAST, address.network.broadcast_address.packed)
    payload = _IFADDR.pack(_family(address), address.network.prefixlen, flags, 0, index) + parts
    what = f"adding address {address} to device {index}"
    batch.add(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, payload, what, (errno.EEXIST,))


def add_delete_address(batch: Batch, index: int, address: Address) -> None:
    payload = _IFADDR.pack(_family(address), address.network.prefixlen, 0, 0, index)
    payload += attr(IFA_LOCAL, address.ip.packed) + attr(IFA_ADDRESS, address.ip.packed)
    batch.add(RTM_DELADDR, 0, payload, f"removing address {address}", (errno.EADDRNOTAVAIL,))


def add_default_route(batch: Batch, index: int, gateway: Host) -> None:
    """A default route through *gateway* on device *index*; the gateway need not be in the device's subnet."""
    family = socket.AF_INET if gateway.version == 4 else socket.AF_INET6
    payload = _ROUTE.pack(family, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST, 0)
    payload += attr_u32(RTA_OIF, index) + attr(RTA_GATEWAY, gateway.packed)
    batch.add(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, payload, f"adding the default route by {gateway}")


def _family(address: Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def find_link(link_socket: Socket, name: str) -> Link | None:
    """The device of that name, or None."""
    try:
        body = link_socket.get(
            RTM_GETLINK, _IFINFO.pack(0, 0, 0, 0, 0) + attr_text(IFLA_IFNAME, name), f"device {name}"
        )
    except Refused as error:
        if error.errno == errno.ENODEV:
            return None
        raise
    return _link(body)


def list_links(link_socket: Socket) -> list[Link]:
    return [_link(body) for body in link_socket.dump(RTM_GETLINK, _IFINFO.pack(0, 0, 0, 0, 0), "listing devices")]


def list_addresses(link_socket: Socket) -> list[tuple[int, Address]]:
    """Every (device index, address) of the namespace."""
    found: list[tuple[int, Address]] = []
    for body in link_socket.dump(RTM_GETADDR, _IFADDR.pack(0, 0, 0, 0, 0), "listing addresses"):
        _, prefix, _, _, index = _IFADDR.unpack_from(body)
        values = attributes(body, _IFADDR.size)
        packed = values.get(IFA_LOCAL) or values.get(IFA_ADDRESS)
        if packed:
            found.append((index, ipaddress.ip_interface((packed, prefix))))
    return found


def list_routes(link_socket: Socket) -> list[tuple[int, Network]]:
    """Every (device index, destination) of the main table, default routes left out."""
    found: list[tuple[int, Network]] = []
    for body in link_socket.dump(RTM_GETROUTE, _ROUTE.pack(*[0] * 9), "listing routes"):
        _, prefix, _, _, table, _, _, _, _ = _ROUTE.unpack_from(body)
        values = attributes(body, _ROUTE.size)
        if RTA_TABLE in values:
            table = struct.unpack("=I", values[RTA_TABLE])[0]
        if table == RT_TABLE_MAIN and RTA_DST in values:
            found.append((_number(values.get(RTA_OIF)), ipaddress.ip_network((values[RTA_DST], prefix), strict=False)))
    return found


def _link(body: bytes) -> Link:
    _, _, index, flags, _ = _IFINFO.unpack_from(body)
    values = attributes(body, _IFINFO.size)
    info = attributes(values.get(IFLA_LINKINFO, b""))
    return Link(
        index=index,
        name=_text(values.get(IFLA_IFNAME, b"")),
        flags=flags,
        mac=values.get(IFLA_ADDRESS, b"").hex(":"),
        mtu=_number(values.get(IFLA_MTU)),
        master=_number(values.get(IFLA_MASTER)),
        alias=_text(values.get(IFLA_IFALIAS, b"")),
        kind=_text(info.get(IFLA_INFO_KIND, b"")),
    )


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")


def _number(value: bytes | None) -> int:
    return int(struct.unpack("=I", value)[0]) if value else 0
