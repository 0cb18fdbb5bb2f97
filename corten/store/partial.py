"""Downloads that are not whole yet: ``<content>/partial/<hex>``, named by the digest that they have to end with.

They outlive a broken connection, a cancelled pull and the death of the daemon; the next pull of the digest hashes what
is there and goes on behind it. Nothing in them is believed: a blob leaves this place only when all of it has the
digest. What nobody has touched for ``MAX_AGE`` is removed at start.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from corten.oci import digest as digests
from corten.store.content import CHUNK, BlobWriter, open_direct

log = logging.getLogger(__name__)

MAX_AGE = 7 * 24 * 3600
"""Seconds after which an abandoned download is removed."""


class Partials:
    """All calls are thread-safe; for one digest only one ``PartialBlob`` may be open, which the caller sees to."""

    def __init__(self, root: str) -> None:
        self.root = root
        os.makedirs(root, mode=0o700, exist_ok=True)
        self._lock = threading.Lock()
        self._in_use: set[str] = set()

    def open(self, digest: str, total: int) -> "PartialBlob":
        """Go on with the blob *digest* of *total* bytes, or begin it. Until it is let go it cannot be removed."""
        path = self.path(digest)
        with self._lock:
            self._in_use.add(path)
            try:
                return PartialBlob(path, total, self._let_go)
            except BaseException:
                self._in_use.discard(path)
                raise

    def _let_go(self, path: str) -> None:
        with self._lock:
            self._in_use.discard(path)

    def path(self, digest: str) -> str:
        """The file's name; the digest is checked first."""
        return os.path.join(self.root, digests.encoded(digest))

    def sizes(self) -> dict[str, int]:
        """Bytes on disk per digest."""
        return {digest: size for digest, (size, _) in self.found().items()}

    def found(self) -> dict[str, tuple[int, int]]:
        """Per digest the bytes on disk, and when the last ones came (nanoseconds)."""
        return {
            "sha256:" + name: (status.st_blocks * 512, status.st_mtime_ns)
            for name, status in self._files()
            if digests.is_hex64(name)
        }

    def remove(self, digest: str) -> int:
        """Give the download up, unless it is under way; returns the bytes that it took."""
        return self._remove(self.path(digest))

    def _remove(self, path: str) -> int:
        with self._lock:
            if path in self._in_use:
                return 0
            try:
                size = os.stat(path).st_blocks * 512
                os.unlink(path)
            except FileNotFoundError:
                return 0
        return size

    def expire(self, age: float = MAX_AGE, keep: Iterable[str] = ()) -> int:
        """Remove what is older than *age* seconds and not in *keep* (digests); returns the bytes."""
        kept = {digests.encoded(digest) for digest in keep}
        limit = time.time() - age
        freed = 0
        for name, status in self._files():
            if name in kept or (status.st_mtime > limit and digests.is_hex64(name)):
                continue
            freed += self._remove(os.path.join(self.root, name))
        return freed

    def _files(self) -> list[tuple[str, os.stat_result]]:
        found = []
        with os.scandir(self.root) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    found.append((entry.name, entry.stat(follow_symlinks=False)))
        return found


class PartialBlob(BlobWriter):
    """A blob's writer whose file outlives it. Read ``replay`` to its end before the first ``write``.

    ``resumed``: the bytes that an earlier download left, as far as they are used: whole buffers only, since the writer
    works past the page cache.
    """

    def __init__(self, path: str, total: int, let_go: Callable[[str], None] = lambda path: None) -> None:
        self._let_go = let_go
        self._released = False
        super().__init__(path, open_direct(path, os.O_RDWR | os.O_CREAT))
        found = os.fstat(self._fd).st_size
        self.resumed = found if found == total else found - found % CHUNK if found < total else 0
        self._start_at(self.resumed)

    def replay(self) -> Iterator[bytes]:
        """The bytes that are here already, hashed on the way."""
        left = self.resumed
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(fd, 0, left, os.POSIX_FADV_SEQUENTIAL)
            while left > 0:
                piece = os.read(fd, min(left, CHUNK))
                if not piece:
                    raise OSError(f"{self.path} became shorter")
                self._hash.update(piece)
                self.size += len(piece)
                left -= len(piece)
                yield piece
        finally:
            os.close(fd)

    def restart(self) -> None:
        """Forget everything that has come so far."""
        self.reset()
        self.resumed = 0
        self._start_at(0)

    def abort(self) -> None:
        """Close; the file stays for the next attempt, unless there is nothing in it."""
        self._close()
        if not self.published and not self._gone:
            self._gone = True
            with contextlib.suppress(FileNotFoundError):
                if os.stat(self.path).st_size == 0:
                    os.unlink(self.path)
        self._release()

    def discard(self) -> None:
        """Close and remove the file, unless it was published."""
        self._close()
        if not self.published and not self._gone:
            self._gone = True
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        self._release()

    def _release(self) -> None:
        """Once: the path may be another's afterwards."""
        if not self._released:
            self._released = True
            self._let_go(self.path)

    def _start_at(self, offset: int) -> None:
        os.ftruncate(self._fd, offset)
        os.lseek(self._fd, offset, os.SEEK_SET)
