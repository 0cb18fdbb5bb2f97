"""Records that cannot be read, set aside: the row goes into a table of its own, and what it stood for is kept.

One damaged record must not stop the daemon, and must not make garbage of what it described. So its row is moved here as
it is, with the reason; the files of its container, volume or layer stay, whoever sweeps asks this table first.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from corten.store.database import Database

log = logging.getLogger("corten.store")

CONTAINER, IMAGE, NAME, LAYER, SNAPSHOT, VOLUME, NETWORK, LEASE = (
    "container", "image", "image name", "layer", "snapshot", "volume", "network", "lease",
)  # fmt: skip
_HOLDS_CONTENT = frozenset((IMAGE, LAYER, SNAPSHOT, LEASE))
_SCHEMA = (
    """
    CREATE TABLE quarantine (
        id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT NOT NULL, reason TEXT NOT NULL,
        moved INTEGER NOT NULL, origin TEXT NOT NULL, row BLOB NOT NULL
    )
    """,
)


class Entry(msgspec.Struct, frozen=True):
    """A record that was set aside. ``key`` is the object's id or name, ``moved`` nanoseconds, ``origin`` the table that
    the row is from, ``row`` its columns in MessagePack; empty when only the lack of a record was noted."""

    id: int
    kind: str
    key: str
    reason: str
    moved: int
    origin: str = ""
    row: bytes = b""


class Quarantine:
    """Of one database; any thread. With *dry*, nothing is moved and the entries live in memory alone."""

    def __init__(self, database: "Database", *, dry: bool = False) -> None:
        self._database = database
        self._dry = dry
        self._lock = threading.Lock()
        if dry:
            known = "SELECT 1 FROM sqlite_master WHERE type='table' AND name='quarantine'"
            present = database.reader().execute(known).fetchone() is not None
        else:
            database.migrate("quarantine", _SCHEMA)
            present = True
        rows = database.reader().execute("SELECT * FROM quarantine ORDER BY id") if present else ()
        self._entries = [Entry(*row) for row in rows]
        self._before = frozenset(entry.id for entry in self._entries)

    def entries(self, kind: str = "") -> list[Entry]:
        """Everything that was set aside, or what is of one *kind*; the oldest first."""
        return [entry for entry in self._entries if not kind or entry.kind == kind]

    def new(self) -> list[Entry]:
        """What was set aside since the database was opened."""
        return [entry for entry in self._entries if entry.id not in self._before]

    def keys(self, kind: str) -> set[str]:
        """The ids or names of one *kind*."""
        return {entry.key for entry in self._entries if entry.kind == kind}

    def mentioning(self, text: str) -> list[str]:
        """The containers whose damaged record names *text*: better to keep too much for them than too little."""
        wanted = text.encode()
        return [entry.key for entry in self._entries if entry.kind == CONTAINER and wanted in entry.row]

    def warnings(self) -> list[str]:
        """What the daemon tells about it when it is asked how it is."""
        count = len(self._entries)
        if not count:
            return []
        what = "1 record is" if count == 1 else f"{count} records are"
        return [f"WARNING: {what} damaged and in quarantine; see `corten fsck`"]

    @property
    def holds_content(self) -> bool:
        """Whether a record is missing without which nobody can tell which blobs and layers are needed."""
        return any(
            entry.kind in _HOLDS_CONTENT or (entry.kind == CONTAINER and not entry.row) for entry in self._entries
        )

    def take(self, kind: str, key: str, reason: object, origin: str, where: Mapping[str, Any]) -> None:
        """Move the row of table *origin* that fits *where* (column -> value) in here, in one transaction."""
        condition = " AND ".join(f"{column} IS ?" for column in where)
        values = tuple(where.values())
        select = f"SELECT * FROM {origin} WHERE {condition}"
        now = time.time_ns()

        def packed(connection: sqlite3.Connection) -> bytes:
            cursor = connection.execute(select, values)
            names = [column[0] for column in cursor.description]
            row = cursor.fetchone()
            return msgspec.msgpack.encode(dict(zip(names, row or (), strict=False)))

        def job(connection: sqlite3.Connection) -> Entry:
            row = packed(connection)
            connection.execute(f"DELETE FROM {origin} WHERE {condition}", values)
            return _insert(connection, kind, key, str(reason), now, origin, row)

        if self._dry:
            entry = Entry(0, kind, key, str(reason), now, origin, packed(self._database.reader()))
        else:
            entry = self._database.write(job)
            log.error("the record of %s %s cannot be read and is in quarantine now: %s", kind, key, reason)
        with self._lock:
            self._entries.append(entry)

    def note(self, kind: str, key: str, reason: str) -> None:
        """Keep what belongs to an object whose record is lost."""
        now = time.time_ns()
        entry = self._database.write(lambda connection: _insert(connection, kind, key, reason, now, "", b""))
        with self._lock:
            self._entries.append(entry)

    def discard(self, kind: str, key: str) -> int:
        """Forget the entries of an object for good; returns how many there were. Nothing is kept for them any more."""
        doomed = [entry for entry in self._entries if (entry.kind, entry.key) == (kind, key)]
        ids = [(entry.id,) for entry in doomed]
        if ids:
            self._database.write(lambda c: c.executemany("DELETE FROM quarantine WHERE id=?", ids) and None)
            with self._lock:
                self._entries = [entry for entry in self._entries if entry not in doomed]
        return len(doomed)


def _insert(
    connection: sqlite3.Connection, kind: str, key: str, reason: str, moved: int, origin: str, row: bytes
) -> Entry:
    cursor = connection.execute(
        "INSERT INTO quarantine (kind, key, reason, moved, origin, row) VALUES (?, ?, ?, ?, ?, ?)",
        (kind, key, reason, moved, origin, row),
    )
    return Entry(cursor.lastrowid or 0, kind, key, reason, moved, origin, row)
