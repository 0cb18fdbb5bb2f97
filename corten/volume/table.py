"""The volumes' records in the state database.

A removal is one transaction that takes the record away and notes the name as one that is to be gone; the data goes
afterwards. Where the daemon ends in between, the next one finds the note and not an unknown directory full of data.
"""

import sqlite3
from collections.abc import Callable, Iterable

import msgspec

from corten import errors
from corten.model.volume import Volume
from corten.store import quarantine
from corten.store.database import Database
from corten.volume.local import check_name

Job = Callable[[sqlite3.Connection], None]
Row = tuple[str, int, dict[str, str] | None, dict[str, str] | None]
"""name, created (nanoseconds), labels, options"""

_MIGRATIONS = (
    "CREATE TABLE volumes (name TEXT PRIMARY KEY, created INTEGER NOT NULL, labels TEXT, options TEXT) WITHOUT ROWID",
    "CREATE TABLE volume_removals (name TEXT PRIMARY KEY) WITHOUT ROWID",
)


class VolumeTable:
    """Reads at start, writes from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._quarantine = database.quarantine
        database.migrate("volumes", _MIGRATIONS)

    def rows(self) -> list[Row]:
        """The values of every volume; a record that is damaged goes into quarantine."""
        found = []
        reader = self._database.reader()
        for row in reader.execute("SELECT name, created, labels, options FROM volumes").fetchall():
            try:
                found.append(read_row(*row))
            except (errors.CortenError, msgspec.MsgspecError, TypeError) as error:
                self._quarantine.take(quarantine.VOLUME, str(row[0]), error, "volumes", {"name": row[0]})
        return found

    def unreadable(self) -> set[str]:
        """Names of the volumes whose records are in quarantine."""
        return self._quarantine.keys(quarantine.VOLUME)

    def doomed(self) -> set[str]:
        """Names whose removal was begun and not ended."""
        return {name for (name,) in self._database.reader().execute("SELECT name FROM volume_removals")}

    def put(self, volume: Volume) -> None:
        """Write the record; returns when it is durable."""
        self._database.write(self.putting([volume]))

    def putting(self, volumes: Iterable[Volume]) -> Job:
        """A job that writes records, for the transaction of the container that is made with them."""
        rows = [(each.name, each.created, _encoded(each.labels), _encoded(each.options)) for each in volumes]
        for name in self.unreadable().intersection(row[0] for row in rows):
            self._quarantine.discard(quarantine.VOLUME, name)

        def job(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO volumes VALUES (?, ?, ?, ?)", rows)
            spare([row[0] for row in rows])(connection)  # it is another volume than the one that was to be gone

        return job

    def forget(self, name: str) -> None:
        """Take the record away and note the name; returns when that is durable."""

        def job(connection: sqlite3.Connection) -> None:
            doom([name])(connection)
            connection.execute("DELETE FROM volumes WHERE name=?", (name,))

        self._database.write(job)

    def spare(self, names: Iterable[str]) -> None:
        """Take back the notes: the data is gone, or somebody needs the volume. Not waited for."""
        listed = list(names)
        if listed:
            self._database.defer(spare(listed))


def read_row(name: str, created: int, labels: str | None, options: str | None) -> Row:
    """A record's values, checked. ``InvalidArgument``, ``MsgspecError`` or ``TypeError`` when it is damaged."""
    if not (isinstance(name, str) and isinstance(created, int)):
        raise TypeError("a value has the wrong type")
    check_name(name)
    found = [None if text is None else msgspec.json.decode(text, type=dict[str, str]) for text in (labels, options)]
    return name, created, found[0], found[1]


def doom(names: Iterable[str]) -> Job:
    """A job that notes volumes as to be gone: for the transaction that removes the container they belong to."""
    rows = [(name,) for name in names]

    def job(connection: sqlite3.Connection) -> None:
        connection.executemany("INSERT OR REPLACE INTO volume_removals VALUES (?)", rows)

    return job


def spare(names: Iterable[str]) -> Job:
    """The job that undoes ``doom``."""
    rows = [(name,) for name in names]

    def job(connection: sqlite3.Connection) -> None:
        connection.executemany("DELETE FROM volume_removals WHERE name=?", rows)

    return job


def _encoded(value: dict[str, str] | None) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
