"""All containers: by id, by name, by unique prefix, and their records on disk."""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import msgspec

from corten import errors
from corten.engine.container import Container
from corten.model.record import Record
from corten.model.unknown import Fields, put_back, unknown
from corten.store import quarantine
from corten.store.database import Database, Job

SCHEMA = ["CREATE TABLE containers (id TEXT PRIMARY KEY, data BLOB NOT NULL)"]

log = logging.getLogger("corten.containers")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode


class Shelf:
    """In-memory index over the table of containers. The loop's thread only, but for ``write``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("containers", SCHEMA)
        self._unknown: dict[str, Fields] = {}
        """By id, what a newer daemon has written into records."""
        self._containers: dict[str, Container] = {}
        self._names: dict[str, str] = {}

    def load(self) -> list[str]:
        """Read every record; returns the ids of those in quarantine, whose files are to be kept."""
        quarantined = self._database.quarantine
        for container_id, data in self._database.reader().execute("SELECT id, data FROM containers").fetchall():
            try:
                record = decode(container_id, data)
            except (msgspec.MsgspecError, errors.CortenError, TypeError) as error:
                quarantined.take(quarantine.CONTAINER, str(container_id), error, "containers", {"id": container_id})
                continue
            if found := unknown(msgspec.msgpack.decode(data), record):
                self._unknown[record.id] = found
            self._containers[record.id] = Container(record)
            self._names[record.name] = record.id
        return sorted(quarantined.keys(quarantine.CONTAINER))

    def __iter__(self) -> Iterator[Container]:
        return iter(list(self._containers.values()))

    def __len__(self) -> int:
        return len(self._containers)

    def get(self, reference: str) -> Container:
        """By full id, name (with or without a slash) or unique id prefix. NotFound, InvalidArgument if ambiguous."""
        owner = self._names.get(reference.removeprefix("/"), "")
        found = self._containers.get(reference) or self._containers.get(owner)  # the name may only be reserved yet
        if found is not None:
            return found
        matches = [each for each in self._containers if each.startswith(reference)] if reference else []
        if len(matches) == 1:
            return self._containers[matches[0]]
        if matches:
            raise errors.InvalidArgument(f"multiple IDs found with provided prefix: {reference}")
        raise errors.NotFound(f"No such container: {reference}")

    def reserve(self, name: str, container_id: str) -> None:
        """Take a name. Conflict, with Docker's words, when another container has it."""
        owner = self._names.get(name)
        if owner is not None:
            raise errors.Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{owner}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )
        self._names[name] = container_id

    def has_name(self, name: str) -> bool:
        return name in self._names

    def free(self, name: str) -> None:
        self._names.pop(name, None)

    def add(self, container: Container) -> None:
        """Show a container whose name is reserved and whose record is written."""
        self._containers[container.id] = container

    def forget(self, container: Container) -> None:
        self._containers.pop(container.id, None)
        self._unknown.pop(container.id, None)
        if self._names.get(container.name) == container.id:
            del self._names[container.name]

    def write(self, record: Record, *also: Job) -> None:
        """Put a record on disk, together with what the jobs *also* do, and return when it is there. Any thread."""
        saving = _saving(record, self._unknown.get(record.id))

        def job(db: sqlite3.Connection) -> None:
            for each in also:
                each(db)
            saving(db)

        self._database.write(job)

    async def commit(self, container: Container) -> None:
        """Put the record on disk and return when it is there; in order with ``save``, so nothing newer is undone."""
        await asyncio.wrap_future(self._database.submit(self._saving(container)))

    def save(self, container: Container) -> None:
        """Put the record on disk soon, in order with other writes; ``saved`` waits for it."""
        self._database.submit(self._saving(container)).add_done_callback(_complain)

    def _saving(self, container: Container) -> Callable[[sqlite3.Connection], None]:
        return _saving(container.lasting, self._unknown.get(container.id))

    async def saved(self) -> None:
        """Until everything is on disk that was saved so far: before somebody is told that it has happened.

        Where the disk takes nothing the log says so. The containers are as they are all the same.
        """
        with contextlib.suppress(errors.System):
            await asyncio.wrap_future(self._database.submit(lambda _: None))

    def erase(self, container_id: str, *also: Job) -> None:
        """Delete the record, together with what the jobs *also* do, and return when that is on disk. Any thread."""

        def job(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM containers WHERE id=?", (container_id,))
            for each in also:
                each(db)

        self._database.write(job)


def decode(container_id: str, data: bytes) -> Record:
    """A row's value. ``MsgspecError``, ``TypeError`` or ``DataLoss`` when it is damaged."""
    record = _decode(data)
    if record.id != container_id:
        raise errors.DataLoss(f"it describes container {record.id[:100]!r}")
    return record


def _saving(record: Record, found: Fields | None = None) -> Callable[[sqlite3.Connection], None]:
    if found:
        document = msgspec.to_builtins(record)
        put_back(document, found)
        data = _encode(document)
    else:
        data = _encode(record)

    def job(db: sqlite3.Connection) -> None:
        db.execute("INSERT OR REPLACE INTO containers VALUES (?, ?)", (record.id, data))

    return job


def _complain(future: "Future[None]") -> None:
    error = future.exception()
    if error is not None:
        log.error("a container's state was not saved: %s", error)
