"""A check while no daemon runs: the store is opened for it alone, and only --repair changes anything.

The caller holds the lock on the data root.
"""

import contextlib
import os
from collections.abc import Iterator

from corten.engine.fsck import salvage
from corten.engine.fsck.check import check
from corten.engine.fsck.subject import Findings, Options, Subject
from corten.engine.imagestore import ImageStore
from corten.engine.paths import Paths
from corten.engine.shelf import Shelf
from corten.network.store import NetworkStore
from corten.runtime.conmon import find_monitors
from corten.store.database import Database
from corten.store.snapshot import Snapshots
from corten.volume.table import VolumeTable


def check_offline(paths: Paths, options: Options) -> Findings:
    """Everything that is wrong with the store under *paths*."""
    if not any(os.path.exists(f"{paths.data_root}/{name}") for name in ("state.db", "content", "snapshots", "volumes")):
        return
    problem = salvage.state_of(paths.database)
    if problem:
        yield from salvage.lost(paths, problem, options.repair)
        if not options.repair:
            return  # without records nothing else can be judged
    with _opened(paths, options) as subject:
        if problem:
            yield from salvage.rebuild(subject)
        yield from check(subject)


@contextlib.contextmanager
def _opened(paths: Paths, options: Options) -> Iterator[Subject]:
    paths.make()
    with contextlib.ExitStack() as scope:
        database = Database(paths.database, dry=not options.repair)
        scope.callback(database.close)
        snapshots = Snapshots(f"{paths.data_root}/snapshots", database)
        scope.callback(snapshots.close)
        store = ImageStore(f"{paths.data_root}/content", database, snapshots, lambda *_: None)
        shelf = Shelf(database)
        shelf.load()
        records = [container.record for container in shelf]
        NetworkStore(database).all()
        volumes = [row[0] for row in VolumeTable(database).rows()]
        yield Subject(
            paths=paths,
            database=database,
            store=store,
            records=lambda: records,
            running=lambda: find_monitors(paths.run_root),
            volumes=lambda: volumes,
            rewrite=lambda kind, key: False,
            options=options,
        )
        snapshots.drain()
