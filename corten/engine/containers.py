"""Containers: the use cases of the API's group "container".

Locking: what changes a container's life holds ``container.lock``; exits are handled without it (a stop that holds the
lock is waiting for just that exit), so an exit only touches state on the loop and hands the rest to ``cleanup``, which
start and remove wait for. Nothing that one container does holds a lock that another needs.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from typing import TypeVar

from msgspec.structs import replace

from corten import errors
from corten.engine import lifecycle, names
from corten.engine.attach import Session
from corten.engine.container import Container
from corten.engine.draft import Drafts
from corten.engine.events import Events
from corten.engine.images import Images
from corten.engine.launcher import Joined, Launched, Launcher
from corten.engine.peer import Peer
from corten.engine.places import Places
from corten.engine.prunefilter import PruneFilter
from corten.engine.restartpolicy import next_delay, wants_restart
from corten.engine.settings import Settings
from corten.engine.shelf import Shelf
from corten.engine.top import top
from corten.engine.uninterrupted import settle, uninterrupted
from corten.linux import cgroup
from corten.model.container import ContainerConfig, EndpointSettings, HostConfig
from corten.model.record import Record
from corten.oci.platform import Platform
from corten.runtime import resources
from corten.runtime.conmon import Exit, Monitor
from corten.runtime.modes import container_ref
from corten.runtime.ociruntime import OCIRuntime
from corten.runtime.process import orphans
from corten.runtime.signals import parse as parse_signal
from corten.runtime.signals import stop_signal
from corten.runtime.spec import cgroup_path
from corten.runtime.validate import check_update
from corten.wire import detachkeys

log = logging.getLogger("corten.containers")
T = TypeVar("T")
Replay = Callable[[Container, Peer, bool, bool], Awaitable[None]]
Waiters = set[asyncio.Future[tuple[int, str]]]
Texts = list[str]
Rows = list[list[str]]
Changes = list[tuple[str, int]]
Callbacks = list[Callable[[Container], None]]

KILL_WAIT = 10.0
"""Seconds that an explicit SIGKILL waits for the exit to arrive."""

DEFAULT_STOP_TIMEOUT = 10

FREEZE_WAIT = 10.0


class Containers:
    """See the module. All coroutines run on the engine's loop."""

    def __init__(
        self,
        *,
        shelf: Shelf,
        launcher: Launcher,
        images: Images,
        events: Events,
        settings: Settings,
        pool: Executor,
    ) -> None:
        self.shelf = shelf
        self._launcher = launcher
        self._events = events
        self._images = images
        self._drafts = Drafts(shelf, images, launcher, settings)
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pruning = False
        self.closing = False
        self.on_start: Callbacks = []
        """Told when a program runs (health checks, log shipping, stats)."""
        self.on_stop: Callbacks = []
        self.on_remove: Callbacks = []
        self.replay: Replay = _no_replay
        """Sends the log so far to a peer; set by the engine."""

    # looking

    def get(self, reference: str) -> Container:
        """NotFound "No such container: x"; InvalidArgument for an ambiguous prefix."""
        return self.shelf.get(reference)

    def list(self) -> "Sequence[Container]":
        """Every container, newest first."""
        return sorted(self.shelf, key=lambda each: each.record.created, reverse=True)

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
        self.shelf.reserve(record.name, record.id)
        try:
            record = await self._call(self._make, record, draft.chain_id, draft.image_volumes)
        except BaseException:
            self.shelf.free(record.name)
            raise
        container = Container(record)
        self.shelf.add(container)
        self._emit(container, "create")
        return record.id, draft.warnings

    def _make(self, record: Record, chain_id: str, image_volumes: Texts) -> Record:
        with contextlib.ExitStack() as undo:
            volumes, snapshots = self._launcher.volumes, self._launcher.snapshots
            undo.callback(volumes.unplan, record.id, record, True)
            mounts = volumes.plan(record.id, record.config, record.host_config, image_volumes, self._record_of)
            record = replace(record, mounts=mounts)
            snapshots.prepare(record.id, chain_id)
            undo.callback(snapshots.remove, record.id)
            directory = self._launcher.paths.container(record.id)
            os.makedirs(directory, mode=0o710)
            undo.callback(shutil.rmtree, directory, True)
            self.shelf.write(record)
            undo.pop_all()
        return record

    def _record_of(self, reference: str) -> Record:
        return self.shelf.get(reference).record

    # start

    @uninterrupted
    async def start(self, reference: str) -> None:
        """Run the container. NotModified when it runs already, Conflict while paused or being removed."""
        container = self.get(reference)
        async with self._holding(container):
            state = container.state
            if state.status == "paused":
                raise errors.Conflict("cannot start a paused container, try unpause instead")
            if state.status in ("removing", "dead"):
                raise errors.Conflict("container is marked for removal and cannot be started")
            if state.status == "running":
                raise errors.NotModified(f"container {container.id} is already running")
            self._cancel_restart(container)
            container.restart_delay = 0.0
            await self._launch(container, by_policy=False)

    async def _launch(self, container: Container, *, by_policy: bool) -> None:
        """The start proper. The caller holds the lock."""
        await self._settled(container)
        try:
            joined = self._joined(container)
            launched = await self._call(self._launcher.launch, container.record, joined, self._on_created(container))
        except BaseException as error:
            self._start_failed(container, error)
            raise
        self._running(container, launched, by_policy=by_policy)

    def _on_created(self, container: Container) -> Callable[[Monitor], None]:
        """Connects the sessions that wait for this start; runs in the launching thread."""

        def connect(monitor: Monitor) -> None:
            for session in [each for each in container.sessions.copy() if each.waiting]:
                self._loop.call_soon_threadsafe(session.connect, monitor.attach_before_start())

        return connect

    def _running(self, container: Container, launched: Launched, *, by_policy: bool) -> None:
        monitor = launched.monitor
        container.monitor = monitor
        state = lifecycle.started(
            container.state, pid=monitor.pid, monitor_pid=monitor.conmon_pid, now=launched.started_at,
            health=has_health(container.config), by_policy=by_policy,
        )  # fmt: skip
        container.record = replace(
            container.record, endpoints=launched.record.endpoints, ports=launched.record.ports, state=state
        )
        self.shelf.save(container)
        self._emit(container, "start")
        self.watch(container)

    def watch(self, container: Container) -> None:
        """Wait for the exit of a running container, without a thread, and tell those who follow running ones."""
        monitor = container.monitor
        assert monitor is not None
        self._loop.add_reader(monitor.pidfd, self._exited, container)
        for told in self.on_start:
            told(container)

    def _start_failed(self, container: Container, error: BaseException) -> None:
        for session in container.sessions:
            session.connect(None)
        code = error.exit_code if isinstance(error, errors.StartFailed) else 128
        if isinstance(error, asyncio.CancelledError):
            return
        restarting = container.state.status == "restarting"
        container.enter(lifecycle.start_failed(container.state, exit_code=code, error=str(error)))
        self.shelf.save(container)
        self._emit(container, "die", exitCode=str(code))
        if restarting:  # else nothing ran: who waits for the next exit goes on waiting, and start has the error
            self._notify(container.exit_waiters, (code, str(error)))
        if container.host_config.auto_remove:
            self._own(self._auto_remove(container))

    def _joined(self, container: Container) -> Joined:
        """Namespaces of the containers that this one's modes name; they must be running."""
        host = container.host_config
        paths: dict[str, str] = {}
        for mode, kind in ((host.pid_mode, "pid"), (host.ipc_mode, "ipc"), (host.network_mode, "net")):
            if not mode.startswith("container:"):
                continue
            other = self.get(mode.removeprefix("container:"))
            if not other.alive:
                raise errors.Conflict(f"cannot join {kind} namespace: container {other.id} is not running")
            paths[kind] = f"/proc/{other.state.pid}/ns/{kind}"
            if kind == "ipc":
                if other.host_config.ipc_mode != "shareable":
                    hint = "(hint: use IpcMode:shareable for the donor container)"
                    raise errors.Conflict(f"can't join IPC of container {other.id}: non-shareable IPC {hint}")
                paths["shm"] = f"{self._launcher.paths.run(other.id)}/shm"
            if kind == "net":
                paths["files"], paths["hostname"] = other.id, other.config.hostname
        return Joined(
            pid_ns=paths.get("pid", ""), ipc_ns=paths.get("ipc", ""), netns=paths.get("net", ""),
            shm_source=paths.get("shm", ""), files_of=paths.get("files", ""), hostname=paths.get("hostname", ""),
        )  # fmt: skip

    # exit

    def _exited(self, container: Container) -> None:
        monitor = container.monitor
        assert monitor is not None
        self._loop.remove_reader(monitor.pidfd)
        outcome = monitor.finish()
        outcome.time = time.time_ns()  # finer than the record's file time, and now is when it ended
        monitor.close()
        container.monitor = None
        self.ended(container, outcome)

    def ended(self, container: Container, outcome: Exit) -> None:
        """Record an exit (also one that happened while no daemon ran) and let the policy decide what comes next."""
        for told in self.on_stop:
            told(container)
        state = container.state
        again = not container.stopping and wants_restart(container.host_config.restart_policy, state, outcome.code)
        derive = lifecycle.restarting if again else lifecycle.exited
        held = container.record
        ended = max(outcome.time, state.started_at)  # a file's time comes from a coarser clock
        container.record = replace(
            held,
            state=derive(state, exit_code=outcome.code, now=ended, oom=outcome.oom),
            endpoints=_unplugged(held),
            ports={},
        )
        self.shelf.save(container)
        if outcome.oom:
            self._emit(container, "oom")
        seconds = max(0, outcome.time - state.started_at) // 1_000_000_000
        self._emit(container, "die", exitCode=str(outcome.code), execDuration=str(seconds))
        container.held = held
        container.cleanup = self._own(self._clean(container, outcome, again))
        if again and self.closing:
            return  # the next daemon will see that a restart is due
        if again:
            container.restart_delay = next_delay(container.restart_delay, outcome.time - state.started_at)
            container.restart = self._own(self._restart_later(container))
            return
        if container.host_config.auto_remove and not (container.kept or self.closing):
            self._own(self._auto_remove(container))

    async def _clean(self, container: Container, outcome: Exit, again: bool) -> None:
        try:
            await self._give_back(container)
            if not outcome.recorded:  # conmon was killed, so the container's init became our child
                await self._call(orphans.sweep)
        finally:
            # whoever waited may at once want the ports and names that were held
            if not again:
                self._notify(container.exit_waiters, (outcome.code, ""))

    async def _give_back(self, container: Container) -> None:
        """What the last run held. A failure is logged: whatever it is, the container must remain removable."""
        try:
            await self._call(self._launcher.clean, container.held)
        except Exception as error:
            bug = None if isinstance(error, (errors.CortenError, OSError)) else error
            text = "container %s: what its run held was not all given back: %s"
            log.error(text, container.id[:12], error, exc_info=bug)
        else:
            container.held = None

    async def _restart_later(self, container: Container) -> None:
        await asyncio.sleep(container.restart_delay)
        await self._donors_started(container)
        async with container.lock:
            if container.state.status != "restarting":
                return
            container.restart = None
            try:
                await self._launch(container, by_policy=True)
            except (errors.CortenError, OSError) as error:
                log.error("container %s: restart failed: %s", container.id[:12], error)

    async def _donors_started(self, container: Container) -> None:
        """Wait for restarts, due or under way, of the containers whose namespaces it joins: they come first."""
        host = container.host_config
        for reference in filter(None, map(container_ref, (host.pid_mode, host.ipc_mode, host.network_mode))):
            with contextlib.suppress(errors.NotFound):  # the start itself says so
                donor = self.get(reference)
                if donor.restart is not None:
                    await asyncio.wait({donor.restart})
                async with donor.lock:
                    pass

    async def _auto_remove(self, container: Container) -> None:
        try:
            await self._remove(container, volumes=True, force=True)
        except errors.NotFound:
            pass  # somebody was faster
        except (errors.CortenError, OSError) as error:
            log.error("container %s: automatic removal failed: %s", container.id[:12], error)

    def _cancel_restart(self, container: Container) -> bool:
        """Call off a restart that is due; True when there was one. The caller holds the lock."""
        if container.state.status != "restarting":
            return False
        if container.restart is not None:
            container.restart.cancel()
            container.restart = None
        container.enter(lifecycle.gave_up(container.state))
        self.shelf.save(container)
        self._notify(container.exit_waiters, (container.state.exit_code, ""))
        return True

    async def _settled(self, container: Container) -> None:
        """Until the former run has given everything back."""
        if container.cleanup is not None:
            await asyncio.wait({container.cleanup})
            container.cleanup = None
        if container.held is not None:
            await self._give_back(container)  # what was in the way may have gone meanwhile

    # stop, kill, restart

    @uninterrupted
    async def stop(self, reference: str, timeout: int | None = None, signal_name: str | None = None) -> None:
        """Ask it to end, insist after *timeout* seconds (-1 never). NotModified when it does not run."""
        container = self.get(reference)
        async with self._holding(container):
            if self._cancel_restart(container):
                container.enter(lifecycle.stopped_by_hand(container.state))
                self.shelf.save(container)
                return
            if not container.alive:
                raise errors.NotModified(f"container {container.id} is not running")
            await self._stop(container, timeout, signal_name)

    async def _stop(self, container: Container, timeout: int | None, signal_name: str | None) -> None:
        """The stop proper; the caller holds the lock and the container has a process."""
        number = parse_signal(signal_name) if signal_name else stop_signal(container.config.stop_signal)
        if timeout is None:
            timeout = container.config.stop_timeout
        if timeout is None:
            timeout = DEFAULT_STOP_TIMEOUT
        container.stopping = True
        try:
            gone = self._exit_future(container)
            await self._signal(container, number, wake=True)
            if not await _within(gone, None if timeout < 0 else float(timeout)):
                await self._signal(container, signal.SIGKILL, wake=True)
                if not await _within(gone, KILL_WAIT):
                    raise errors.System(f"container {container.id} did not end after SIGKILL")
        finally:
            container.stopping = False
        container.enter(lifecycle.stopped_by_hand(container.state))
        self.shelf.save(container)
        self._emit(container, "stop")

    @uninterrupted
    async def kill(self, reference: str, signal_name: str | None = None) -> None:
        """Send a signal; SIGKILL also waits for the exit. Conflict when it does not run."""
        container = self.get(reference)
        number = parse_signal(signal_name or "KILL")
        if not container.alive:
            if container.state.status == "restarting":
                async with self._holding(container):
                    self._cancel_restart(container)
                return
            raise errors.Conflict(f"cannot kill container: {reference}: container {container.id} is not running")
        stops = number in (signal.SIGKILL, stop_signal(container.config.stop_signal))
        if stops:
            container.enter(lifecycle.stopped_by_hand(container.state))
            self.shelf.save(container)
        if number != signal.SIGKILL:
            await self._signal(container, number, wake=False)
            return
        gone = self._exit_future(container)
        container.stopping = True
        try:
            await self._signal(container, number, wake=True)
            if not await _within(gone, KILL_WAIT):
                raise errors.System(f"container {container.id} did not end after SIGKILL")
        finally:
            container.stopping = False

    async def _signal(self, container: Container, number: int, *, wake: bool) -> None:
        monitor = container.monitor
        if monitor is None:
            return
        monitor.signal(number)
        self._emit(container, "kill", signal=str(number))
        if wake and container.state.status == "paused":
            with contextlib.suppress(OSError):  # the signal may have ended it already, frozen as it was
                await self._call(self._freeze, container, False)

    def _exit_future(self, container: Container) -> "asyncio.Future[tuple[int, str]]":
        if container.monitor is not None:
            return self._waiter(container.exit_waiters)
        future: asyncio.Future[tuple[int, str]] = self._loop.create_future()
        future.set_result((container.state.exit_code, ""))
        return future

    def _waiter(self, waiters: Waiters) -> "asyncio.Future[tuple[int, str]]":
        """A future in *waiters* for as long as somebody waits for it."""
        future: asyncio.Future[tuple[int, str]] = self._loop.create_future()
        waiters.add(future)
        future.add_done_callback(waiters.discard)
        return future

    @uninterrupted
    async def restart(self, reference: str, timeout: int | None = None, signal_name: str | None = None) -> None:
        """Stop if it runs, then start."""
        container = self.get(reference)
        async with self._holding(container):
            self._cancel_restart(container)
            if container.alive:
                container.kept = True
                try:
                    await self._stop(container, timeout, signal_name)
                finally:
                    container.kept = False
            await self._launch(container, by_policy=False)
            self._emit(container, "restart")

    # pause

    @uninterrupted
    async def pause(self, reference: str) -> None:
        """Freeze every process."""
        container = self.get(reference)
        async with self._holding(container):
            if container.state.status == "paused":
                raise errors.Conflict(f"container {container.id} is already paused")
            if container.state.status == "restarting":
                raise errors.Conflict(f"container {container.id} is restarting, wait until the container is running")
            if container.state.status != "running":
                raise errors.Conflict(f"container {container.id} is not running")
            await self._call(self._freeze, container, True)
            container.enter(lifecycle.paused(container.state))
            self.shelf.save(container)
            self._emit(container, "pause")

    @uninterrupted
    async def unpause(self, reference: str) -> None:
        """Let a paused container go on."""
        container = self.get(reference)
        async with self._holding(container):
            if container.state.status != "paused":
                raise errors.System(f"Container {container.id} is not paused")
            await self._call(self._freeze, container, False)
            container.enter(lifecycle.resumed(container.state))
            self.shelf.save(container)
            self._emit(container, "unpause")

    def _freeze(self, container: Container, value: bool) -> None:
        """Through the cgroup's freezer and not the runtime's command: no process, and the same for every runtime."""
        layout, path = self._launcher.host.cgroups, self.cgroup_of(container)
        deadline = time.monotonic() + FREEZE_WAIT
        try:
            cgroup.set_frozen(layout, path, value)
            while cgroup.frozen(layout, path) is not value and not _ended(container):
                if time.monotonic() > deadline:
                    if value:
                        cgroup.set_frozen(layout, path, False)  # not half of it
                    raise errors.System(f"container {container.id} did not {'freeze' if value else 'thaw'} in time")
                time.sleep(0.001)
        except OSError:
            if not _ended(container):
                raise
        if _ended(container):  # killed at this very moment, and its exit waits for the lock that we hold
            raise errors.Conflict(f"container {container.id} is not running")

    # wait

    def wait(self, reference: str, condition: str = "not-running") -> Awaitable[tuple[int, str]]:
        """Checks at once, then awaits (exit code, error text). Conditions: not-running, next-exit, removed."""
        container = self.get(reference)
        if condition not in ("", "not-running", "next-exit", "removed"):
            raise errors.InvalidArgument(f'invalid condition: "{condition}"')
        if condition == "removed":
            return self._waiter(container.removal_waiters)
        if condition == "next-exit" or container.active or container.cleaning:
            return self._waiter(container.exit_waiters)
        future: asyncio.Future[tuple[int, str]] = self._loop.create_future()
        future.set_result((container.state.exit_code, container.state.error))
        return future

    @staticmethod
    def _notify(waiters: Waiters, outcome: tuple[int, str]) -> None:
        for future in waiters:
            if not future.done():
                future.set_result(outcome)
        waiters.clear()  # now, as somebody may begin to wait for the next exit before the futures' callbacks run

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
        if force and container.stopping:  # a patient stop holds the lock
            await self._signal(container, signal.SIGKILL, wake=True)
        await self._remove(container, volumes=volumes, force=force)

    async def _remove(self, container: Container, *, volumes: bool, force: bool) -> None:
        async with container.committing, self._holding(container):
            self._cancel_restart(container)
            if container.alive:
                if not force:
                    raise errors.Conflict(f'cannot remove container "{container.name}": container is running')
                await self._kill_for_removal(container)
            await self._settled(container)
            code = container.state.exit_code
            container.enter(lifecycle.removing(container.state))
            for session in container.sessions:
                session.connect(None)
            try:
                await self._call(self._unmake, container.record, volumes)
            except BaseException as error:
                container.enter(lifecycle.dead(container.state, str(error)))
                self.shelf.save(container)
                raise
            self.shelf.forget(container)
            for told in self.on_remove:
                told(container)
            self._emit(container, "destroy")
            self._notify(container.exit_waiters, (code, ""))
            self._notify(container.removal_waiters, (code, ""))

    async def _kill_for_removal(self, container: Container) -> None:
        container.stopping = container.kept = True  # this removal is the automatic one, too
        try:
            gone = self._exit_future(container)
            await self._signal(container, signal.SIGKILL, wake=True)
            if not await _within(gone, KILL_WAIT):
                raise errors.System(f"container {container.id} did not end after SIGKILL")
        finally:
            container.stopping = container.kept = False

    def _unmake(self, record: Record, volumes: bool) -> None:
        """Unrecord, then delete: what is left after a crash in between is garbage that the next start finds."""
        self.shelf.erase(record.id)
        self._launcher.volumes.unplan(record.id, record, volumes)
        self._launcher.snapshots.remove(record.id)
        self._images.container_removed(record.image)
        shutil.rmtree(self._launcher.paths.container(record.id), ignore_errors=True)

    @uninterrupted
    async def rename(self, reference: str, new: str) -> None:
        """Give it another name. Conflict when that is taken, InvalidArgument when it is empty or malformed."""
        container = self.get(reference)
        if not new:
            raise errors.InvalidArgument("Neither old nor new names may be empty")
        new = names.check(new)
        async with self._holding(container):
            old = container.name
            if new == old:
                raise errors.InvalidArgument("Renaming a container with the same name as its current name")
            try:
                self.shelf.reserve(new, container.id)
            except errors.Conflict as error:
                raise errors.Conflict(f"Error when allocating new name: {error}") from error
            container.record = replace(container.record, name=new)
            try:
                await self.shelf.commit(container)
            except BaseException:
                container.record = replace(container.record, name=old)
                self.shelf.free(new)
                raise
            self.shelf.free(old)
            self._emit(container, "rename", oldName=f"/{old}")

    @uninterrupted
    async def update(self, reference: str, wanted: HostConfig, sent: Iterable[str] = ()) -> Texts:
        """Change resources and restart policy; a running container gets them at once. Returns warnings."""
        container = self.get(reference)
        sent = set(sent)
        async with self._holding(container):
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
            if container.alive:
                limits = resources.for_host(changed, self._launcher.host)
                try:
                    await self._call(self._runtime_of(container).update, container.id, limits)
                except errors.System:
                    if not _ended(container):
                        raise
            container.record = replace(container.record, host_config=changed)
            await self.shelf.commit(container)
            self._emit(container, "update")
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
                    size = await self._call(self._launcher.snapshots.usage, container.id)
                    await self._remove(container, volumes=False, force=False)
                except (errors.NotFound, errors.Conflict):
                    continue  # removed or started meanwhile
                deleted.append(container.id)
                freed += size
            self._events.emit("container", "prune", "", {"reclaimed": str(freed)})
            return deleted, freed
        finally:
            self._pruning = False

    # attach, resize, top

    def check_attach(self, reference: str) -> Container:
        """Raises what attach would raise, before the connection is taken over."""
        container = self.get(reference)
        if container.state.status == "paused":
            raise errors.Conflict(f"container {reference} is paused, unpause the container before attach")
        if container.state.status == "restarting":
            raise errors.Conflict(f"container {reference} is restarting, wait until the container is running")
        return container

    async def attach(
        self,
        reference: str,
        peer: Peer,
        *,
        stdin: bool = False,
        stdout: bool = False,
        stderr: bool = False,
        logs: bool = False,
        stream: bool = False,
        detach_keys: str = "",
    ) -> None:
        """Join *peer* to the container's stdio until either ends. A container that does not run yet is waited for."""
        container = self.check_attach(reference)
        keys = detachkeys.parse(detach_keys) if stdin and container.config.tty else None
        session = Session(
            peer, stdin=stdin and container.config.open_stdin, stdout=stdout, stderr=stderr, detach_keys=keys
        )
        self._emit(container, "attach")
        try:
            if logs:
                await self.replay(container, peer, stdout, stderr)
            if stream and container.state.status not in ("dead", "removing"):
                container.sessions.add(session)
                if container.monitor is not None:
                    session.connect(await self._connection(container.monitor))
                await session.run()
            if session.detached:
                self._emit(container, "detach")
        finally:
            container.sessions.discard(session)
            peer.close()

    async def _connection(self, monitor: Monitor) -> socket.socket | None:
        """To the stdio of a running container; in a thread, as a stopped conmon does not accept."""
        try:
            return await self._call(monitor.attach)
        except OSError:
            return None  # it ends just now, and so does the session

    async def resize(self, reference: str, height: int, width: int) -> None:
        """Set the size of the container's terminal."""
        container = self.get(reference)
        monitor = container.monitor
        if monitor is None:
            raise errors.Conflict(f"container {container.id} is not running")
        await self._call(monitor.resize, height, width)
        self._emit(container, "resize", height=str(height), width=str(width))

    def check_detach_keys(self, keys: str) -> None:
        """InvalidArgument for a sequence that cannot be."""
        detachkeys.parse(keys)

    # looking inside

    async def top(self, reference: str, ps_args: str = "") -> tuple[Texts, Rows]:
        """(titles, rows) of the processes. Conflict when it does not run."""
        container = self.get(reference)
        if container.state.status == "restarting":
            raise errors.Conflict(f"container {container.id} is restarting, wait until the container is running")
        if not container.alive:
            raise errors.Conflict(f"container {container.id} is not running")
        layout, path = self._launcher.host.cgroups, self.cgroup_of(container)
        found = await self._call(lambda: top(ps_args, set(cgroup.pids(layout, path))))
        self._emit(container, "top")
        return found

    async def changes(self, reference: str) -> Changes:
        """What the container changed of its image: (path, 0 modified, 1 added, 2 deleted)."""
        container = self.get(reference)
        return await self._call(self._launcher.snapshots.changes, container.id)

    async def sizes(self, reference: str) -> tuple[int, int]:
        """(bytes in the writable layer, bytes of the whole file system)."""
        container = self.get(reference)
        snapshots = self._launcher.snapshots
        own = await self._call(snapshots.usage, container.id)
        return own, own + sum(layer.size for layer in snapshots.chain(snapshots.chain_of(container.id)))

    def places(self, reference: str) -> Places:
        """Host paths of its files; those of the network exist from the first start on."""
        container = self.get(reference)
        paths, record = self._launcher.paths, container.record
        directory = paths.container(record.id)
        made = container.state.has_been_started
        sandbox = self._launcher.networks.sandbox(record.id) if container.alive else None
        return Places(
            hosts=f"{directory}/hosts" if made else "",
            hostname=f"{directory}/hostname" if made else "",
            resolv_conf=f"{directory}/resolv.conf" if made else "",
            log=paths.log(record.id) if record.log_driver == "json-file" else "",
            sandbox_id=sandbox.name if sandbox else "",
            sandbox_key=sandbox.path if sandbox else "",
        )

    def cgroup_of(self, container: Container) -> str:
        """Its path below the cgroup roots."""
        return cgroup_path(container.record)

    def resume(self, container: Container, at_boot: bool) -> None:
        """After the daemon's start: carry out a restart or removal that is still due."""
        if container.monitor is not None or container.state.status == "running":
            return
        if container.host_config.auto_remove and container.state.status in ("exited", "dead"):
            self._own(self._auto_remove(container))
        elif at_boot and container.restart is None:
            container.restart = self._own(self._start_at_boot(container))

    async def _start_at_boot(self, container: Container) -> None:
        await asyncio.sleep(0)  # every container that is due has its task now
        await self._donors_started(container)
        async with container.lock:
            container.restart = None
            if container.state.status == "removing" or (container.active and container.state.status != "restarting"):
                return
            try:
                await self._launch(container, by_policy=True)
            except (errors.CortenError, OSError) as error:
                log.error("container %s: start by its restart policy failed: %s", container.id[:12], error)

    # helpers

    @contextlib.asynccontextmanager
    async def _holding(self, container: Container) -> AsyncIterator[None]:
        """The container's lock. NotFound when somebody removed it while we waited: it must not come to life again."""
        async with container.lock:
            self.shelf.get(container.id)
            yield

    def _runtime_of(self, container: Container) -> OCIRuntime:
        return self._launcher.runtimes(container.record.runtime)

    def _emit(self, container: Container, action: str, **extra: str) -> None:
        self._events.emit("container", action, container.id, {**container.attributes(), **extra})

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        return await self._loop.run_in_executor(self._pool, function, *arguments)

    def _own(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def end_all(self, longest: float) -> None:
        """The machine goes down: every container is asked to end, and killed after its own time, *longest* s at most.

        Nobody stopped them by hand, so the next boot starts those whose policy wants them running.
        """
        self.closing = True
        alive = [container for container in self.shelf if container.alive]
        outcomes = await asyncio.gather(*(self._end(each, longest) for each in alive), return_exceptions=True)
        for container, outcome in zip(alive, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                log.error("container %s could not be ended: %s", container.id[:12], outcome)

    async def _end(self, container: Container, longest: float) -> None:
        config = container.config
        wanted = DEFAULT_STOP_TIMEOUT if config.stop_timeout is None else config.stop_timeout
        patience = longest if wanted < 0 else min(longest, float(wanted))
        async with self._holding(container):
            for number, seconds in ((stop_signal(config.stop_signal), patience), (signal.SIGKILL, KILL_WAIT)):
                if container.alive:
                    await self._signal(container, number, wake=True)
                deadline = self._loop.time() + seconds
                # polled: waiters are told of a final exit only, and a policy may want another start
                while container.alive and self._loop.time() < deadline:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Let go: containers and their monitors go on without the daemon."""
        self.closing = True
        for container in self.shelf:
            if container.restart is not None:
                container.restart.cancel()
        await settle(timeout=10)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=10)
        for container in self.shelf:
            if container.monitor is not None:
                self._loop.remove_reader(container.monitor.pidfd)
                container.monitor.detach()
                container.monitor = None


def _ended(container: Container) -> bool:
    """Whether its run is over, also when its exit has not been handled yet. Any thread."""
    monitor = container.monitor
    return monitor is None or monitor.ended()


def has_health(config: ContainerConfig) -> bool:
    """Whether a health check is to run."""
    check = config.healthcheck
    return bool(check and check.test and check.test[0] in ("CMD", "CMD-SHELL"))


def _unplugged(record: Record) -> dict[str, EndpointSettings]:
    """What was asked for stays, with the network's id; what the endpoints had while running goes."""
    return {
        name: replace(wanted, network_id=record.endpoints[name].network_id if name in record.endpoints else "")
        for name, wanted in record.wanted_endpoints.items()
    }


async def _no_replay(container: Container, peer: Peer, stdout: bool, stderr: bool) -> None:
    raise errors.NotSupported("logs cannot be replayed: no log service is wired")


async def _within(future: "asyncio.Future[T]", seconds: float | None) -> bool:
    done, _ = await asyncio.wait({future}, timeout=seconds)
    return bool(done)
