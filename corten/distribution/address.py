"""Which addresses a request may go to.

The user names a registry, and the registry names further servers: token realms, places of blobs and uploads, next
pages. Those must not lead further inward than the registry itself stands, or a public registry could make the daemon
knock at the doors of the host and its network. Checked with the address that is connected to, so that a name server
that changes its mind gains nothing.
"""

import enum
import ipaddress
from typing import NamedTuple

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Zone(enum.IntEnum):
    """From outside to inside. ``NEVER`` is for what no name may lead to: link-local, metadata services, multicast."""

    PUBLIC = 0
    PRIVATE = 1
    LOOPBACK = 2
    NEVER = 3


_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254")
)
"""Where clouds tell a machine its own secrets; some are not link-local."""
_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15", "fc00::/7")
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")


def parse(text: str) -> Address | None:
    """The address that *text* is, brackets and zone index allowed; None for a name."""
    try:
        return ipaddress.ip_address(text.removeprefix("[").removesuffix("]").split("%", 1)[0])
    except ValueError:
        return None


def zone_of(address: Address) -> Zone:
    """The zone of an address; of an IPv4 address inside an IPv6 one that of the former."""
    inner = _embedded(address)
    if inner is not None:
        return zone_of(inner)
    if address in _METADATA:
        return Zone.NEVER
    if address.is_loopback:
        return Zone.LOOPBACK
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return Zone.NEVER
    if any(address in network for network in _PRIVATE if network.version == address.version):
        return Zone.PRIVATE
    if isinstance(address, ipaddress.IPv6Address) and (address.is_site_local or address in _NAT64_LOCAL):
        return Zone.PRIVATE
    return Zone.PUBLIC if address.is_global else Zone.NEVER


def _embedded(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):  # the latter: "IPv4-compatible"
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour


class Reach(NamedTuple):
    """How far inward a connection may go. ``networks``, when there are any, are the only ones allowed: the trust in a
    registry without TLS checks was given to them. ``named``: the address itself is what the user wrote."""

    zone: Zone
    networks: tuple[Network, ...] = ()
    named: bool = False

    def admits(self, address: Address) -> bool:
        if self.named:
            return True
        zone = zone_of(address)
        if zone is Zone.NEVER or zone > self.zone:
            return False
        return not self.networks or contains(self.networks, address)


def contains(networks: tuple[Network, ...], address: Address) -> bool:
    inner = _embedded(address)
    found = [address] if inner is None else [address, inner]
    return any(each in network for each in found for network in networks if network.version == each.version)
