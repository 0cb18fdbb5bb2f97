"""Volumes: a record for each directory with data, and a directory for each record."""

import os
from functools import partial

from corten.engine.fsck.subject import Findings, Subject
from corten.model.finding import Finding
from corten.store import quarantine
from corten.volume.local import DATA


def check_volumes(subject: Subject) -> Findings:
    """Records first, then directories; the daemon takes up those without a record when it starts."""
    directory = os.path.join(subject.paths.data_root, "volumes")
    recorded = set(subject.volumes())
    for name in sorted(recorded):
        data = os.path.join(directory, name, DATA)
        if not os.path.isdir(data) and name in subject.volumes():
            finding = Finding(
                kind="volume",
                id=name,
                problem="its directory is missing",
                action="empty directory made; its data is lost",
            )
            yield subject.settle(finding, partial(_make, data))
    if subject.online or not os.path.isdir(directory):
        return
    unreadable = subject.quarantine.keys(quarantine.VOLUME)
    for name in sorted(os.listdir(directory)):
        data = os.path.join(directory, name, DATA)
        if name in recorded or name in unreadable or name.startswith(".") or not os.path.isdir(data):
            continue
        if os.listdir(data):
            finding = Finding(
                kind="volume",
                id=name,
                problem="its data has no record",
                action="record made, without labels and options",
            )
            yield subject.settle(finding, partial(_record, subject, name))


def _make(data: str) -> None:
    os.makedirs(data, 0o755)
    os.chmod(data, 0o755)


def _record(subject: Subject, name: str) -> None:
    path = os.path.join(subject.paths.data_root, "volumes", name)
    created = os.stat(path).st_ctime_ns
    subject.database.write(
        lambda connection: connection.execute("INSERT INTO volumes VALUES (?, ?, NULL, NULL)", (name, created)) and None
    )
