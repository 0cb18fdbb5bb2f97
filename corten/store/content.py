"""Blobs by digest, laid out as an OCI image layout: ``<root>/blobs/sha256/<hex>`` (image-spec, image-layout.md).

A blob appears under its digest only whole and checked: it is written under a temporary name in ``<root>/ingest`` and
hashed on the way, synced, then renamed. Many blobs of one image share one ``syncfs`` (``publish``). What no image
refers to is garbage, and so is everything in ``ingest`` at start; ``remove`` and ``clear_ingest`` are the broom.
"""

import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
import threading
from collections.abc import Iterable, Iterator

from corten import errors, faultpoint
from corten.linux import durable, mount
from corten.oci import digest as digests
from corten.store import space

CHUNK = 1 << 20
_READ_AHEAD = 4 << 20


class ContentStore:
    """All calls are thread-safe and blocking."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.blobs = os.path.join(root, "blobs", "sha256")
        self.ingest_dir = os.path.join(root, "ingest")
        os.makedirs(self.blobs, mode=0o700, exist_ok=True)
        os.makedirs(self.ingest_dir, mode=0o700, exist_ok=True)
        with open(os.path.join(root, "oci-layout"), "w", encoding="utf-8") as file:  # anew: a power cut may empty it
            file.write('{"imageLayoutVersion":"1.0.0"}')
        self._counter = 0
        self._lock = threading.Lock()

    def path(self, digest: str) -> str:
        """The blob's file name; the digest is checked first. The file may be missing."""
        return os.path.join(self.blobs, digests.encoded(digest))

    def has(self, digest: str) -> bool:
        """Whether the blob is here."""
        return os.path.exists(self.path(digest))

    def size(self, digest: str) -> int:
        """Bytes of the blob, -1 when it is missing."""
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            return -1

    def open(self, digest: str) -> int:
        """A descriptor to read from. ``NotFound`` when it is missing."""
        try:
            return os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise errors.NotFound(f"content digest {digest}: not found") from None

    def read(self, digest: str, limit: int = 8 << 20) -> bytes:
        """A small blob as a whole, checked against its digest (``DataLoss`` when it is damaged)."""
        fd = self.open(digest)
        with os.fdopen(fd, "rb", buffering=0) as file:
            size = os.fstat(fd).st_size
            if size > limit:
                raise errors.InvalidArgument(f"content {digest} has {size} bytes; more than {limit} are not read")
            data = file.read(limit + 1) or b""
        if digests.of(data) != digest:
            raise errors.DataLoss(f"content {digest} is damaged on disk")
        return data

    def chunks(self, digest: str, size: int = CHUNK) -> Iterator[bytes]:
        """The blob in pieces, unchecked. The kernel is told what comes next, since a large blob is rarely cached."""
        fd = self.open(digest)
        try:
            position = 0
            while chunk := os.read(fd, size):
                os.posix_fadvise(fd, position + len(chunk), _READ_AHEAD, os.POSIX_FADV_WILLNEED)
                position += len(chunk)
                yield chunk
        finally:
            os.close(fd)

    def writer(self) -> "BlobWriter":
        """Start a blob whose digest is not known yet."""
        with self._lock:
            self._counter += 1
            name = f"{os.getpid()}-{self._counter}"
        return BlobWriter(os.path.join(self.ingest_dir, name))

    def put(self, data: bytes, *, sync: bool = True) -> str:
        """Store a small document; returns its digest."""
        digest = digests.of(data)
        if self.has(digest):
            return digest
        writer = self.writer()
        try:
            writer.write(data)
            self.publish([writer], sync=sync)
        finally:
            writer.abort()
        return digest

    def publish(self, writers: Iterable["BlobWriter"], *, sync: bool = True) -> None:
        """Give finished blobs their names. With *sync* they are on disk first; without, the caller has synced them."""
        ready = list(writers)
        for writer in ready:
            if not writer.finished:
                writer.finish()
            if sync:
                writer.sync()
        for writer in ready:
            os.rename(writer.path, self.path(writer.digest))
            writer.published = True
            faultpoint.reach("blob.renamed")
        if sync and ready:
            self.sync_names()

    def sync_names(self) -> None:
        """Make the renames durable."""
        durable.sync_directory(self.blobs)
        faultpoint.reach("blobs.synced")

    def remove(self, digest: str) -> int:
        """Delete the blob; returns the bytes it had, 0 when it was missing."""
        path = self.path(digest)
        try:
            size = os.stat(path).st_size
            os.unlink(path)
        except FileNotFoundError:
            return 0
        faultpoint.reach("blob.removed")
        return size

    def digests(self) -> Iterator[str]:
        """Every blob that is here."""
        with os.scandir(self.blobs) as entries:
            for entry in entries:
                if digests.is_hex64(entry.name):
                    yield "sha256:" + entry.name

    def clear_ingest(self) -> None:
        """At start: remove what an interrupted ingest left behind."""
        for name in os.listdir(self.ingest_dir):
            os.unlink(os.path.join(self.ingest_dir, name))


class BlobWriter:
    """One blob on its way in. ``digest`` and ``size`` are those of what was written so far.

    Goes to the disk past the page cache (``O_DIRECT``) a buffer at a time: nobody reads a blob soon, and filling 600 MB
    of page cache with it takes over a second of CPU in a guest whose memory is not backed yet, besides pushing out what
    containers use. The tail, and everything where the file system has no ``O_DIRECT``, goes the usual way.
    """

    def __init__(self, path: str, fd: int = -1) -> None:
        self.path = path
        self.size = 0
        self.published = False
        self._gone = False
        self._since_check = 0
        self._hash = hashlib.sha256()
        self._digest = ""
        self._buffer: mmap.mmap | None = None  # page-aligned, as O_DIRECT asks for
        self._filled = 0
        self._fd = fd if fd >= 0 else open_direct(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)

    def write(self, data: bytes | memoryview) -> None:
        """Append and hash. ``Exhausted`` when the disk gets full."""
        self._hash.update(data)
        self.size += len(data)
        self._since_check += len(data)
        if self._since_check >= space.CHECK_EVERY:
            self._since_check = 0
            space.check(self._fd)
        if self._buffer is None:
            self._buffer = mmap.mmap(-1, CHUNK)
        view = memoryview(data)
        while view:
            piece = view[: CHUNK - self._filled]
            self._buffer[self._filled : self._filled + len(piece)] = piece
            self._filled += len(piece)
            view = view[len(piece) :]
            if self._filled == CHUNK:
                self._flush(self._buffer)

    @property
    def finished(self) -> bool:
        """Whether ``finish`` was called."""
        return bool(self._digest)

    @property
    def digest(self) -> str:
        """Of all that was written."""
        return self._digest or "sha256:" + self._hash.hexdigest()

    def finish(self) -> None:
        """No more bytes will come. Closes the file: an archive may have many members."""
        self._digest = self.digest
        if self._buffer is not None and self._filled:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, 0)  # the tail is no multiple of a block
            self._flush(self._buffer)
        self._close()
        faultpoint.reach("blob.written")

    def reset(self) -> None:
        """Hash and count from the beginning; the file is the caller's matter."""
        self._hash = hashlib.sha256()
        self._digest = ""
        self.size = self._filled = 0

    def sync(self) -> None:
        """Bring the bytes to the disk."""
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def head(self, size: int) -> bytes:
        """The first bytes, after ``finish`` and before it is published."""
        with open(self.path, "rb", buffering=0) as file:
            return file.read(size) or b""

    def abort(self) -> None:
        """Close; and unless it was published, forget the blob. May be called twice."""
        self._close()
        if not self.published and not self._gone:
            self._gone = True
            os.unlink(self.path)

    def _flush(self, buffer: mmap.mmap) -> None:
        with memoryview(buffer) as whole:
            start = 0
            while start < self._filled:
                with whole[start : self._filled] as rest:
                    start += os.write(self._fd, rest)
        self._filled = 0

    def _close(self) -> None:
        if self._buffer is not None:
            self._buffer.close()
            self._buffer = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def open_direct(path: str, flags: int) -> int:
    """Open past the page cache, or the usual way where the file system cannot do that."""
    try:
        return os.open(path, flags | os.O_DIRECT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    if flags & os.O_EXCL:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # some file systems make it before they refuse
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def sync_filesystem(path: str) -> None:
    """One ``syncfs`` for everything below *path*: cheaper than an fsync per file of a layer."""
    mount.sync_directory_tree(path)
