"""``docker export``: the root file system of a container as a tar stream, without its volumes."""

import asyncio
from collections.abc import Callable, Iterator

from corten import errors
from corten.engine.archive import Target
from corten.engine.download import Download
from corten.engine.rootview import RootViews
from corten.engine.treetar import TreeTar
from corten.linux.pool import Pool
from corten.wire import tarwrite


class Exports:
    """The use case. *get* finds a container, *emit* tells an event: (container, action)."""

    def __init__(
        self, views: RootViews, get: Callable[[str], Target], emit: Callable[[Target, str], None], threads: int = 4
    ) -> None:
        self._views = views
        self._get = get
        self._emit = emit
        self._pool = Pool(threads, "export")

    async def export(self, reference: str) -> Download:
        """The archive; members are named "bin/sh". Conflict for a container on its way out."""
        container = self._get(reference)
        record = container.record
        if record.state.status == "dead":
            raise errors.Conflict(f"You cannot export container {record.id} which is Dead")
        if record.state.status == "removing":
            raise errors.Conflict(f"You cannot export container {record.id} which is being removed")
        loop = asyncio.get_running_loop()
        root = await loop.run_in_executor(self._pool, self._views.open_snapshot, record)
        self._emit(container, "export")
        return Download(self._pool, _tar(root), (root,))

    async def close(self) -> None:
        """Let running exports end, refuse new ones."""
        await asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)


def _tar(root: int) -> Iterator[bytes]:
    yield from TreeTar().children(root, b"")
    yield tarwrite.TRAILER
