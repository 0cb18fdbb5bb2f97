"""Statistics of containers: answered at once, because the predecessor that a rate needs has been taken before.

A CPU percentage is a difference between two samples. A sampler takes the CPU part of every running container now and
then (``IDLE_INTERVAL``), and every second of those that somebody asked about lately; a question then costs one fresh
sample and no waiting. Nothing is sampled before the first question.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

from msgspec.structs import replace

from corten.linux.host import Host
from corten.model.record import Record
from corten.model.stats import ContainerStats, CpuStats
from corten.runtime.spec import cgroup_path
from corten.runtime.stats import Reader

INTERVAL = 1.0
"""Seconds between samples of a stream, as with Docker."""
IDLE_INTERVAL = 5.0
HOT_SECONDS = 15.0
"""How long a container counts as asked about."""
QUIET_SECONDS = 600.0
"""With no question for so long, the sampler rests."""
_MIN_DISTANCE = 100_000_000
"""Nanoseconds that must lie between two samples for a rate that means something."""
_ALIVE = ("running", "paused")


class Sampled(Protocol):
    """What is sampled: an engine's container. Its record is read anew each time."""

    @property
    def record(self) -> Record: ...


@dataclass(slots=True)
class _Trace:
    """The last two CPU samples of one run of one container, newest first, and when somebody last asked."""

    run: int
    newest: tuple[int, CpuStats] | None = None
    older: tuple[int, CpuStats] | None = None
    asked: float = 0.0

    def add(self, read: int, cpu: CpuStats) -> None:
        if self.newest is None or read - self.newest[0] >= _MIN_DISTANCE:
            self.older, self.newest = self.newest, (read, cpu)

    def before(self, read: int) -> tuple[int, CpuStats] | None:
        """The newest sample that is old enough to be the predecessor of one taken at *read*."""
        for sample in (self.newest, self.older):
            if sample is not None and read - sample[0] >= _MIN_DISTANCE:
                return sample
        return None


class Stats:
    """The engine's statistics. Belongs to the loop; the reading happens in *pool*.

    *running* yields the containers that have a process.
    """

    def __init__(self, host: Host, pool: Executor, running: Callable[[], Iterable[Sampled]]) -> None:
        self._reader = Reader(host)
        self._pool = pool
        self._running = running
        self._traces: dict[str, _Trace] = {}
        self._last_question = 0.0
        self._sampler: asyncio.Task[None] | None = None

    async def once(self, container: Sampled, *, one_shot: bool = False) -> ContainerStats:
        """One sample. With *one_shot* without a predecessor; otherwise ``precpu_stats`` is filled.

        Only the very first question about a container may have to wait a moment for a second sample. A container that
        does not run has empty statistics.
        """
        self._ask(container)
        stats = await self._sample(container, predecessor=not one_shot)
        if stats.read and not stats.preread and not one_shot:
            await asyncio.sleep(2 * _MIN_DISTANCE / 1e9)
            stats = await self._sample(container)
        return stats

    async def stream(self, container: Sampled) -> AsyncIterator[ContainerStats]:
        """A sample at once and then one every second, until the container is removed or the caller stops asking."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while container.record.state.status not in ("removing", "dead"):
            self._ask(container)
            yield await self._sample(container)
            due = max(due + INTERVAL, loop.time())
            await asyncio.sleep(due - loop.time())

    def forget(self, container_id: str) -> None:
        """The container is removed."""
        self._traces.pop(container_id, None)

    async def close(self) -> None:
        """Stop the sampler."""
        if self._sampler is not None:
            self._sampler.cancel()
            await asyncio.gather(self._sampler, return_exceptions=True)
            self._sampler = None

    # sampling

    async def _sample(self, container: Sampled, *, predecessor: bool = True) -> ContainerStats:
        record = container.record
        if record.state.status not in _ALIVE:
            return ContainerStats(id=record.id, name=record.name)
        loop = asyncio.get_running_loop()
        stats = await loop.run_in_executor(self._pool, self._read, record)
        trace = self._trace(record)
        before = trace.before(stats.read) if predecessor else None
        trace.add(stats.read, stats.cpu_stats)
        if before is not None:
            stats = replace(stats, preread=before[0], precpu_stats=before[1])
        return replace(stats, id=record.id, name=record.name)

    def _read(self, record: Record) -> ContainerStats:
        on_host = record.host_config.network_mode == "host"
        return self._reader.sample(cgroup_path(record), record.state.pid, networks=not on_host)

    def _ask(self, container: Sampled) -> None:
        self._last_question = time.monotonic()
        self._trace(container.record).asked = self._last_question
        if self._sampler is None or self._sampler.done():
            self._sampler = asyncio.get_running_loop().create_task(self._keep_sampling(), name="stats sampler")

    def _trace(self, record: Record) -> _Trace:
        """The trace of the container's present run; counters of another run are no predecessors."""
        trace = self._traces.get(record.id)
        if trace is None or trace.run != record.state.started_at:
            asked = trace.asked if trace else 0.0
            trace = self._traces[record.id] = _Trace(run=record.state.started_at, asked=asked)
        return trace

    async def _keep_sampling(self) -> None:
        """Until nobody has asked anything for a while."""
        loop = asyncio.get_running_loop()
        next_idle = 0.0
        while time.monotonic() - self._last_question < QUIET_SECONDS:
            now = time.monotonic()
            records = [container.record for container in self._running()]
            everyone = now >= next_idle
            if everyone:
                next_idle = now + IDLE_INTERVAL
                self._drop_traces({record.id for record in records})
            wanted = [record for record in records if everyone or now - self._trace(record).asked < HOT_SECONDS]
            if wanted:
                paths = [cgroup_path(record) for record in wanted]
                samples = await loop.run_in_executor(self._pool, self._read_cpus, paths)
                for record, (read, cpu) in zip(wanted, samples, strict=True):
                    self._trace(record).add(read, cpu)
            await asyncio.sleep(INTERVAL)
        self._traces.clear()

    def _read_cpus(self, paths: list[str]) -> list[tuple[int, CpuStats]]:
        return [(time.time_ns(), self._reader.cpu(path)) for path in paths]

    def _drop_traces(self, running: set[str]) -> None:
        for container_id in [key for key in self._traces if key not in running]:
            del self._traces[container_id]
