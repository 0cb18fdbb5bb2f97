"""Use case: reading a container's log, also while it grows."""

import asyncio
import functools
import os
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from contextlib import aclosing
from typing import Protocol

from corten import errors
from corten.engine.logwatch import LogWatch, Monitor, Watch
from corten.model.base import Value
from corten.model.record import Record, RunState
from corten.runtime.logdrivers import registry
from corten.runtime.logs import Chunk, LogQuery, LogReader

Blocks = AsyncGenerator[list[Chunk], None]

COALESCE = 0.01
"""Seconds a followed log is left alone after new lines, so that a busy one comes in large chunks."""
INLINE = 64 * 1024
"""So many new bytes are read without a thread."""


class LoggedContainer(Protocol):
    """What of a container its log needs."""

    @property
    def id(self) -> str: ...
    @property
    def record(self) -> Record: ...
    @property
    def state(self) -> RunState: ...


class LogOptions(Value, frozen=True):
    """What ``logs`` was asked for. Times are nanoseconds since the epoch, 0 = no bound; ``tail`` -1 = all."""

    stdout: bool = True
    stderr: bool = True
    follow: bool = False
    since: int = 0
    until: int = 0
    tail: int = -1
    timestamps: bool = False
    details: bool = False


class Logs:
    """The logs of all containers. *path_of* gives the path of a container's log by id; *pool* runs file reads."""

    def __init__(self, path_of: Callable[[str], str], pool: Executor | None = None) -> None:
        self._path_of = path_of
        self._pool = pool
        self.watch = LogWatch()

    def read(self, container: LoggedContainer, options: LogOptions) -> AsyncGenerator[Chunk, None]:
        """The chunks of a container's log, each (stream, bytes) with as many lines as possible; close the iterator.

        Refuses at once, before the first chunk: InvalidArgument when no stream is chosen, NotSupported when the log
        driver cannot be read. Following ends when the container has ended and its log has been read, at ``until``, or
        at once when it is not running.
        """
        return _flat(self.read_blocks(container, options))

    def read_blocks(self, container: LoggedContainer, options: LogOptions) -> Blocks:
        """As ``read``, the chunks of a block at a time: cheaper where the streams alternate with every line."""
        if not (options.stdout or options.stderr):
            raise errors.InvalidArgument("Bad parameters: you must choose at least one stream")
        record = container.record
        plan = registry.plan(record.log_driver, record.log_options)
        if not plan.readable:
            raise errors.NotSupported("configured logging driver does not support reading")
        query = LogQuery(
            stdout=options.stdout,
            stderr=options.stderr,
            since=options.since,
            until=options.until,
            tail=options.tail,
            timestamps=options.timestamps,
            prefix=registry.details(record) if options.details else b"",
            whole_lines=not record.config.tty,
        )
        path = self._path_of(container.id)
        return self._followed(container, path, query) if options.follow else self._whole(path, query)

    async def close(self) -> None:
        """Give the watches back."""
        self.watch.close()

    async def _whole(self, path: str, query: LogQuery) -> Blocks:
        loop = asyncio.get_running_loop()
        reader = await self._opened(path, query, follow=False)
        try:
            while chunks := await loop.run_in_executor(self._pool, reader.read):
                yield chunks
        finally:
            reader.close()

    async def _followed(self, container: LoggedContainer, path: str, query: LogQuery) -> Blocks:
        monitor = Monitor.of(container.state)
        if monitor is None:
            async with aclosing(self._whole(path, query)) as blocks:
                async for chunks in blocks:
                    yield chunks
            return
        reader: LogReader | None = None
        try:
            with self.watch.watch(os.path.dirname(path)) as watch:
                monitor.tell(watch.changed)
                reader = await self._opened(path, query, follow=True)
                async with aclosing(self._growing(reader, query, monitor, watch)) as blocks:
                    async for chunks in blocks:
                        yield chunks
        finally:
            monitor.close()
            if reader is not None:
                reader.close()

    async def _growing(self, reader: LogReader, query: LogQuery, monitor: Monitor, watch: Watch) -> Blocks:
        last_look = False
        while True:
            # What was written before the monitor ended is there now, so one look after that sees all of it.
            last_look = last_look or monitor.gone
            chunks = await self._next(reader)
            if chunks is None:
                return
            if chunks:
                yield chunks
                await asyncio.sleep(0 if reader.pending else COALESCE)
            elif last_look or _is_over(query):
                yield reader.rest()
                return
            else:
                await _wait(watch, query)

    async def _opened(self, path: str, query: LogQuery, follow: bool) -> LogReader:
        """A reader, opened in a thread; closed again if nobody waits for it any more."""
        opening = functools.partial(LogReader, path, query, follow=follow)
        future = asyncio.get_running_loop().run_in_executor(self._pool, opening)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(_close_result)
            raise

    async def _next(self, reader: LogReader) -> list[Chunk] | None:
        if reader.pending <= INLINE:
            return reader.read()
        return await asyncio.get_running_loop().run_in_executor(self._pool, reader.read)


async def _flat(blocks: Blocks) -> AsyncGenerator[Chunk, None]:
    async with aclosing(blocks):
        async for chunks in blocks:
            for chunk in chunks:
                yield chunk


def _close_result(future: "asyncio.Future[LogReader]") -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().close()


def _is_over(query: LogQuery) -> bool:
    """Whether no new line can be wanted any more."""
    return bool(query.until) and time.time_ns() > query.until


async def _wait(watch: Watch, query: LogQuery) -> None:
    if query.until:
        await watch.wait(max(0.0, (query.until - time.time_ns()) / 1e9) + COALESCE)
    else:
        await watch.wait()
