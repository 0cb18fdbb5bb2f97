"""IP forwarding: containers need it, but it must not turn the host into a router between its own networks.

When Corten is the one that switches forwarding on, it remembers the devices of that moment: none of them has forwarded
to another before, and none shall because of containers. The firewall keeps them apart; devices that come later, of a
VPN or of another engine, are none of its business. The memory is of this boot, as the setting is.
"""

import logging

import msgspec

from corten.linux import link, sysctl
from corten.linux.netlink import Socket
from corten.model.base import Value
from corten.network.store import NetworkStore

log = logging.getLogger(__name__)

_KEY = "forwarding"
_SWITCHES = {4: ("net/ipv4/ip_forward",), 6: ("net/ipv6/conf/default/forwarding", "net/ipv6/conf/all/forwarding")}


class Memory(Value, frozen=True):
    """What was switched on in the boot *boot*, and the devices that were there."""

    boot: str = ""
    switches: list[str] = []
    devices: list[str] = []


class Forwarding:
    """Forwarding as far as it is this daemon's doing."""

    def __init__(self, store: NetworkStore) -> None:
        self._store = store
        self._boot = sysctl.read("kernel/random/boot_id")
        text = store.setting(_KEY)
        memory = msgspec.json.decode(text, type=Memory) if text else Memory()
        self._memory = memory if memory.boot == self._boot else Memory(boot=self._boot)

    def enable(self, socket: Socket, *, ipv6: bool) -> None:
        """Switch forwarding on where it is off."""
        wanted = _SWITCHES[4] + (_SWITCHES[6] if ipv6 else ())
        off = [name for name in wanted if sysctl.read(name) == "0"]
        if not off:
            return
        devices = [item.name for item in link.list_links(socket) if item.index != link.LOOPBACK_INDEX]
        switches = [*self._memory.switches, *(name for name in off if name not in self._memory.switches)]
        self._memory = Memory(boot=self._boot, switches=switches, devices=devices)
        self._store.set_setting(_KEY, msgspec.json.encode(self._memory).decode())
        for name in off:
            sysctl.write(name, "1")
        log.info("network: switched on forwarding: %s", " ".join(off))

    def kept_apart(self) -> list[str]:
        """Devices that must not forward to each other."""
        return self._memory.devices

    def restore(self, socket: Socket, own: set[str]) -> None:
        """Switch off what was switched on, unless devices have come that are not of *own*: they may rely on it."""
        known = {*self._memory.devices, *own}
        present = {item.name for item in link.list_links(socket) if item.index != link.LOOPBACK_INDEX}
        if not self._memory.switches or not present <= known:
            return
        for name in self._memory.switches:
            sysctl.write(name, "0")
        self._memory = Memory(boot=self._boot)
        self._store.set_setting(_KEY, "")
