"""Address pools: which address of a subnet is free.

Addresses are handed out in turn and not lowest first: an address that was just given back is the last to be used
again, so that nobody's neighbour table or open connection reaches the next owner. What is in use is written in the
containers' records; ``take`` puts it back after a restart.
"""

import ipaddress
import threading
from collections.abc import Iterable

from corten import errors

Host = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

CANDIDATES: tuple[str, ...] = (
    "172.30.0.0/16",
    "172.29.0.0/16",
    "172.28.0.0/16",
    "172.27.0.0/16",
    "172.26.0.0/16",
    "172.25.0.0/16",
    "172.24.0.0/16",
    *(f"192.168.{third}.0/20" for third in range(240, -1, -16)),
    "10.213.0.0/16",
    "10.214.0.0/16",
)
"""Subnets to choose from. 172.17 to 172.23 are left to other engines, which start at the low end."""


class Pool:
    """The addresses of one subnet, or of *part* of it, without its gateway. Safe for use by several threads."""

    def __init__(self, subnet: Network, gateway: Host, part: Network | None = None, taken: Iterable[Host] = ()) -> None:
        if gateway not in subnet:
            raise errors.InvalidArgument(f"gateway {gateway} is not in subnet {subnet}")
        if part is not None and (part.version != subnet.version or not part.subnet_of(subnet)):  # type: ignore[arg-type]
            raise errors.InvalidArgument(f"address range {part} is not in subnet {subnet}")
        self.subnet, self.gateway = subnet, gateway
        area = part or subnet
        self._first, self._last = int(area.network_address), int(area.broadcast_address)
        self._used = {int(gateway), *(int(address) for address in taken)}
        if subnet.prefixlen < subnet.max_prefixlen - 1:
            self._used.add(int(subnet.network_address))
            if subnet.version == 4:
                self._used.add(int(subnet.broadcast_address))
        self._next = self._first
        self._make = ipaddress.IPv4Address if subnet.version == 4 else ipaddress.IPv6Address
        self._lock = threading.Lock()

    def allocate(self) -> Host:
        """The next free address. Raises ``errors.Exhausted``."""
        with self._lock:
            start = self._next
            for low, high in ((start, self._last), (self._first, start - 1)):
                for number in range(low, high + 1):
                    if number not in self._used:
                        self._used.add(number)
                        self._next = number + 1 if number < self._last else self._first
                        return self._make(number)
        raise errors.Exhausted(f"no available IPv{self.subnet.version} addresses on this network's address pools")

    def take(self, address: Host) -> None:
        """Claim this very address. Raises ``errors.Conflict`` if it is in use, ``errors.InvalidArgument`` outside."""
        if address not in self.subnet:
            raise errors.InvalidArgument(f"no configured subnet contains IP address {address}")
        with self._lock:
            if int(address) in self._used:
                raise errors.Conflict("Address already in use")
            self._used.add(int(address))
            if self._first <= int(address) < self._last and int(address) >= self._next:
                self._next = int(address) + 1

    def release(self, address: Host) -> None:
        if address != self.gateway:
            with self._lock:
                self._used.discard(int(address))


def first_free(candidates: Iterable[str], occupied: Iterable[Network]) -> ipaddress.IPv4Network:
    """The first candidate that overlaps nothing of *occupied*. Raises ``errors.Exhausted``."""
    taken = [network for network in occupied if isinstance(network, ipaddress.IPv4Network)]
    for text in candidates:
        candidate = ipaddress.IPv4Network(text)
        if not any(candidate.overlaps(network) for network in taken):
            return candidate
    raise errors.Exhausted("could not find an available, non-overlapping IPv4 address pool among the defaults")
