"""Looking inside containers: processes, changed files, sizes, and where their files are on the host."""

import contextlib
from collections.abc import Iterator

from corten import errors
from corten.engine.container import Container
from corten.engine.life import Life
from corten.engine.places import Places
from corten.engine.top import top
from corten.linux import cgroup
from corten.runtime.spec import cgroup_path

Texts = list[str]
Rows = list[list[str]]
Changes = list[tuple[str, int]]


class Views:
    """All coroutines run on the engine's loop."""

    def __init__(self, life: Life) -> None:
        self._life = life

    async def top(self, reference: str, ps_args: str = "") -> tuple[Texts, Rows]:
        """(titles, rows) of the processes. Conflict when it does not run."""
        container = self._life.shelf.get(reference)
        await container.started()
        if container.state.status == "restarting":
            raise errors.Conflict(f"container {container.id} is restarting, wait until the container is running")
        if not container.alive:
            raise errors.Conflict(f"container {container.id} is not running")
        layout, path = self._life.launcher.host.cgroups, cgroup_path(container.record)
        found = await self._life.call(lambda: top(ps_args, set(cgroup.pids(layout, path))))
        self._life.emit(container, "top")
        return found

    async def changes(self, reference: str) -> Changes:
        """What the container changed of its image: (path, 0 modified, 1 added, 2 deleted)."""
        container = self._life.shelf.get(reference)
        with self._unless_removed(container):
            return await self._life.call(self._life.launcher.snapshots.changes, container.id)

    async def sizes(self, reference: str) -> tuple[int, int]:
        """(bytes in the writable layer, bytes of the whole file system)."""
        container = self._life.shelf.get(reference)
        snapshots = self._life.launcher.snapshots
        with self._unless_removed(container):
            own = await self._life.call(snapshots.usage, container.id)
            return own, own + sum(layer.size for layer in snapshots.chain(snapshots.chain_of(container.id)))

    @contextlib.contextmanager
    def _unless_removed(self, container: Container) -> Iterator[None]:
        """Files that are not there because the container is removed at this moment: NotFound."""
        try:
            yield
        except FileNotFoundError as error:
            if container.state.status == "removing" or not any(each is container for each in self._life.shelf):
                raise errors.NotFound(f"No such container: {container.id}") from error
            raise

    def places(self, reference: str) -> Places:
        """Host paths of its files; those of the network exist from the first start on."""
        container = self._life.shelf.get(reference)
        paths, record = self._life.launcher.paths, container.record
        directory = paths.container(record.id)
        made = container.state.has_been_started
        sandbox = self._life.launcher.networks.sandbox(record.id) if container.alive else None
        return Places(
            hosts=f"{directory}/hosts" if made else "",
            hostname=f"{directory}/hostname" if made else "",
            resolv_conf=f"{directory}/resolv.conf" if made else "",
            log=paths.log(record.id) if record.log_driver == "json-file" else "",
            sandbox_id=sandbox.name if sandbox else "",
            sandbox_key=sandbox.path if sandbox else "",
        )
