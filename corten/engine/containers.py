"""Containers: the use cases of the API's group "container". What happens to one between them is in ``life``."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Iterable, Mapping, Sequence

from msgspec.structs import replace

from corten import errors
from corten.engine import lifecycle, names
from corten.engine.container import Container
from corten.engine.controls import apply_limits, freeze
from corten.engine.draft import Drafts
from corten.engine.events import Events
from corten.engine.images import Images
from corten.engine.life import DEFAULT_STOP_TIMEOUT, KILL_WAIT, Callbacks, Life, within
from corten.engine.making import make, unmake
from corten.engine.prunefilter import PruneFilter
from corten.engine.settings import Settings
from corten.engine.uninterrupted import uninterrupted
from corten.model.container import ContainerConfig, EndpointSettings, HostConfig
from corten.model.record import Record
from corten.oci.platform import Platform
from corten.runtime import resources
from corten.runtime.signals import parse as parse_signal
from corten.runtime.signals import stop_signal
from corten.runtime.validate import check_update

Texts = list[str]


class Containers:
    """All coroutines run on the engine's loop."""

    def __init__(self, life: Life, images: Images, events: Events, settings: Settings) -> None:
        self._life = life
        self._shelf = life.shelf
        self._launcher = life.launcher
        self._events = events
        self._images = images
        self._drafts = Drafts(life.shelf, images, life.launcher, settings)
        self._pruning = False
        self.on_remove: Callbacks = []
        life.remove = self._remove

    # looking

    def get(self, reference: str) -> Container:
        """NotFound "No such container: x"; InvalidArgument for an ambiguous prefix."""
        return self._shelf.get(reference)

    def list(self) -> "Sequence[Container]":
        """Every container, newest first."""
        return sorted(self._shelf, key=lambda each: each.record.created, reverse=True)

    # create

    @uninterrupted
    async def create(
        self,
        name: str | None,
        config: ContainerConfig,
        host: HostConfig,
        endpoints: dict[str, EndpointSettings] | None = None,
        platform: Platform | None = None,
    ) -> tuple[str, Texts]:
        """Make a container; returns (id, warnings). One hop to a thread, one commit, no mount and no process."""
        self._launcher.migrations.announce()  # most containers are started as soon as they exist
        draft = self._drafts.make(name, config, host, endpoints or {}, platform)
        record = draft.record
        self._shelf.reserve(record.name, record.id)
        try:
            record = await self._life.call(
                make, self._launcher, self._shelf, record, draft.chain_id, draft.image_volumes, self._record_of
            )
        except BaseException:
            self._shelf.free(record.name)
            raise
        container = Container(record)
        self._shelf.add(container)
        self._life.emit(container, "create")
        return record.id, draft.warnings

    def _record_of(self, reference: str) -> Record:
        return self._shelf.get(reference).record

    # start, stop, kill, restart

    @uninterrupted
    async def start(self, reference: str) -> None:
        """Run the container. NotModified when it runs already, Conflict while paused or being removed."""
        container = self.get(reference)
        if container.stopping and container.state.status == "running":  # a patient stop holds the lock
            raise errors.NotModified(f"container {container.id} is already running")
        async with self._life.holding(container):
            state = container.state
            if state.status == "paused":
                raise errors.Conflict("cannot start a paused container, try unpause instead")
            if state.status in ("removing", "dead"):
                raise errors.Conflict("container is marked for removal and cannot be started")
            if state.status == "running":
                raise errors.NotModified(f"container {container.id} is already running")
            self._life.cancel_restart(container)
            container.restart_delay = 0.0
            await self._life.launch(container, by_policy=False)
            await self._shelf.saved()

    @uninterrupted
    async def stop(self, reference: str, timeout: int | None = None, signal_name: str | None = None) -> None:
        """Ask it to end, insist after *timeout* seconds (-1 never). NotModified when it does not run."""
        container = self.get(reference)
        if await self._hastened(container, timeout, signal_name):
            return
        async with self._life.holding(container):
            if self._life.cancel_restart(container):
                container.enter(lifecycle.stopped_by_hand(container.state))
                self._shelf.save(container)
                await self._shelf.saved()
                return
            if not container.alive:
                raise errors.NotModified(f"container {container.id} is not running")
            await self._stop(container, timeout, signal_name)
            await self._shelf.saved()

    async def _stop(self, container: Container, timeout: int | None, signal_name: str | None) -> None:
        """The stop proper; the caller holds the lock and the container has a process."""
        container.stopping = True
        try:
            await self._end_within(container, timeout, signal_name)
        finally:
            container.stopping = False
        container.enter(lifecycle.stopped_by_hand(container.state))
        self._shelf.save(container)
        self._life.emit(container, "stop")

    async def _hastened(self, container: Container, timeout: int | None, signal_name: str | None) -> bool:
        """Whether another stop is under way, and holds the lock: it then ends in this one's time if that is less."""
        if not (container.stopping and container.alive):
            return False
        await self._end_within(container, timeout, signal_name)
        return True

    async def _end_within(self, container: Container, timeout: int | None, signal_name: str | None) -> None:
        """A signal, and SIGKILL when that does not help in *timeout* seconds."""
        number = parse_signal(signal_name) if signal_name else stop_signal(container.config.stop_signal)
        wanted = container.config.stop_timeout if timeout is None else timeout
        patience = 0 if container.condemned else DEFAULT_STOP_TIMEOUT if wanted is None else wanted
        gone = self._life.exit_future(container)
        await self._life.signal(container, number, wake=True)
        if not await within(gone, None if patience < 0 else float(patience)):
            await self._life.signal(container, signal.SIGKILL, wake=True)
            if not await within(gone, KILL_WAIT):
                raise errors.System(f"container {container.id} did not end after SIGKILL")

    @uninterrupted
    async def kill(self, reference: str, signal_name: str | None = None) -> None:
        """Send a signal; SIGKILL also waits for the exit. Conflict when it does not run."""
        container = self.get(reference)
        number = parse_signal(signal_name or "KILL")
        await container.started()
        if not container.alive:
            if container.state.status == "restarting":
                async with self._life.holding(container):
                    self._life.cancel_restart(container)
                return
            raise errors.Conflict(f"cannot kill container: {reference}: container {container.id} is not running")
        if number in (signal.SIGKILL, stop_signal(container.config.stop_signal)):
            container.enter(lifecycle.stopped_by_hand(container.state))
            self._shelf.save(container)
        if number != signal.SIGKILL:
            await self._life.signal(container, number, wake=False)
            return
        gone = self._life.exit_future(container)
        container.stopping = True
        try:
            await self._life.signal(container, number, wake=True)
            if not await within(gone, KILL_WAIT):
                raise errors.System(f"container {container.id} did not end after SIGKILL")
        finally:
            container.stopping = False
        await self._shelf.saved()

    @uninterrupted
    async def restart(self, reference: str, timeout: int | None = None, signal_name: str | None = None) -> None:
        """Stop if it runs, then start."""
        container = self.get(reference)
        await self._hastened(container, timeout, signal_name)
        async with self._life.holding(container):
            self._life.cancel_restart(container)
            if container.alive:
                container.kept = True
                try:
                    await self._stop(container, timeout, signal_name)
                finally:
                    container.kept = False
            await self._life.launch(container, by_policy=False)
            await self._shelf.saved()
            self._life.emit(container, "restart")

    # pause

    @uninterrupted
    async def pause(self, reference: str, *, passing: bool = False) -> None:
        """Freeze every process. A *passing* pause is part of another use case: the next daemon would thaw it."""
        container = self.get(reference)
        async with self._life.holding(container):
            if container.state.status == "paused":
                raise errors.Conflict(f"container {container.id} is already paused")
            if container.state.status == "restarting":
                raise errors.Conflict(f"container {container.id} is restarting, wait until the container is running")
            if container.state.status != "running":
                raise errors.Conflict(f"container {container.id} is not running")
            await self._life.call(freeze, self._launcher, container, True)
            container.enter(lifecycle.paused(container.state))
            container.passing = passing
            try:
                await self._shelf.commit(container)
            except BaseException:
                if container.state.status == "paused":
                    await self._life.call(freeze, self._launcher, container, False)
                    container.enter(lifecycle.resumed(container.state))
                raise
            self._life.emit(container, "pause")

    @uninterrupted
    async def unpause(self, reference: str) -> None:
        """Let a paused container go on."""
        container = self.get(reference)
        async with self._life.holding(container):
            if container.state.status != "paused":
                raise errors.System(f"Container {container.id} is not paused")
            await self._life.call(freeze, self._launcher, container, False)
            container.enter(lifecycle.resumed(container.state))
            self._shelf.save(container)
            await self._shelf.saved()
            self._life.emit(container, "unpause")

    # wait

    def wait(self, reference: str, condition: str = "not-running") -> Awaitable[tuple[int, str]]:
        """Checks at once, then awaits (exit code, error text). Conditions: not-running, next-exit, removed."""
        container = self.get(reference)
        if condition not in ("", "not-running", "next-exit", "removed"):
            raise errors.InvalidArgument(f'invalid condition: "{condition}"')
        if condition == "removed":
            return self._life.waiter(container.removal_waiters)
        if condition == "next-exit" or container.active or container.cleaning:
            return self._life.waiter(container.exit_waiters)
        future: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        future.set_result((container.state.exit_code, container.state.error))
        return future

    # remove, rename, update

    @uninterrupted
    async def remove(self, reference: str, force: bool = False, volumes: bool = False, link: bool = False) -> None:
        """Delete the container, with *volumes* its anonymous volumes too. Conflict while it runs, unless *force*."""
        container = self.get(reference)
        if link:
            raise errors.NotSupported("legacy links are not supported, so there is no link to remove")
        if container.state.status == "removing":
            raise errors.Conflict(f"removal of container {reference} is already in progress")
        if not force and container.active:
            state = "paused" if container.state.status == "paused" else container.state.status
            hint = {
                "paused": "container is paused and must be unpaused first",
                "restarting": "container is restarting: stop the container before removing or force remove",
            }.get(state, "container is running: stop the container before removing or force remove")
            raise errors.Conflict(f'cannot remove container "{container.name}": {hint}')
        container.condemned += force
        try:
            if force and container.stopping:  # a patient stop holds the lock
                await self._life.signal(container, signal.SIGKILL, wake=True)
            await self._remove(container, volumes=volumes, force=force)
        finally:
            container.condemned -= force

    async def _remove(self, container: Container, *, volumes: bool, force: bool) -> None:
        async with container.committing, self._life.holding(container):
            self._life.cancel_restart(container)
            if container.alive:
                if not force:
                    raise errors.Conflict(f'cannot remove container "{container.name}": container is running')
                await self._kill_for_removal(container)
            await self._life.settled(container)
            code = container.state.exit_code
            container.enter(lifecycle.removing(container.state))
            for session in container.sessions:
                session.connect(None)
            try:
                await self._life.call(unmake, self._launcher, self._shelf, self._images, container.record, volumes)
            except BaseException as error:
                container.enter(lifecycle.dead(container.state, str(error)))
                self._shelf.save(container)
                raise
            self._shelf.forget(container)
            for told in self.on_remove:
                told(container)
            self._life.emit(container, "destroy")
            self._life.notify(container.exit_waiters, (code, ""))
            self._life.notify(container.removal_waiters, (code, ""))

    async def _kill_for_removal(self, container: Container) -> None:
        container.stopping = container.kept = True  # this removal is the automatic one, too
        try:
            gone = self._life.exit_future(container)
            await self._life.signal(container, signal.SIGKILL, wake=True)
            if not await within(gone, KILL_WAIT):
                raise errors.System(f"container {container.id} did not end after SIGKILL")
        finally:
            container.stopping = container.kept = False

    @uninterrupted
    async def rename(self, reference: str, new: str) -> None:
        """Give it another name. Conflict when that is taken, InvalidArgument when it is empty or malformed."""
        container = self.get(reference)
        if not new:
            raise errors.InvalidArgument("Neither old nor new names may be empty")
        new = names.check(new)
        async with self._life.holding(container):
            old = container.name
            if new == old:
                raise errors.InvalidArgument("Renaming a container with the same name as its current name")
            try:
                self._shelf.reserve(new, container.id)
            except errors.Conflict as error:
                raise errors.Conflict(f"Error when allocating new name: {error}") from error
            container.record = replace(container.record, name=new)
            try:
                await self._shelf.commit(container)
            except BaseException:
                container.record = replace(container.record, name=old)
                self._shelf.free(new)
                raise
            self._shelf.free(old)
            self._life.emit(container, "rename", oldName=f"/{old}")

    @uninterrupted
    async def update(self, reference: str, wanted: HostConfig, sent: Iterable[str] = ()) -> Texts:
        """Change resources and restart policy; a running container gets them at once. Returns warnings."""
        container = self.get(reference)
        sent = set(sent)
        async with self._life.holding(container):
            if container.state.status in ("removing", "dead"):
                raise errors.Conflict("container is marked for removal and cannot be updated")
            changed = resources.update(container.host_config, wanted, sent)
            if wanted.restart_policy.name:
                if container.host_config.auto_remove:
                    raise errors.InvalidArgument(
                        "Restart policy cannot be updated because AutoRemove is enabled for the container"
                    )
                changed = replace(changed, restart_policy=wanted.restart_policy)
            warnings = check_update(container.host_config, wanted, self._launcher.host)
            former = container.record
            container.record = replace(former, host_config=changed, limits_due=container.alive)
            try:
                await self._shelf.commit(container)
                if container.alive:
                    await self._life.call(apply_limits, self._launcher, container)
            except BaseException:
                container.record = replace(container.record, host_config=former.host_config)
                if container.alive:
                    with contextlib.suppress(errors.CortenError, OSError):  # else the next daemon does it
                        await self._life.call(apply_limits, self._launcher, container)
                        container.record = replace(container.record, limits_due=False)
                self._shelf.save(container)
                raise
            if container.record.limits_due:
                container.record = replace(container.record, limits_due=False)
                self._shelf.save(container)
            self._life.emit(container, "update")
        return warnings

    @uninterrupted
    async def prune(self, filters: Mapping[str, Sequence[str]]) -> tuple[Texts, int]:
        """Remove what does not run and *filters* (label, label!, until) take in; returns (ids, bytes freed)."""
        wanted = PruneFilter(filters, ("label", "label!", "until"))
        if self._pruning:
            raise errors.Conflict("a prune operation is already running")
        self._pruning = True
        try:
            deleted: Texts = []
            freed = 0
            for container in self.list():
                if container.active or container.state.status == "removing":
                    continue
                if not wanted.matches(container.config.labels or {}, container.record.created):
                    continue
                try:
                    size = await self._life.call(self._launcher.snapshots.usage, container.id)
                    await self._remove(container, volumes=False, force=False)
                except (errors.NotFound, errors.Conflict):
                    continue  # removed or started meanwhile
                deleted.append(container.id)
                freed += size
            self._events.emit("container", "prune", "", {"reclaimed": str(freed)})
            return deleted, freed
        finally:
            self._pruning = False
