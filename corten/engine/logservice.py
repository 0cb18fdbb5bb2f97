"""The background work of logs: rotation of what running containers write, shipping for remote drivers.

Rotation looks at the sizes of all live logs once a second, in one pass in a thread. Shipping has one task per container
with a remote driver; it starts with the container (or with the daemon) and ends when everything has been sent.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import NamedTuple

from corten import errors
from corten.engine.events import Events, Subscription
from corten.engine.logs import LoggedContainer, Logs
from corten.engine.logwatch import Monitor, Watch
from corten.linux.pool import Pool
from corten.runtime.logdrivers import registry
from corten.runtime.logdrivers.options import Storage
from corten.runtime.logdrivers.registry import LogPlan
from corten.runtime.logdrivers.tag import Source
from corten.runtime.logrotate import rotate_if_due
from corten.runtime.logship import Shipper

ROTATION_PERIOD = 1.0
SHIPPING_THREADS = 4
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0
GIVE_UP = 60.0
"""Seconds of failures after which the log of an ended container is no longer tried to be shipped."""

_LIVE = ("running", "paused")

log = logging.getLogger(__name__)


class LogPaths(NamedTuple):
    """Where a container's log is and where conmon's control fifo."""

    log: str
    control: str


class LogService:
    """Owner of the tasks. ``start`` and ``stop`` are for the daemon's wiring.

    *containers* gives all containers that exist; *paths_of* where one's files are.
    """

    def __init__(
        self,
        logs: Logs,
        events: Events,
        containers: Callable[[], Iterable[LoggedContainer]],
        paths_of: Callable[[str], LogPaths],
    ) -> None:
        self._logs = logs
        self._events = events
        self._containers = containers
        self._paths_of = paths_of
        self._tasks: list[asyncio.Task[None]] = []
        self._shipping: dict[str, asyncio.Task[None]] = {}
        self._rotation_pool: Executor = Pool(1, "log-rotation")
        self._shipping_pool: Executor = Pool(SHIPPING_THREADS, "log-shipping")
        self._failing: set[str] = set()

    async def start(self) -> None:
        """Begin; logs of remote drivers go on where the last daemon stopped."""
        started = self._events.subscribe({"type": ["container"], "event": ["start"]}, internal=True)
        for container in self._containers():
            self._ship(container)
        self._tasks = [
            asyncio.create_task(self._rotate_forever(), name="log-rotation"),
            asyncio.create_task(self._watch_starts(started), name="log-shipping-starts"),
        ]

    async def stop(self) -> None:
        """End all tasks; what has not been sent is sent by the next daemon."""
        tasks = [*self._tasks, *self._shipping.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        self._shipping.clear()
        self._rotation_pool.shutdown(wait=False)
        self._shipping_pool.shutdown(wait=False)

    # rotation

    async def _rotate_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(ROTATION_PERIOD)
            due = [
                (container.id, self._paths_of(container.id), plan.storage)
                for container in self._containers()
                if container.state.status in _LIVE and (plan := self._plan(container)) and plan.storage
            ]
            if due:
                await loop.run_in_executor(self._rotation_pool, self._rotate, due)

    def _rotate(self, due: list[tuple[str, LogPaths, Storage]]) -> None:
        for container_id, paths, storage in due:
            try:
                rotate_if_due(paths.log, paths.control, storage)
            except Exception as error:  # whatever it is, the other logs must not grow without bound
                if container_id not in self._failing:
                    self._failing.add(container_id)
                    bug = None if isinstance(error, OSError) else error
                    log.error("cannot rotate the log of container %s: %s", container_id, error, exc_info=bug)
            else:
                self._failing.discard(container_id)

    # shipping

    async def _watch_starts(self, started: Subscription) -> None:
        async with started:
            async for event in started:
                for container in self._containers():
                    if container.id == event.actor_id:
                        self._ship(container)

    def _plan(self, container: LoggedContainer) -> LogPlan | None:
        try:
            return registry.plan(container.record.log_driver, container.record.log_options)
        except errors.InvalidArgument as error:
            log.error("log options of container %s: %s", container.id, error)
            return None

    def _ship(self, container: LoggedContainer) -> None:
        plan = self._plan(container)
        if plan is None or not plan.remote or container.id in self._shipping:
            return
        task = asyncio.create_task(self._ship_container(container, plan), name=f"log-shipping-{container.id[:12]}")
        self._shipping[container.id] = task

    async def _ship_container(self, container: LoggedContainer, plan: LogPlan) -> None:
        loop = asyncio.get_running_loop()
        path = self._paths_of(container.id).log
        shipper: Shipper | None = None
        try:
            shipper = await loop.run_in_executor(self._shipping_pool, Shipper, path, plan, Source.of(container.record))
            monitor = Monitor.of(container.state)
            while True:
                if monitor is not None:
                    await self._ship_run(shipper, monitor, container.id, path)
                await self._ship_rest(shipper, container.id)
                # A start meanwhile found this task still there; so it is this task that goes on.
                monitor = Monitor.of(container.state)
                if monitor is None:
                    return
        except OSError as error:
            log.error("the log of container %s cannot be shipped: %s", container.id, error)
        finally:
            self._shipping.pop(container.id, None)
            if shipper is not None:
                shipper.close()

    async def _ship_run(self, shipper: Shipper, monitor: Monitor, container_id: str, path: str) -> None:
        """Ship what a container writes until its monitor ends."""
        try:
            with self._logs.watch.watch(os.path.dirname(path)) as watch:
                monitor.tell(watch.changed)
                await self._ship_while_running(shipper, monitor, watch, container_id)
        finally:
            monitor.close()

    async def _ship_while_running(self, shipper: Shipper, monitor: Monitor, watch: Watch, container_id: str) -> None:
        pause = FIRST_PAUSE
        while True:
            gone = monitor.gone
            try:
                more = await self._step(shipper)
            except OSError as error:
                if gone:
                    return
                _tell_failure(container_id, error, pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            if more:
                continue
            if gone:
                return
            await watch.wait()

    async def _ship_rest(self, shipper: Shipper, container_id: str) -> None:
        """Send what an ended container left."""
        loop = asyncio.get_running_loop()
        pause, waited = FIRST_PAUSE, 0.0
        while True:
            try:
                while await self._step(shipper):
                    continue
                await loop.run_in_executor(self._shipping_pool, shipper.finish)
            except OSError as error:
                _tell_failure(container_id, error, pause)
                if waited >= GIVE_UP:
                    log.error("the end of the log of container %s was not shipped", container_id)
                    return
                await asyncio.sleep(pause)
                waited += pause
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                return

    async def _step(self, shipper: Shipper) -> bool:
        return await asyncio.get_running_loop().run_in_executor(self._shipping_pool, shipper.step)


def _tell_failure(container_id: str, error: OSError, pause: float) -> None:
    if pause == FIRST_PAUSE:
        log.warning("shipping the log of container %s fails, it is tried again: %s", container_id, error)
