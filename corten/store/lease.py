"""Leases: what must not be collected although no image or container needs it (yet).

An ingest holds one in memory for as long as it runs: the blobs and layers that it counts on stay, whatever is removed
meanwhile. A lease that has to survive the daemon is written to the database, with a time at which it ends; so what a
daemon that never came back had held does not stay for ever.
"""

import contextlib
import itertools
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import msgspec

from corten.store import quarantine
from corten.store.database import Database

_SCHEMA = (
    """
    CREATE TABLE leases (name TEXT PRIMARY KEY, created INTEGER NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE lease_items (name TEXT NOT NULL, item TEXT NOT NULL, PRIMARY KEY (name, item)) WITHOUT ROWID
    """,
)


class Lease(msgspec.Struct, frozen=True):
    """``created`` and ``expires`` in nanoseconds since the epoch, ``expires`` 0 for one that only ``release`` ends."""

    name: str
    created: int
    expires: int = 0
    persistent: bool = False

    def live(self, now: int) -> bool:
        """Whether it still holds what it names."""
        return not self.expires or now < self.expires


class Leases:
    """All leases of one store. Items are digests of blobs and chainIDs of layers. Any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._leases: dict[str, Lease] = {}
        self._items: dict[str, set[str]] = {}
        database.migrate("leases", _SCHEMA)
        self._load()

    def _load(self) -> None:
        reader = self._database.reader()
        for name, created, expires in reader.execute("SELECT name, created, expires FROM leases").fetchall():
            if not (isinstance(name, str) and isinstance(created, int) and isinstance(expires, int)):
                reason = "a value has the wrong type"
                self._database.quarantine.take(quarantine.LEASE, str(name), reason, "leases", {"name": name})
                continue
            self._leases[name] = Lease(name, created, expires, persistent=True)
            self._items[name] = set()
        for name, item in reader.execute("SELECT name, item FROM lease_items"):
            if name in self._items:
                self._items[name].add(str(item))

    # asking

    def held(self) -> dict[str, str]:
        """Item -> the name of a lease that holds it."""
        now = time.time_ns()
        with self._lock:
            return {item: name for name, lease in self._leases.items() if lease.live(now) for item in self._items[name]}

    # changing

    def create(self, name: str, lifetime: float, items: Iterable[str] = ()) -> Lease:
        """A persistent lease that ends *lifetime* seconds from now; one of that name that is there is prolonged."""
        now = time.time_ns()
        lease = Lease(name, now, now + int(lifetime * 1e9), persistent=True)
        wanted = set(items)

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", (name, now, lease.expires))
            _insert_items(connection, name, wanted)

        self._database.write(job)
        with self._lock:
            self._leases[name] = lease
            self._items.setdefault(name, set()).update(wanted)
        return lease

    def release(self, name: str) -> bool:
        """Hold nothing more with it; False when there is none of that name."""
        with self._lock:
            lease = self._leases.pop(name, None)
            self._items.pop(name, None)
        if lease is not None and lease.persistent:
            self._database.write(lambda connection: _delete(connection, [name]))
        return lease is not None

    def expire(self) -> list[Lease]:
        """Forget those whose time is over; returns them."""
        now = time.time_ns()
        with self._lock:
            over = [lease for lease in self._leases.values() if not lease.live(now)]
            for lease in over:
                del self._leases[lease.name], self._items[lease.name]
        if over:
            self._database.write(lambda connection: _delete(connection, [lease.name for lease in over]))
        return over

    @contextlib.contextmanager
    def hold(self, purpose: str) -> Iterator[Callable[[str], None]]:
        """A lease in memory for as long as the block runs; gives a function that adds an item to it."""
        name = f"{purpose}-{next(self._numbers)}"
        items: set[str] = set()
        with self._lock:
            self._leases[name] = Lease(name, time.time_ns())
            self._items[name] = items

        def add(item: str) -> None:
            with self._lock:
                items.add(item)

        try:
            yield add
        finally:
            self.release(name)


def _insert_items(connection: sqlite3.Connection, name: str, items: Iterable[str]) -> None:
    connection.executemany("INSERT OR IGNORE INTO lease_items VALUES (?, ?)", [(name, item) for item in items])


def _delete(connection: sqlite3.Connection, names: list[str]) -> None:
    rows = [(name,) for name in names]
    connection.executemany("DELETE FROM leases WHERE name=?", rows)
    connection.executemany("DELETE FROM lease_items WHERE name=?", rows)
