"""The bridge between the loop and a worker thread for long streams: bytes go down, progress comes up.

``Feed`` joins small pieces on the way (clients send 32 KiB chunks), so a worker makes few calls for many bytes, and
holds the loop's side back when the worker is behind. ``run_streamed`` owns all parts: when the consumer of its progress
goes away, the worker sees ``Cancelled`` at its next read and its clean-up is waited for.
"""

import asyncio
import contextlib
import errno
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from typing import Any

from corten import errors
from corten.engine.progressqueue import ProgressQueue
from corten.model.image import Progress

_HIGH = 8 << 20
_PIECE = 1 << 20

Report = Callable[[Progress], None]


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Failures of the host in our own classes: a full disk is ``Exhausted``, anything else ``System``."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise errors.Exhausted(_words(error)) from error
        raise errors.System(_words(error)) from error


def _words(error: OSError) -> str:
    """As Docker words it, "PATH: no space left on device"."""
    reason = error.strerror[0].lower() + error.strerror[1:] if error.strerror else str(error)
    return f"{os.fsdecode(error.filename)}: {reason}" if isinstance(error.filename, str | bytes) else reason


class Feed:
    """Written on the loop, read in one thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._condition = threading.Condition()
        self._room: asyncio.Future[None] | None = None
        self._ended = False
        self._error: BaseException | None = None

    async def pump(self, chunks: AsyncIterator[bytes]) -> None:
        """Bring everything that *chunks* gives, then the end or its failure."""
        try:
            async for chunk in chunks:
                await self._put(chunk)
        except BaseException as error:
            self.end(error)
            raise
        self.end()

    async def _put(self, chunk: bytes) -> None:
        room = None
        with self._condition:
            if self._ended:
                return  # the worker wants no more; the rest is read and dropped
            self._pieces.append(chunk)
            self._held += len(chunk)
            self._condition.notify()
            if self._held > _HIGH:
                room = self._room = self._loop.create_future()
        if room is not None:
            await room

    def end(self, error: BaseException | None = None) -> None:
        """No more bytes; with *error*, the worker's next read fails, whatever was still to be read."""
        with self._condition:
            if error is not None:
                self._error = error
                self._pieces.clear()
                self._held = 0
                self._wake()
            self._ended = True
            self._condition.notify()

    def close(self) -> None:
        """The worker is done: let the loop's side run to its end."""
        with self._condition:
            self._ended = True
            self._pieces.clear()
            self._held = 0
            self._wake()

    def read(self) -> bytes:
        """The next bytes, about 1 MiB when the source is fast; b"" at the end. ``Cancelled`` when it broke off."""
        with self._condition:
            while not self._pieces:
                if self._error is not None:
                    raise errors.Cancelled("the client went away before the end of the stream") from self._error
                if self._ended:
                    return b""
                self._condition.wait()
            taken = [self._pieces.popleft()]
            size = len(taken[0])
            while self._pieces and size + len(self._pieces[0]) <= _PIECE:
                taken.append(self._pieces.popleft())
                size += len(taken[-1])
            self._held -= size
            if self._held <= _HIGH // 2:
                self._wake()
        return taken[0] if len(taken) == 1 else b"".join(taken)

    def _wake(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(_set_result, room)


def _set_result(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def heeded(future: "asyncio.Future[Any]") -> "asyncio.Future[Any]":
    """*future*, whose failure is no news when whoever waited for it has gone."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


async def pull_ahead(pool: Executor, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Iterate a blocking iterator in *pool*, one piece ahead of the consumer; small pieces come joined."""
    loop = asyncio.get_running_loop()
    coming = heeded(loop.run_in_executor(pool, _join, pieces))
    try:
        while piece := await coming:
            coming = heeded(loop.run_in_executor(pool, _join, pieces))
            yield piece
    finally:
        with contextlib.suppress(Exception):
            await asyncio.shield(coming)
        close = getattr(pieces, "close", None)
        if close is not None:
            close()


def _join(pieces: Iterator[bytes]) -> bytes:
    taken: list[bytes] = []
    size = 0
    with translated():
        for piece in pieces:
            taken.append(piece)
            size += len(piece)
            if size >= _PIECE // 2:
                break
    return taken[0] if len(taken) == 1 else b"".join(taken)


async def run_streamed(
    pool: Executor, chunks: AsyncIterator[bytes], work: Callable[[Feed, Report], None]
) -> AsyncIterator[Progress]:
    """Run *work(feed, report)* in *pool* and yield what it reports, as it comes; raise what it raises."""
    loop = asyncio.get_running_loop()
    feed = Feed(loop)
    records = ProgressQueue()

    def run() -> None:
        try:
            with translated():
                work(feed, records.put)
        finally:
            feed.close()
            records.end()

    worker = heeded(loop.run_in_executor(pool, run))
    pump = heeded(asyncio.ensure_future(feed.pump(chunks)))
    try:
        async for progress in records:
            yield progress
        await worker
    finally:
        feed.end(asyncio.CancelledError())
        pump.cancel()
        with contextlib.suppress(Exception, asyncio.CancelledError):
            await pump
        if not worker.done():
            with contextlib.suppress(Exception):
                await asyncio.shield(worker)


async def run_stoppable(
    pool: Executor, work: Callable[[Report, Callable[[Callable[[], None]], None]], None]
) -> AsyncIterator[Progress]:
    """Run *work(report, on_stop)* in *pool* and yield what it reports; raise what it raises.

    When the consumer goes away, what *work* gave to ``on_stop`` is called and the end of the work is waited for.
    """
    loop = asyncio.get_running_loop()
    records = ProgressQueue()
    lock = threading.Lock()
    stops: list[Callable[[], None]] = []
    gone = False

    def on_stop(stop: Callable[[], None]) -> None:
        with lock:
            stops.append(stop)
            late = gone
        if late:
            stop()

    def run() -> None:
        try:
            with translated():
                work(records.put, on_stop)
        finally:
            records.end()

    worker = heeded(loop.run_in_executor(pool, run))
    try:
        async for progress in records:
            yield progress
        await worker
    finally:
        with lock:
            gone = True
        if not worker.done():
            for stop in stops:
                stop()
            with contextlib.suppress(Exception):
                await asyncio.shield(worker)
