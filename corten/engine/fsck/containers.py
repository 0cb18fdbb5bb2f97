"""Containers: names are unique, and record, writable layer and files belong together."""

import os
import shutil
from functools import partial

from corten import errors
from corten.engine.fsck.subject import Findings, Subject
from corten.model.finding import Finding
from corten.model.record import Record
from corten.store import quarantine
from corten.store.snapshot import Snapshots


def check_containers(subject: Subject) -> Findings:
    """Each record, then what has none."""
    names: dict[str, str] = {}
    records = subject.records()
    for record in sorted(records, key=lambda each: each.created):
        if record.name in names:
            problem = f'the container\'s name "{record.name}" belongs to {names[record.name][:12]} too'
            action = "rename one of them: `corten rename`"
            yield Finding(kind="container", id=record.id, problem=problem, action=action)
        names[record.name] = record.id
        yield from _check(subject, record)
    known = {record.id for record in subject.records()} | subject.quarantine.keys(quarantine.CONTAINER)
    yield from _orphans(subject, known)


def _check(subject: Subject, record: Record) -> Findings:
    snapshots = subject.store.snapshots
    chain_id = snapshots.active().get(record.id)
    upper = snapshots.upper_dir(record.id)
    if chain_id is None:
        if record.id in subject.quarantine.keys(quarantine.SNAPSHOT) or _exists(subject, record):
            finding = Finding(
                kind="snapshot", id=record.id, problem="its record is missing", action="record made anew from the image"
            )
            yield subject.settle(finding, lambda: _adopt(subject, snapshots, record))
    elif not os.path.isdir(upper) and _exists(subject, record):
        action = "none: what the container had written is lost; remove it, or start it with its image's files"
        yield Finding(kind="snapshot", id=record.id, problem="its directory is missing", action=action)
    if not os.path.isdir(subject.paths.container(record.id)) and _exists(subject, record):
        finding = Finding(
            kind="container",
            id=record.id,
            problem="its directory for logs and network files is missing",
            action="empty directory made",
        )
        yield subject.settle(finding, lambda: os.makedirs(subject.paths.container(record.id), 0o710))
    recorded = set(subject.volumes())
    for point in record.mounts:
        if point.type == "volume" and point.name and point.name not in recorded and _exists(subject, record):
            kept = point.name in subject.quarantine.keys(quarantine.VOLUME)
            outcome = "takes up the data that is kept for it" if kept else "makes an empty one"
            action = f"`corten volume create {point.name}` {outcome}"
            yield Finding(kind="container", id=record.id, problem=f"its volume {point.name} is missing", action=action)


def _exists(subject: Subject, record: Record) -> bool:
    """Whether it was not removed since the check began."""
    return any(each.id == record.id for each in subject.records())


def _adopt(subject: Subject, snapshots: Snapshots, record: Record) -> None:
    image = subject.store.index.get(record.image)
    for manifest in image.manifests if image else ():
        if manifest.descriptor.digest == record.manifest_digest:
            snapshots.adopt(record.id, manifest.chain_id)
            return
    raise errors.NotFound(f"its image {record.image} is not here")


def _orphans(subject: Subject, known: set[str]) -> Findings:
    """What is left of containers that are not there; a container that is being made is not in the records yet."""
    if subject.online:
        return
    snapshots = subject.store.snapshots
    for key in sorted({*snapshots.keys(), *snapshots.active_dirs()} - known):
        finding = Finding(kind="snapshot", id=key, problem="its container does not exist", action="snapshot removed")
        yield subject.settle(finding, partial(snapshots.remove, key))
    for name in sorted(set(os.listdir(subject.paths.containers)) - known):
        path = os.path.join(subject.paths.containers, name)
        finding = Finding(kind="container", id=name, problem="its directory has no record", action="directory removed")
        yield subject.settle(finding, partial(shutil.rmtree, path))
