"""The firewall: one nftables table per daemon.

The rules depend on the networks alone; a container adds nothing but elements of maps, one for each published port, so
a container without ports costs nothing here and the rules' number does not grow. What the table says:

- published ports: packets to an address of this host are sent on to the container (prerouting, and output for the
  host's own, loopback included);
- outgoing: containers leave with the host's address; so do the host's own packets from 127.0.0.1 and a container's to
  a published port of its own network, since the answer must come back the same way;
- forward: into a bridge only what belongs to a known connection or was sent on by a published port. What somebody
  routes straight to a container's address is dropped;
- where Corten switched the host's forwarding on, the devices of before do not forward to each other;
- guard: loopback addresses that arrive from outside are dropped before the first rule could send them on.

An ``accept`` here ends this table's chain alone; a rule of the administrator's that drops still drops.
"""

import ipaddress
import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from corten import errors
from corten.linux.nftables import Missing, Nftables
from corten.network.neighbour import Neighbour
from corten.network.portspec import Published

_DEVICE = re.compile(r"[A-Za-z0-9_.@-]{1,15}")


@dataclass(frozen=True, slots=True)
class Zone:
    """A bridge as the firewall sees it. ``masquerade``: its containers leave with the host's address."""

    device: str
    subnets: tuple[str, ...]
    icc: bool = True
    masquerade: bool = True


class Firewall:
    """This daemon's table. Safe for use by several threads; every change is one transaction."""

    def __init__(self, owner: str, *, enabled: bool = True) -> None:
        """*enabled* False leaves the host's firewall alone; publishing a port is refused then."""
        self.table = f"corten_{owner}"
        self._enabled = enabled
        self._library: Nftables | None = None
        self._zones: dict[str, Zone] = {}
        self._apart: tuple[str, ...] = ()
        self._published: dict[str, list[Published]] = {}
        self._lock = threading.Lock()

    @property
    def _nft(self) -> Nftables:
        """Loaded when it is first needed: a daemon that leaves the firewall alone can do without the library."""
        if self._library is None:
            self._library = Nftables()
        return self._library

    def keep_apart(self, devices: Iterable[str]) -> None:
        """Let none of *devices* forward to another; takes effect with the next ``reset``."""
        with self._lock:
            self._apart = tuple(device for device in devices if _DEVICE.fullmatch(device))

    def add_zone(self, zone: Zone) -> None:
        """Declare a bridge; takes effect with the next ``reset``."""
        if not _DEVICE.fullmatch(zone.device):
            raise errors.InvalidArgument(f"invalid device name: {zone.device!r}")
        with self._lock:
            self._zones[zone.device] = zone

    def remove_zone(self, device: str) -> None:
        with self._lock:
            self._zones.pop(device, None)

    def exists(self) -> bool:
        return bool(self._nft.query(f"list table inet {self.table}"))

    def reset(self) -> None:
        """Put the whole table in place, whatever is there now, in one transaction."""
        if not self._enabled:
            return
        with self._lock:
            self._reset()

    def _reset(self) -> None:
        # "add" first, so that "delete" finds a table in any case.
        lines = [f"add table inet {self.table}", f"delete table inet {self.table}"]
        if self._zones:
            lines.append(ruleset(self.table, self._zones.values(), self._apart))
            lines += self._elements("add", [item for items in self._published.values() for item in items])
        self._nft.run("\n".join(lines))

    def publish(self, endpoint_id: str, ports: list[Published]) -> None:
        """Send *ports* on to their container from now on."""
        if not ports:
            return
        if not self._enabled:
            raise errors.NotSupported("a port cannot be published while the daemon runs with iptables=false")
        with self._lock:
            self._published[endpoint_id] = ports
            try:
                self._nft.run("\n".join(self._elements("add", ports)))
            except Missing:
                self._reset()
            except errors.System:
                del self._published[endpoint_id]
                raise

    def unpublish(self, endpoint_id: str) -> None:
        """Stop sending an endpoint's ports on; one that has none is no failure."""
        with self._lock:
            ports = self._published.pop(endpoint_id, None)
            if not ports:
                return
            try:
                self._nft.run("\n".join(self._elements("delete", ports)))
            except Missing:
                self._reset()

    def adopt(self, endpoint_id: str, ports: list[Published]) -> None:
        """Remember ports that the kernel may still send on; ``reset`` makes it so."""
        if ports:
            with self._lock:
                self._published[endpoint_id] = ports

    def is_intact(self) -> bool:
        """Whether every chain, rule and element that belongs into the table is there."""
        with self._lock:
            if not (self._zones and self._enabled):
                return True
            found = self._nft.query(f"list table inet {self.table}")
            rules = sum("rule" in item for item in found)
            chains = sum("chain" in item for item in found)
            elements = sum(len(item["map"].get("elem", ())) for item in found if "map" in item)
            text = ruleset(self.table, self._zones.values(), self._apart)
            wanted_rules, wanted_chains = count(text)
            wanted_elements = sum(item.target != "" for items in self._published.values() for item in items)
            return (rules, chains, elements) == (wanted_rules, wanted_chains, wanted_elements)

    def settle(self) -> bool:
        """See that other engines' rules let our bridges pass; whether something had to be changed."""
        if not self._enabled:
            return False
        with self._lock:
            return Neighbour(self._nft, self.table).settle(sorted(self._zones))

    def remove(self) -> None:
        """Take the table away."""
        if not self._enabled:
            return
        with self._lock:
            Neighbour(self._nft, self.table).leave()
            self._nft.run(f"add table inet {self.table}\ndelete table inet {self.table}")

    def close(self) -> None:
        library, self._library = self._library, None
        if library is not None:
            library.close()

    def _elements(self, verb: str, ports: Iterable[Published]) -> list[str]:
        maps: dict[str, list[str]] = {}
        for item in ports:
            if item.target:
                name, element = _element(item)
                maps.setdefault(name, []).append(element)
        return [f"{verb} element inet {self.table} {name} {{ {', '.join(each)} }}" for name, each in maps.items()]


def _element(item: Published) -> tuple[str, str]:
    """The map and the element for one port."""
    address = ipaddress.ip_address(item.host_ip)
    host = "" if address.is_unspecified else f"{address} . "
    name = f"{'any' if address.is_unspecified else 'host'}{address.version}"
    return name, f"{host}{item.protocol} . {item.host_port} : {item.target} . {item.port}"


def count(text: str) -> tuple[int, int]:
    """How many rules and chains a ruleset of ours has: a rule is a line that ends in its verdict."""
    lines = [line.strip() for line in text.splitlines()]
    rules = sum(line.startswith(_RULE_STARTS) for line in lines)
    return rules, sum(line.startswith("chain ") for line in lines)


_RULE_STARTS = ("meta ", "iifname ", "oifname ", "fib ", "ct ", "ip6 ", "ip ")


def ruleset(table: str, zones: Iterable[Zone], apart: Sequence[str] = ()) -> str:
    """The table as text, one rule a line, without elements. Devices of *apart* do not forward to each other."""
    outgoing: list[str] = []
    forward: list[str] = []
    if apart:
        names = "{ " + ", ".join(f'"{device}"' for device in apart) + " }"
        forward.append(f"iifname {names} oifname {names} drop")
    for zone in zones:
        device = f'"{zone.device}"'
        outgoing.append(f"oifname {device} ip saddr 127.0.0.0/8 masquerade")
        for subnet in zone.subnets:
            family = "ip6" if ":" in subnet else "ip"
            outgoing.append(f"oifname {device} {family} saddr {subnet} ct status dnat masquerade")
            if zone.masquerade:
                outgoing.append(f"oifname != {device} {family} saddr {subnet} masquerade")
        if zone.icc:
            forward.append(f"iifname {device} oifname {device} accept")
        forward.append(f"oifname {device} ct status dnat accept")
        forward.append(f"oifname {device} drop")
    return _TEMPLATE.format(table=table, outgoing="\n".join(outgoing), forward="\n".join(forward))


_TEMPLATE = """
table inet {table} {{
  map host4 {{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }}
  map any4 {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
  map host6 {{ type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }}
  map any6 {{ type inet_proto . inet_service : ipv6_addr . inet_service; }}
  chain published {{
    meta nfproto ipv4 dnat ip to ip daddr . meta l4proto . th dport map @host4
    meta nfproto ipv4 dnat ip to meta l4proto . th dport map @any4
    meta nfproto ipv6 dnat ip6 to ip6 daddr . meta l4proto . th dport map @host6
    meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @any6
  }}
  chain guard {{
    type filter hook prerouting priority raw; policy accept;
    iifname != "lo" ip daddr 127.0.0.0/8 drop
    iifname != "lo" ip saddr 127.0.0.0/8 drop
    iifname != "lo" ip6 daddr ::1 drop
  }}
  chain incoming {{
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local jump published
  }}
  chain local {{
    type nat hook output priority -100; policy accept;
    ip6 daddr ::1 return
    fib daddr type local jump published
  }}
  chain outgoing {{
    type nat hook postrouting priority srcnat; policy accept;
{outgoing}
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    ct state established,related accept
{forward}
  }}
}}
"""
