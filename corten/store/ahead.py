"""A reader in a thread of its own, some pieces ahead, that hashes what it reads: decompressing and hashing a layer take
as long as writing its files, and run beside it."""

import hashlib
import queue
import threading
from collections.abc import Callable
from types import TracebackType

from corten.wire.compress import ReadChunk

_PIECES = 4


class Ahead:
    """``read`` gives what *source* gives. Used as a scope: at its end the thread has ended.

    *give_up* makes a waiting *source* return or raise; it is called when the scope ends before the source has.
    """

    def __init__(self, source: ReadChunk, give_up: Callable[[], None]) -> None:
        self._source = source
        self._give_up = give_up
        self._hash = hashlib.sha256()
        self._queue: queue.Queue[bytes | memoryview | BaseException] = queue.Queue(_PIECES)
        self._stopped = False
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="layer-plain", daemon=True)

    def __enter__(self) -> "Ahead":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if not self._ended:
            self._stopped = True
            self._give_up()
            while not self._ended:
                self._get()
        self._thread.join()

    @property
    def digest(self) -> str:
        """Of everything that was read, when the source has ended."""
        return "sha256:" + self._hash.hexdigest()

    def read(self) -> bytes | memoryview:
        """The next piece, empty at the end; raises what the source raised."""
        if self._ended:
            return b""
        item = self._get()
        if isinstance(item, BaseException):
            raise item
        return item

    def _get(self) -> bytes | memoryview | BaseException:
        item = self._queue.get()
        self._ended = isinstance(item, BaseException) or not item
        return item

    def _run(self) -> None:
        try:
            while not self._stopped and (piece := self._source()):
                self._queue.put(piece)
                self._hash.update(piece)
        except BaseException as error:  # noqa: BLE001 - raised again in the reading thread
            self._queue.put(error)
        else:
            self._queue.put(b"")
