"""A stream of bytes made by a blocking iterator, with descriptors that live as long as the stream."""

import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor

from corten.engine.feed import pull_ahead


class Download:
    """Iterate once with ``async for``. The descriptors are closed at the end, by ``aclose`` or at the latest when the
    object goes, also when nobody ever began to read."""

    def __init__(self, pool: Executor, pieces: Iterator[bytes], descriptors: tuple[int, ...]) -> None:
        self._pieces = pull_ahead(pool, pieces)
        self._descriptors = descriptors

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._pieces)
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Stop and give everything back; may be called again."""
        close = getattr(self._pieces, "aclose", None)
        if close is not None:
            await close()
        self._release()

    def _release(self) -> None:
        descriptors, self._descriptors = self._descriptors, ()
        for fd in descriptors:
            os.close(fd)

    def __del__(self) -> None:
        self._release()
