"""One blob on its way from a registry: the straight line of one thread, from the socket to the partial file and the
unpacking, which a second thread does from the same memory.

What an earlier attempt left in the partial file is hashed and unpacked first, then the registry is asked for the rest.
A connection that breaks is taken up at its byte. Nothing is believed before all of the blob has its digest: one that
was put together from several answers and is wrong is fetched once more from its first byte.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from corten import errors, faultpoint
from corten.linux.pool import Pool
from corten.oci.manifest import Descriptor
from corten.store.content import ContentStore
from corten.store.ingest import LayerStream
from corten.store.partial import PartialBlob, Partials
from corten.store.snapshot import Snapshots

log = logging.getLogger(__name__)

PIECE = 512 << 10
INTERVAL = 0.1
"""Seconds between two reports of one blob."""
MAX_DELAY = 30.0

WAITING, DOWNLOADING, VERIFYING = "Waiting", "Downloading", "Verifying Checksum"
DOWNLOADED, EXTRACTING = "Download complete", "Extracting"

Moved = Callable[[str, int, int], None]
"""(status, current, total) in bytes; total is 0 where there is nothing to measure."""


class Body(Protocol):
    """A blob's bytes from ``offset`` on. ``read`` raises ``errors.Unavailable`` when the connection breaks."""

    @property
    def offset(self) -> int: ...
    def read(self, size: int) -> bytes: ...
    def abort(self) -> None: ...


class Source(Protocol):
    """A repository, as far as a fetch needs it."""

    def blob(self, descriptor: Descriptor, offset: int = 0) -> AbstractContextManager[Body]: ...


class BlobFetch:
    """Used by one thread (``run``) but for ``cancel`` and ``take``. ``unpack`` says whether the blob is a layer."""

    def __init__(
        self,
        descriptor: Descriptor,
        content: ContentStore,
        partials: Partials,
        snapshots: Snapshots,
        *,
        unpack: bool,
        attempts: int,
        moved: Moved,
    ) -> None:
        self.descriptor = descriptor
        self.unpack = unpack
        self.writer: PartialBlob | None = None
        self.diff_id = ""
        self._content = content
        self._partials = partials
        self._snapshots = snapshots
        self._attempts = attempts
        self._moved = moved
        self._stream: LayerStream | None = None
        self._taken = False
        self._pool: Pool | None = None
        self._cancelled = threading.Event()
        self._body: Body | None = None
        self._reported = 0.0
        self._pieced = False  # whether the bytes come from more than one answer

    # other threads

    def cancel(self) -> None:
        """Stop now; ``run`` raises ``Cancelled``. The partial file stays."""
        self._cancelled.set()
        body = self._body
        if body is not None:
            body.abort()

    def take(self) -> LayerStream | None:
        """The unpacked layer, for the one who asks first; call it after a successful ``run``."""
        if self._taken:
            return None
        self._taken = True
        return self._stream

    def dispose(self, *, keep: bool) -> None:
        """Let go of everything that nobody has taken. *keep*: the partial file may serve a later fetch."""
        if self._stream is not None:
            self._stream.abort()
        if self._pool is not None:
            self._pool.shutdown()
        if self.writer is not None:
            if keep:
                self.writer.abort()
            else:
                self.writer.discard()

    # the thread

    def run(self, source: Source) -> None:
        """Bring the blob in: afterwards it is in the content store or whole in ``writer``, and unpacked if wanted."""
        try:
            if not self._from_content():
                self._download(source)
        except BaseException as error:
            self._clean_up(error)
            raise

    def _clean_up(self, error: BaseException) -> None:
        """After a failure ``run`` can be called anew, with another source. A full disk is not left full."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.abort()
        writer, self.writer = self.writer, None
        if writer is not None:
            if isinstance(error, errors.Cancelled | errors.Unavailable):
                writer.abort()
            else:
                writer.discard()

    def _from_content(self) -> bool:
        """Unpack a blob that is here already; False when it is not, or is damaged."""
        if not self._content.has(self.descriptor.digest):
            return False
        if not self.unpack:
            return True
        stream = self._stream = self._new_stream(None)
        for piece in self._content.chunks(self.descriptor.digest):
            self._check()
            stream.write(piece)
        if stream.digest != self.descriptor.digest:
            log.warning("content %s is damaged on disk and is fetched again", self.descriptor.digest)
            self._stream = None
            stream.abort()
            self._content.remove(self.descriptor.digest)  # or it would keep the good one from its place
            return False
        self._extract(stream)
        return True

    def _download(self, source: Source) -> None:
        descriptor = self.descriptor
        writer = self.writer = self._partials.open(descriptor.digest, descriptor.size)
        self._pieced = writer.resumed > 0
        stream = self._stream = self._new_stream(writer) if self.unpack else None
        faultpoint.reach("pull.partial-opened")
        for piece in writer.replay():
            self._check()
            if stream is not None:
                stream.write(piece, stored=True)
            self._progress()
        while True:
            try:
                self._receive_all(source, writer)
                self._say(VERIFYING)
                if writer.digest == descriptor.digest:
                    break
                raise errors.DataLoss(f"filesystem layer verification failed for digest {descriptor.digest}")
            except (errors.DataLoss, errors.InvalidArgument):
                if not self._pieced:
                    raise
            log.info("what was resumed of %s is not right; fetching it from the beginning", descriptor.digest)
            self._pieced = False
            if stream is not None:
                stream.abort()
            writer.restart()
            stream = self._stream = self._new_stream(writer) if self.unpack else None
        if stream is None:
            writer.finish()
            faultpoint.reach("pull.blob-written")
            self._say(DOWNLOADED)
        else:
            self._extract(stream)

    def _extract(self, stream: LayerStream) -> None:
        stream.finish()
        faultpoint.reach("pull.blob-written")
        self._say(DOWNLOADED)
        total = self.descriptor.size
        while not stream.settled(INTERVAL):
            self._check()
            self._moved(EXTRACTING, min(stream.unpacked_size, total), total)
        self.diff_id = stream.ready().diff_id
        if self._pool is not None:  # no idle thread for each layer of an image until its last one is here
            self._pool.shutdown()
            self._pool = None
        self._moved(EXTRACTING, total, total)
        faultpoint.reach("pull.unpacked")

    def _receive_all(self, source: Source, writer: PartialBlob) -> None:
        """Ask until all bytes are here; a failure that brought bytes does not count as one of the attempts."""
        failures = 0
        while writer.size < self.descriptor.size:
            before = writer.size
            try:
                self._receive(source, writer)
            except errors.Unavailable as error:
                failures = 1 if writer.size > before else failures + 1
                if failures >= self._attempts:
                    raise
                self._pieced = self._pieced or writer.size > 0
                log.info("download of %s broke off at byte %d: %s", self.descriptor.digest, writer.size, error)
                self._pause(failures)

    def _receive(self, source: Source, writer: PartialBlob) -> None:
        total = self.descriptor.size
        self._check()
        with source.blob(self.descriptor, writer.size) as body, self._abortable(body):
            skip = writer.size - body.offset  # a registry may ignore the range and begin at 0
            if skip < 0:
                raise errors.Unavailable(f"the registry left out {-skip} bytes of {self.descriptor.digest}")
            while writer.size < total:
                piece: bytes | memoryview = body.read(PIECE)
                if not piece:
                    raise errors.Unavailable(f"{self.descriptor.digest}: unexpected EOF")
                if skip:
                    dropped = min(skip, len(piece))
                    skip -= dropped
                    piece = memoryview(piece)[dropped:]
                if len(piece) > total - writer.size:
                    raise _too_long(self.descriptor)
                self._accept(piece, writer)
                self._progress()
            if body.read(1):
                raise _too_long(self.descriptor)

    @contextmanager
    def _abortable(self, body: Body) -> Iterator[None]:
        self._body = body
        try:
            self._check()
            yield
        except errors.Unavailable:
            self._check()  # broken off by ourselves
            raise
        finally:
            self._body = None

    def _accept(self, piece: bytes | memoryview, writer: PartialBlob) -> None:
        if self._stream is None:
            writer.write(piece)
        else:
            self._stream.write(piece)
            failure = self._stream.failure
            if isinstance(failure, errors.Exhausted | OSError):
                raise failure  # anything else may be due to bytes whose digest will not fit either
        faultpoint.reach("pull.piece-written")

    def _pause(self, failures: int) -> None:
        delay = min(MAX_DELAY, 0.5 * 2 ** (failures - 1))
        delay *= random.uniform(0.5, 1)
        if failures > 1:
            self._say(f"Retrying in {max(1, round(delay))} second{'s' if round(delay) > 1 else ''}")
        self._cancelled.wait(delay)

    # helpers

    def _new_stream(self, writer: PartialBlob | None) -> LayerStream:
        if self._pool is None:
            self._pool = Pool(1, "layer-unpack")
        return LayerStream(writer, self._snapshots, self._pool)

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise errors.Cancelled("the pull was cancelled")

    def _say(self, status: str) -> None:
        self._moved(status, 0, 0)

    def _progress(self) -> None:
        now = time.monotonic()
        if now - self._reported >= INTERVAL:
            self._reported = now
            assert self.writer is not None
            self._moved(DOWNLOADING, self.writer.size, self.descriptor.size)


def _too_long(descriptor: Descriptor) -> errors.DataLoss:
    return errors.DataLoss(f"{descriptor.digest} has more than the {descriptor.size} bytes that its descriptor says")
