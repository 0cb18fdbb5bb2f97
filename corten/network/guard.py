"""The firewall's guard: puts the table back when somebody else flushes it.

The kernel tells every change of the rules to whoever listens (nf_tables' multicast group), so nothing is polled and
the table is back within milliseconds of a flush.
"""

import logging
import os
import select
import struct
import threading
import time

from corten import errors
from corten.linux.netlink import NETLINK_NETFILTER, Lost, Socket, attributes
from corten.network.firewall import Firewall

log = logging.getLogger(__name__)

# linux/netfilter/nfnetlink.h, nf_tables.h
NFNLGRP_NFTABLES = 7
NFNL_SUBSYS_NFTABLES = 10
_DELETIONS = {2, 5, 8, 11, 14}  # table, chain, rule, set, set element
_NEW_GENERATION = 15
_TABLE_NAME = 1
_GENERATION_PID = 2
_NFGENMSG = 4
SETTLE_MS = 250
"""How long other engines' changes are left to come to rest before they are looked at; at most a second."""


class FirewallGuard:
    """A thread that sleeps until the rules change."""

    def __init__(self, firewall: Firewall) -> None:
        self._firewall = firewall
        self._stop = -1
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch, in the caller's network namespace."""
        socket = Socket(NETLINK_NETFILTER)
        socket.subscribe(NFNLGRP_NFTABLES)
        self._stop = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, args=(socket,), name="firewall-guard", daemon=True)
        self._thread.start()

    def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            os.eventfd_write(self._stop, 1)
            thread.join()
            os.close(self._stop)

    def check(self) -> bool:
        """Put the table back if it is not whole; whether it had to be. May be called at any time from any thread."""
        self._firewall.settle()
        if self._firewall.is_intact():
            return False
        log.warning("network: the firewall table %s was changed by somebody else; restoring it", self._firewall.table)
        self._firewall.reset()
        return True

    def _run(self, socket: Socket) -> None:
        with socket:
            poll = select.poll()
            poll.register(socket.fileno(), select.POLLIN)
            poll.register(self._stop, select.POLLIN)
            watch = _Watch(self._firewall.table)
            while True:
                ready = poll.poll(SETTLE_MS if watch.others_changed else None)
                if any(fd == self._stop for fd, _ in ready):
                    return
                try:
                    self._handle(watch, socket, bool(ready))
                except (errors.CortenError, OSError) as error:
                    log.error("network: the firewall could not be checked: %s", error)

    def _handle(self, watch: "_Watch", socket: Socket, ready: bool) -> None:
        if ready:
            watch.read(socket)
        if watch.taken:
            watch.taken = False
            self.check()
        if watch.others_changed and (not ready or time.monotonic() > watch.others_changed + 1):
            watch.others_changed = 0.0
            self._firewall.settle()


class _Watch:
    """Reads events. ``taken``: somebody else has taken something from our table. ``others_changed``: since when the
    table "filter", where we may have rules too, has changes that were not looked at; 0 for none."""

    def __init__(self, table: str) -> None:
        self._name = table.encode()
        self._ours = self._filter = False
        self.taken = False
        self.others_changed = 0.0

    def read(self, socket: Socket) -> None:
        try:
            for kind, payload in socket.events():
                if kind >> 8 == NFNL_SUBSYS_NFTABLES:
                    self._event(kind & 0xFF, attributes(payload, _NFGENMSG))
        except Lost:
            self.taken = True
            self.others_changed = self.others_changed or time.monotonic()

    def _event(self, message: int, values: dict[int, bytes]) -> None:
        if message != _NEW_GENERATION:
            name = values.get(_TABLE_NAME, b"").rstrip(b"\0")
            self._ours |= name == self._name and message in _DELETIONS
            self._filter |= name == b"filter"
            return
        if not _is_ours(values):
            self.taken |= self._ours
            if self._filter and not self.others_changed:
                self.others_changed = time.monotonic()
        self._ours = self._filter = False


def _is_ours(values: dict[int, bytes]) -> bool:
    """Whether a thread of this process made the transaction (the event names the thread)."""
    number = values.get(_GENERATION_PID)
    return number is not None and os.path.exists(f"/proc/self/task/{struct.unpack('>I', number)[0]}")
