"""The database: its file, and whether every row can be read."""

import shlex
import sqlite3
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from corten import errors
from corten.engine import imageindex, shelf
from corten.engine.fsck.subject import Findings, Subject
from corten.model.finding import FAILED, NOTE, PROBLEM, REPAIRED, Finding
from corten.network import store as networks
from corten.store import layerrecord, quarantine
from corten.store.quarantine import Entry
from corten.volume import table as volumes


class _Table(NamedTuple):
    kind: str
    select: str
    """The key comes first."""
    read: Callable[..., Any]


_TABLES = (
    _Table(quarantine.CONTAINER, "SELECT id, data FROM containers", shelf.decode),
    _Table(quarantine.IMAGE, "SELECT digest, document FROM images", imageindex.stored),
    _Table(quarantine.NAME, "SELECT name, digest, tagged FROM image_names", imageindex.named),
    _Table(quarantine.LAYER, "SELECT chain_id, parent, diff_id, size FROM layers", layerrecord.checked_layer),
    _Table(quarantine.VOLUME, "SELECT name, created, labels, options FROM volumes", volumes.read_row),
    _Table(quarantine.NETWORK, "SELECT name, id, body FROM networks", networks.read_row),
)
REMADE = "record made anew from the image's documents"
DAMAGE = (errors.CortenError, msgspec.MsgspecError, TypeError)


def check_database(subject: Subject) -> Findings:
    """SQLite's own check of the file, and that the name still leads to it: what is written into a file that was
    removed under the daemon is gone with the daemon."""
    if not subject.database.in_place():
        action = "stop what changes things and save what you need: what the daemon writes is lost at its end"
        yield Finding(
            kind="database", id=subject.database.path, problem="was removed or replaced under the daemon", action=action
        )
    try:
        rows = subject.database.reader().execute("PRAGMA integrity_check(20)").fetchall()
    except sqlite3.Error as error:
        rows = [(str(error),)]
    for (text,) in rows:
        if text != "ok":
            action = "stop the daemon, then `corten fsck --repair` saves what can be read into a new file"
            yield Finding(kind="database", id=subject.database.path, problem=str(text), action=action)


def check_quarantine(subject: Subject) -> Findings:
    """What was set aside, now and earlier."""
    for kind, key in subject.options.discard:
        yield _discarded(subject, kind, key)
    fresh = subject.quarantine.new() if not subject.online else []
    for entry in fresh:
        finding = Finding(
            kind=entry.kind,
            id=entry.key,
            problem=f"the record cannot be read: {entry.reason}" if entry.row else entry.reason,
            action="record moved to quarantine, what belongs to it is kept",
            state=REPAIRED if subject.options.repair else PROBLEM,
        )
        yield replace(finding, action=REMADE) if _remakes(subject, entry) else finding
    for entry in subject.quarantine.entries():
        if entry not in fresh and _remakes(subject, entry):
            problem = f"in quarantine: {entry.reason}"
            finding = Finding(kind=entry.kind, id=entry.key, problem=problem, action=REMADE)
            yield replace(finding, state=REPAIRED) if subject.options.repair else finding
        elif entry not in fresh:
            what = shlex.quote(f"{entry.kind}:{entry.key}")
            yield Finding(
                kind=entry.kind,
                id=entry.key,
                problem=f"in quarantine: {entry.reason}",
                action=f"`corten fsck --discard {what}` gives up what is kept for it",
                state=NOTE,
            )


def _discarded(subject: Subject, kind: str, key: str) -> Finding:
    if kind == quarantine.LEASE and subject.store.leases.release(key):
        return Finding(kind=kind, id=key, problem="it held content", action="given up", state=REPAIRED)
    if not subject.quarantine.discard(kind, key):
        return Finding(kind=kind, id=key, problem="it is not in quarantine", state=FAILED)
    return Finding(kind=kind, id=key, problem="it was in quarantine", action="given up", state=REPAIRED)


def _remakes(subject: Subject, entry: Entry) -> bool:
    """Whether an image's record can be made anew from its documents; with repairs, it is."""
    if entry.kind != quarantine.IMAGE:
        return False
    try:
        if subject.options.repair:
            subject.store.remake(entry.key)
        else:
            subject.store.content.read(entry.key)
    except (errors.CortenError, OSError):
        return False
    return True


def check_rows(subject: Subject) -> Findings:
    """Rows that were damaged while the daemon ran; what it remembers of them is written anew."""
    if not subject.online:
        return  # they were read when the store was opened, see ``check_quarantine``
    for table in _TABLES:
        for row in subject.database.reader().execute(table.select).fetchall():
            try:
                table.read(*row)
            except DAMAGE as error:
                yield _rewritten(subject, table.kind, str(row[0]), error)


def _rewritten(subject: Subject, kind: str, key: str, error: Exception) -> Finding:
    def repair() -> None:
        if not subject.rewrite(kind, key):
            raise errors.NotFound("the daemon does not know it; the next start moves the record to quarantine")

    problem = f"the record cannot be read: {error}"
    finding = Finding(kind=kind, id=key, problem=problem, action="record written anew from the daemon's memory")
    return subject.settle(finding, repair)
