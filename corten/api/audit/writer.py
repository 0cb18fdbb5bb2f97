"""The thread that writes the audit log: what waits is written as one piece and synced once.

Lines keep their order. A line that somebody waits for is given back when it cannot be written, so that the change it
announces does not happen; the others (outcomes of changes that did happen) are kept and tried again.
"""

import asyncio
import json
import logging
import pwd
import threading
from typing import Any, NamedTuple

from corten import errors
from corten.api.audit.file import AuditFile

log = logging.getLogger("corten.audit")

RETRY = 1.0
"""Seconds between attempts while the file cannot be written."""
MOST_KEPT = 10_000
"""Lines that wait for a file that cannot be written; further ones are counted."""

Entry = dict[str, Any]


class _Item(NamedTuple):
    entry: Entry
    future: "asyncio.Future[None] | None"


class AuditWriter:
    """Made and used in one event loop. ``close`` writes what waits."""

    def __init__(self, file: AuditFile) -> None:
        self._file = file
        self._loop = asyncio.get_running_loop()
        self._wake = threading.Condition()
        self._waiting: list[_Item] = []
        self._kept: list[bytes] = []
        self._lost = 0
        self._failing = False
        self._ending = False
        self._users: dict[int, str] = {}
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        file.open()
        self._thread.start()

    def add(self, entry: Entry) -> None:
        """Write *entry* some time soon."""
        self._put(_Item(entry, None))

    async def write(self, entry: Entry) -> None:
        """Return once *entry* is on disk. Raises Unavailable when it cannot be written."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._put(_Item(entry, future))
        await future

    def close(self) -> None:
        """Write what waits and end; blocks for one write at most."""
        with self._wake:
            self._ending = True
            self._wake.notify()
        self._thread.join()
        self._file.close()

    def _put(self, item: _Item) -> None:
        with self._wake:
            self._waiting.append(item)
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._ending:
                    if not self._wake.wait(RETRY if self._kept else None):
                        break
                items, self._waiting = self._waiting, []
                ending = self._ending
            self._write(items)
            if ending and not self._waiting:
                return

    def _write(self, items: list[_Item]) -> None:
        lines = [self._line(item.entry) for item in items]
        first = [self._line({"stage": "lost", "lines": self._lost})] if self._lost else []
        data = b"".join([*self._kept, *first, *lines])
        if not data:
            return
        try:
            self._file.append(data)
        except (OSError, errors.System) as error:
            self._keep(items, lines, error)
            return
        if self._failing:
            log.warning("the audit log is written again")
        self._failing, self._lost = False, 0
        self._kept.clear()
        for item in items:
            self._settle(item.future, None)

    def _keep(self, items: list[_Item], lines: list[bytes], error: Exception) -> None:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        if not self._failing:
            log.error("the audit log %s cannot be written, changes are refused: %s", self._file.path, reason)
        self._failing = True
        for item, line in zip(items, lines, strict=True):
            if item.future is not None:
                self._settle(item.future, errors.Unavailable(f"the audit log cannot be written: {reason.lower()}"))
            elif len(self._kept) < MOST_KEPT:
                self._kept.append(line)
            else:
                self._lost += 1

    def _settle(self, future: "asyncio.Future[None] | None", error: Exception | None) -> None:
        if future is None:
            return

        def settle() -> None:
            if future.done():
                return  # the client has gone
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        try:
            self._loop.call_soon_threadsafe(settle)
        except RuntimeError:  # the loop has ended, and with it who waited
            pass

    def _line(self, entry: Entry) -> bytes:
        """ASCII alone: control characters and everything beyond are escaped."""
        peer = entry.get("peer")
        if peer is not None and "uid" in peer:
            entry = {**entry, "peer": {**peer, "user": self._user(peer["uid"])}}
        return json.dumps(entry, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"

    def _user(self, uid: int) -> str:
        """Looked up here, where a slow directory service holds up the log alone; remembered for good."""
        name = self._users.get(uid)
        if name is None:
            try:
                name = pwd.getpwuid(uid).pw_name
            except (KeyError, OverflowError):
                name = ""
            self._users[uid] = name
        return name
