"""One container's life between create and remove: launched, watched, ended, started again by its policy.

Locking: what changes a container's life holds ``container.lock``; exits are handled without it (a stop that holds the
lock is waiting for just that exit), so an exit only touches state on the loop and hands the rest to ``cleanup``, which
start and remove wait for. Nothing that one container does holds a lock that another needs.
"""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Executor
from typing import Protocol, TypeVar

from msgspec.structs import replace

from corten import errors
from corten.engine import lifecycle
from corten.engine.container import Container, Waiters
from corten.engine.controls import freeze
from corten.engine.events import Events
from corten.engine.joining import joined
from corten.engine.launcher import Launched, Launcher
from corten.engine.restartpolicy import next_delay, wants_restart
from corten.engine.shelf import Shelf
from corten.engine.uninterrupted import settle
from corten.model.container import ContainerConfig, EndpointSettings
from corten.model.record import Record
from corten.runtime.conmon import Exit, Monitor
from corten.runtime.modes import container_ref
from corten.runtime.process import orphans
from corten.runtime.signals import stop_signal

log = logging.getLogger("corten.containers")
T = TypeVar("T")
Callbacks = list[Callable[[Container], None]]

KILL_WAIT = 10.0
"""Seconds that an explicit SIGKILL waits for the exit to arrive."""

DEFAULT_STOP_TIMEOUT = 10


class Remove(Protocol):
    """Removes a container whose lock the caller does not hold."""

    async def __call__(self, container: Container, *, volumes: bool, force: bool) -> None: ...


class Life:
    """See the module. All coroutines run on the engine's loop."""

    remove: Remove
    """The removal proper, for automatic ones; the use cases set it."""

    def __init__(self, shelf: Shelf, launcher: Launcher, events: Events, pool: Executor) -> None:
        self.shelf = shelf
        self.launcher = launcher
        self._events = events
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self.closing = False
        self.on_start: Callbacks = []
        """Told when a program runs (health checks, log shipping, stats)."""
        self.on_stop: Callbacks = []

    # start

    async def launch(self, container: Container, *, by_policy: bool) -> None:
        """The start proper. The caller holds the lock."""
        await self.settled(container)
        container.starting = self._loop.create_future()
        try:
            donors = joined(container, self.shelf.get, self.launcher.paths)
            launched = await self.call(self.launcher.launch, container.record, donors, self._on_created(container))
        except BaseException as error:
            self._start_failed(container, error)
            raise
        else:
            self._running(container, launched, by_policy=by_policy)
        finally:
            container.starting.set_result(None)
            container.starting = None

    def _on_created(self, container: Container) -> Callable[[Monitor, Record], None]:
        """Connects the sessions that wait for this start; runs in the launching thread.

        The record is written before the program runs: a daemon that takes it over must know its addresses and ports.
        """

        def connect(monitor: Monitor, record: Record) -> None:
            self.shelf.write(record)
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
        self.emit(container, "start")
        self.watch(container)

    def watch(self, container: Container) -> None:
        """Wait for the exit of a running container, without a thread, and tell those who follow running ones."""
        monitor = container.monitor
        assert monitor is not None
        self._loop.add_reader(monitor.pidfd, self._exited, container)
        container.began = time.monotonic_ns() - max(0, time.time_ns() - container.state.started_at)
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
        self.emit(container, "die", exitCode=str(code))
        if restarting:  # else nothing ran: who waits for the next exit goes on waiting, and start has the error
            self.notify(container.exit_waiters, (code, str(error)))
        if container.host_config.auto_remove:
            self._own(self._auto_remove(container))

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
            self.emit(container, "oom")
        ran_for = time.monotonic_ns() - container.began if container.began else ended - state.started_at
        container.began = 0
        self.emit(container, "die", exitCode=str(outcome.code), execDuration=str(ran_for // 1_000_000_000))
        container.held = held
        container.cleanup = self._own(self._clean(container, outcome, again))
        if again and self.closing:
            return  # the next daemon will see that a restart is due
        if again:
            container.restart_delay = next_delay(container.restart_delay, ran_for)
            container.restart = self._own(self._restart_later(container))
            return
        if container.host_config.auto_remove and not (container.kept or self.closing):
            self._own(self._auto_remove(container))

    async def _clean(self, container: Container, outcome: Exit, again: bool) -> None:
        try:
            await self._give_back(container)
            if not outcome.recorded:  # conmon was killed, so the container's init became our child
                await self.call(orphans.sweep)
        finally:
            # whoever waited may at once want the ports and names that were held
            if not again:
                self.notify(container.exit_waiters, (outcome.code, ""))

    async def _give_back(self, container: Container) -> None:
        """What the last run held. A failure is logged: whatever it is, the container must remain removable."""
        try:
            try:
                await self.call(self.launcher.clean, container.held)
            except (errors.CortenError, OSError):
                await self.call(self.launcher.clean, container.held)  # once more: most troubles pass
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
                await self.launch(container, by_policy=True)
            except (errors.CortenError, OSError) as error:
                log.error("container %s: restart failed: %s", container.id[:12], error)

    async def _donors_started(self, container: Container) -> None:
        """Wait for restarts, due or under way, of the containers whose namespaces it joins: they come first."""
        host = container.host_config
        for reference in filter(None, map(container_ref, (host.pid_mode, host.ipc_mode, host.network_mode))):
            with contextlib.suppress(errors.NotFound):  # the start itself says so
                donor = self.shelf.get(reference)
                if donor.restart is not None:
                    await asyncio.wait({donor.restart})
                async with donor.lock:
                    pass

    async def _auto_remove(self, container: Container) -> None:
        try:
            await self.remove(container, volumes=True, force=True)
        except errors.NotFound:
            pass  # somebody was faster
        except (errors.CortenError, OSError) as error:
            log.error("container %s: automatic removal failed: %s", container.id[:12], error)

    def cancel_restart(self, container: Container) -> bool:
        """Call off a restart that is due; True when there was one. The caller holds the lock."""
        if container.state.status != "restarting":
            return False
        if container.restart is not None:
            container.restart.cancel()
            container.restart = None
        container.enter(lifecycle.gave_up(container.state))
        self.shelf.save(container)
        self.notify(container.exit_waiters, (container.state.exit_code, ""))
        return True

    async def settled(self, container: Container) -> None:
        """Until the former run has given everything back."""
        if container.cleanup is not None:
            await asyncio.wait({container.cleanup})
            container.cleanup = None
        if container.held is not None:
            await self._give_back(container)  # what was in the way may have gone meanwhile

    # signals

    async def signal(self, container: Container, number: int, *, wake: bool) -> None:
        """To the container's first process; *wake* also thaws it, as a frozen one cannot end."""
        monitor = container.monitor
        if monitor is None:
            return
        monitor.signal(number)
        self.emit(container, "kill", signal=str(number))
        if wake and container.state.status == "paused":
            with contextlib.suppress(OSError, errors.Conflict):  # it has ended already, frozen as it was
                await self.call(freeze, self.launcher, container, False)

    def exit_future(self, container: Container) -> "asyncio.Future[tuple[int, str]]":
        """Done when its run has ended, or at once when none is there: (exit code, error text)."""
        if container.monitor is not None:
            return self.waiter(container.exit_waiters)
        future: asyncio.Future[tuple[int, str]] = self._loop.create_future()
        future.set_result((container.state.exit_code, ""))
        return future

    def waiter(self, waiters: Waiters) -> "asyncio.Future[tuple[int, str]]":
        """A future in *waiters* for as long as somebody waits for it."""
        future: asyncio.Future[tuple[int, str]] = self._loop.create_future()
        waiters.add(future)
        future.add_done_callback(waiters.discard)
        return future

    @staticmethod
    def notify(waiters: Waiters, outcome: tuple[int, str]) -> None:
        """Tell everybody in *waiters*, once."""
        for future in waiters:
            if not future.done():
                future.set_result(outcome)
        waiters.clear()  # now, as somebody may begin to wait for the next exit before the futures' callbacks run

    # with the machine and with the daemon

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
                await self.launch(container, by_policy=True)
            except (errors.CortenError, OSError) as error:
                log.error("container %s: start by its restart policy failed: %s", container.id[:12], error)

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
        async with self.holding(container):
            for number, seconds in ((stop_signal(config.stop_signal), patience), (signal.SIGKILL, KILL_WAIT)):
                if container.alive:
                    await self.signal(container, number, wake=True)
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

    # helpers

    @contextlib.asynccontextmanager
    async def holding(self, container: Container) -> AsyncIterator[None]:
        """The container's lock. NotFound when somebody removed it while we waited: it must not come to life again."""
        async with container.lock:
            self.shelf.get(container.id)
            yield

    def emit(self, container: Container, action: str, **extra: str) -> None:
        """Send one event of *container*."""
        self._events.emit("container", action, container.id, {**container.attributes(), **extra})

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Run blocking code in a thread of the engine's pool."""
        return await self._loop.run_in_executor(self._pool, function, *arguments)

    def _own(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


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


async def within(future: "asyncio.Future[T]", seconds: float | None) -> bool:
    """Whether *future* is done before *seconds* have passed."""
    done, _ = await asyncio.wait({future}, timeout=seconds)
    return bool(done)
