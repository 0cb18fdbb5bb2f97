"""What a worker thread reports, on its way to a client that may read slowly or not at all.

Of something that moves only the last record waits for the client: how far it was in between nobody needs to know. So
a stalled client costs a few records per blob, and not ten per blob and second.
"""

import asyncio
import threading
from collections.abc import AsyncIterator

from corten.model.image import Progress


class ProgressQueue:
    """Made and read on the loop; ``put`` and ``end`` are for any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._lock = threading.Lock()
        self._waiting: list[Progress] = []
        self._latest: dict[str, int] = {}
        """By id, where its last record waits."""
        self._ended = False

    def put(self, progress: Progress) -> None:
        """Queue a record, or let it take the place of the one that waits about the same thing."""
        with self._lock:
            number = self._latest.get(progress.id, -1) if progress.id else -1
            if number >= 0 and progress.current and self._waiting[number].status == progress.status:
                self._waiting[number] = progress
                return
            self._latest[progress.id] = len(self._waiting)
            self._waiting.append(progress)
        self._loop.call_soon_threadsafe(self._ready.set)

    def end(self) -> None:
        """No more records will come."""
        self._ended = True
        self._loop.call_soon_threadsafe(self._ready.set)

    async def __aiter__(self) -> AsyncIterator[Progress]:
        while True:
            await self._ready.wait()
            self._ready.clear()
            ended = self._ended  # before the look: what came before the end is told
            with self._lock:
                taken, self._waiting = self._waiting, []
                self._latest.clear()
            for progress in taken:
                yield progress
            if ended:
                return
