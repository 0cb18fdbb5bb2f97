"""A container's coming and going on disk: its volumes, its directories and its record. Blocking, any thread.

Made before it is recorded, unrecorded before it is deleted: what a crash leaves in between is garbage that the next
start finds by comparing the directories with the records.
"""

import contextlib
import os
import shutil
from collections.abc import Callable

from msgspec.structs import replace

from corten import faultpoint
from corten.engine.images import Images
from corten.engine.launcher import Launcher
from corten.engine.shelf import Shelf
from corten.linux import durable
from corten.model.record import Record
from corten.volume.table import doom, spare


def make(
    launcher: Launcher,
    shelf: Shelf,
    record: Record,
    chain_id: str,
    image_volumes: list[str],
    lookup: Callable[[str], Record],
) -> Record:
    """Make what *record* describes above the layers *chain_id* and write it; returns it with its mounts.

    Nothing is left when it raises.
    """
    with contextlib.ExitStack() as undo:
        volumes, snapshots = launcher.volumes, launcher.snapshots
        undo.callback(volumes.unplan, record.id, record, True)
        mounts = volumes.plan(record.id, record.config, record.host_config, image_volumes, lookup)
        faultpoint.reach("create.planned")
        record = replace(record, mounts=mounts)
        undo.callback(volumes.unplan, record.id, record, True)
        prepared = snapshots.prepare(record.id, chain_id)
        undo.callback(snapshots.remove, record.id)
        directory = launcher.paths.container(record.id)
        os.makedirs(directory, mode=0o710)
        undo.callback(shutil.rmtree, directory, True)
        faultpoint.reach("create.directory")
        unrecorded = volumes.unrecorded(record.id)
        # the database's log is written over itself, and its fsync says nothing about new directories
        for name in unrecorded:
            volumes.driver.sync(name)
        snapshots.sync(record.id)
        durable.sync_directory(os.path.dirname(directory))
        faultpoint.reach("create.synced")
        shelf.write(record, volumes.recording(unrecorded), prepared)
        volumes.recorded(unrecorded)
        undo.pop_all()
    faultpoint.reach("create.recorded")
    return record


def unmake(launcher: Launcher, shelf: Shelf, images: Images, record: Record, volumes: bool) -> None:
    """Delete the container, with *volumes* its anonymous volumes too, in one transaction; then what it had on disk."""
    snapshots = launcher.snapshots
    doomed = launcher.volumes.anonymous(record) if volumes else []
    shelf.erase(record.id, doom(doomed), snapshots.forgetting(record.id))
    try:
        faultpoint.reach("remove.erased")
        launcher.volumes.unplan(record.id, record, volumes)
        faultpoint.reach("remove.volumes")
        snapshots.remove(record.id)
        images.container_removed(record.image)
        shutil.rmtree(launcher.paths.container(record.id), ignore_errors=True)
        faultpoint.reach("remove.directory")
    except BaseException:
        left = [snapshots.recording(record.id)] if record.id in snapshots.active() else []
        shelf.write(record, spare(doomed), *left)  # it is dead, not gone: somebody can remove it once more
        raise
