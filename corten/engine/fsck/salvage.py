"""A state database that is damaged or gone: what can be read goes into a new file, the rest comes from the disk.

The old file is never changed or thrown away; it is moved aside whole. Rows are read from both ends of each table, so a
damaged page costs the rows on it and not those behind it.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from functools import partial
from urllib.parse import quote

from corten import errors, faultpoint
from corten.engine.fsck.subject import Findings, Subject
from corten.engine.imagescan import scan
from corten.engine.paths import Paths
from corten.linux import durable
from corten.model.finding import REPAIRED, Finding
from corten.oci.base import MAX_DOCUMENT
from corten.oci.digest import chain_ids
from corten.oci.manifest import INDEX_TYPES, Descriptor, decode_index, media_type_of
from corten.store import quarantine
from corten.store.database import Database

_FILES = ("-wal", "-shm", "")
"""The file itself goes last: without it nobody would look for its log."""

SAVED = ".saved"
"""What could be read of the old database, until it has its name."""


LEASE, LEASE_TIME = "salvaged", 7 * 86400.0
"""What garbage collection may not touch, and for how many seconds."""

INTERRUPTED = "is missing, as a repair was interrupted"


def state_of(path: str) -> str:
    """What is wrong with the database file; "" when it can be read, "is missing" when it is not there."""
    if not os.path.exists(path):
        return INTERRUPTED if os.path.exists(path + SAVED) else "is missing"
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        return f"is damaged: {error}"
    return "" if found == "ok" else f"is damaged: {found}"


def renew(paths: Paths) -> tuple[str, int]:
    """Put a new database in the place of a damaged one; returns where the old one is now and how many rows it gave.

    Ended at any moment, it can be called again: what was read is whole before the old file is moved.
    """
    saved = paths.database + SAVED
    if not _fits(saved, paths.database):
        _save(paths.database, saved)
    faultpoint.reach("fsck.database-saved")
    old = set_aside(paths)
    os.rename(saved, paths.database)
    durable.sync_directory(paths.data_root)
    faultpoint.reach("fsck.database-renewed")
    with contextlib.closing(sqlite3.connect(paths.database)) as connection:
        tables = [name for name, _ in _tables(connection)]
        rows = sum(connection.execute(f"SELECT count(*) FROM {_quoted(name)}").fetchone()[0] for name in tables)
    return old, rows


def _fits(saved: str, path: str) -> bool:
    """Whether an interrupted repair has read all of the database; one from before its last change has not."""
    try:
        made = os.stat(saved).st_mtime_ns
    except FileNotFoundError:
        return False
    return not os.path.exists(path) or os.stat(path).st_mtime_ns < made


def _save(path: str, saved: str) -> None:
    """Everything that can be read of the database, as a new one called *saved*. The old one is not written to."""
    fresh = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(fresh)
    with (
        contextlib.closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, isolation_level=None)) as source,
        contextlib.closing(sqlite3.connect(fresh, isolation_level=None)) as target,
    ):
        target.execute("BEGIN")
        for name, statement in _tables(source):
            _copy(source, target, name, statement)
        target.execute("COMMIT")
    descriptor = os.open(fresh, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(fresh, saved)
    durable.sync_directory(os.path.dirname(path))


def set_aside(paths: Paths) -> str:
    """Move the database into the quarantine directory, its log too; returns its new path."""
    os.makedirs(paths.quarantine, mode=0o700, exist_ok=True)
    target = os.path.join(paths.quarantine, f"state.db-{time.time_ns()}")
    for suffix in _FILES:
        with contextlib.suppress(FileNotFoundError):
            os.rename(paths.database + suffix, target + suffix)
            faultpoint.reach("fsck.database-moved")
    durable.sync_directory(paths.quarantine)
    return target


def _tables(source: sqlite3.Connection) -> list[tuple[str, str]]:
    select = "SELECT name, sql FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'"
    try:
        return [row for row in source.execute(select) if all(isinstance(text, str) for text in row)]
    except sqlite3.Error:
        return []


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, name: str, statement: str) -> None:
    try:
        target.execute(statement)
    except sqlite3.Error:
        return
    quoted = _quoted(name)
    for order in ("", _backwards(source, quoted)):
        for row in _readable(source, f"SELECT * FROM {quoted}{order}"):
            marks = ", ".join("?" * len(row))
            with contextlib.suppress(sqlite3.Error):
                target.execute(f"INSERT OR IGNORE INTO {quoted} VALUES ({marks})", row)


def _backwards(source: sqlite3.Connection, quoted: str) -> str:
    """The order that reads a table from its end."""
    try:
        columns = source.execute(f"PRAGMA table_info({quoted})").fetchall()
    except sqlite3.Error:
        return ""
    keys = [row[1] for row in sorted(columns, key=lambda row: row[5]) if row[5]]
    return " ORDER BY " + ", ".join(f'"{key}" DESC' for key in keys) if keys else " ORDER BY rowid DESC"


def _readable(source: sqlite3.Connection, select: str) -> Iterator[tuple[object, ...]]:
    try:
        yield from source.execute(select)
    except sqlite3.Error:
        return


def rebuild(subject: Subject) -> Findings:
    """After the database was lost in whole or in part: record what the disk still knows, and keep all the rest."""
    yield from _images(subject)
    yield from _containers(subject)
    yield from _layers(subject)


def _images(subject: Subject) -> Findings:
    """Each manifest or index that nothing else names, and whose documents and layers are here, becomes an image."""
    store = subject.store
    found: dict[str, Descriptor] = {}
    below: set[str] = set()
    for digest in sorted(store.content.digests()):
        if store.content.size(digest) > MAX_DOCUMENT:
            continue
        try:
            data = store.content.read(digest)
            if not data.lstrip().startswith(b"{"):
                continue
            media_type = media_type_of(data)
            found[digest] = Descriptor(media_type=media_type, digest=digest, size=len(data))
            if media_type in INDEX_TYPES:
                below.update(item.digest for item in decode_index(data).manifests or ())
        except errors.CortenError:
            continue  # another kind of document, or damaged: told with the blobs
    needed = {digest for image in store.index.images() for digest in image.blobs()}
    for digest, descriptor in found.items():
        if digest in below or digest in needed or not _whole(subject, descriptor):
            continue
        finding = Finding(
            kind="image",
            id=digest,
            problem="its record is lost",
            action="recorded without a name: `corten tag` gives it one",
        )
        yield subject.settle(finding, partial(_record, subject, descriptor))


def _record(subject: Subject, descriptor: Descriptor) -> None:
    """Without a name it might be gone before anybody has looked, by the limits of garbage collection."""
    image = subject.store.register(descriptor, [])
    subject.store.leases.create(LEASE, LEASE_TIME, image.blobs())


def _whole(subject: Subject, descriptor: Descriptor) -> bool:
    store = subject.store
    try:
        image = scan(descriptor, lambda digest: store.content.read(digest) if store.content.has(digest) else None, 0)
    except errors.CortenError:
        return False
    return any(
        item.complete
        and all(
            store.content.has(layer.digest) or (len(item.diff_ids) > n and _unpacked(subject, item.diff_ids[: n + 1]))
            for n, layer in enumerate(item.layers)
        )
        for item in image.manifests
    )


def _unpacked(subject: Subject, diff_ids: list[str]) -> bool:
    return os.path.isdir(subject.store.snapshots.layer_dir(chain_ids(diff_ids)[-1]))


def _containers(subject: Subject) -> Findings:
    known = {record.id for record in subject.records()} | subject.quarantine.keys(quarantine.CONTAINER)
    places = (subject.store.snapshots.active_dirs(), os.listdir(subject.paths.containers))
    for key in sorted({name for names in places for name in names} - known):
        yield _kept(subject, quarantine.CONTAINER, key, "its record is lost")


def _layers(subject: Subject) -> Findings:
    snapshots = subject.store.snapshots
    named = subject.layers_of_images()
    for chain_id in snapshots.layer_dirs():
        if chain_id not in named and snapshots.layer(chain_id) is None:
            yield _kept(subject, quarantine.LAYER, chain_id, "its record is lost, and no image names it")


def _kept(subject: Subject, kind: str, key: str, problem: str) -> Finding:
    finding = Finding(kind=kind, id=key, problem=problem, action="its files are kept, and noted in quarantine")
    return subject.settle(finding, partial(subject.quarantine.note, kind, key, problem))


def lost(paths: Paths, problem: str, repair: bool) -> Findings:
    """Tell about the file itself and, when asked for, put a new one in its place."""
    finding = Finding(
        kind="database",
        id=paths.database,
        problem=problem,
        action="made anew from the rows that can be read, and from what is on disk",
    )
    if not repair:
        yield finding
    elif problem == "is missing":
        Database(paths.database).close()
        yield Finding(
            kind="database", id=paths.database, problem=problem, action="made anew from what is on disk", state=REPAIRED
        )
    else:
        old, rows = renew(paths)
        action = f"{rows} rows read from it; the old file is {old}"
        yield Finding(kind="database", id=paths.database, problem=problem, action=action, state=REPAIRED)
