"""Thread pools that stay right when the host gives no more threads (a bound on processes, no memory for a stack)."""

import logging
from concurrent.futures import ThreadPoolExecutor

from corten import errors

log = logging.getLogger(__name__)


class Pool(ThreadPoolExecutor):
    """A pool that has its first thread at once and makes do with the threads it has where no further one can be had.

    The standard one raises from ``submit`` then and runs the call all the same, as soon as one of its threads is free:
    whoever asked believes that nothing happens. ``Exhausted`` when there is not even a first thread.
    """

    def __init__(self, threads: int, name: str) -> None:
        super().__init__(threads, thread_name_prefix=name)
        self._short = False
        try:
            self.submit(_nothing).result()
        except RuntimeError as error:
            raise errors.Exhausted(f"no thread for {name}: {error}") from error

    def _adjust_thread_count(self) -> None:
        try:
            super()._adjust_thread_count()
        except RuntimeError as error:
            if not self._threads:
                raise
            if not self._short:
                log.warning("%s: %s; going on with %d", self._thread_name_prefix, error, len(self._threads))
            self._short = True
        else:
            self._short = False


def _nothing() -> None:
    """What the first thread is started for."""
