"""Bringing an image's blobs and layers in: everything under temporary names, one sync, then everything at once.

``Ingest`` is a rollback scope. ``layer()`` opens a stream that is hashed and stored as a blob by the thread that writes
to it and unpacked by another thread at the same time, from the same pieces of memory. ``commit`` syncs the file system
once, gives the blobs their digests' names and commits the layers in chain order; whatever was not committed when the
scope ends is removed.
"""

import contextlib
import hashlib
import os
import queue
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, wait
from types import TracebackType

import msgspec

from corten import errors, faultpoint
from corten.linux.pool import Pool
from corten.oci import digest as digests
from corten.oci.manifest import LAYER, LAYER_GZIP, LAYER_ZSTD
from corten.store.ahead import Ahead
from corten.store.content import BlobWriter, ContentStore, sync_filesystem
from corten.store.layerrecord import Layer
from corten.store.snapshot import Snapshots
from corten.store.treesum import TreeSum, tree_sum
from corten.store.unpack import LayerUnpacker, Unpacked, adopt_implicit
from corten.wire import compress

_QUEUE_PIECES = 8
_THREADS = min(4, (os.cpu_count() or 1) + 1)
LAYER_MEDIA_TYPES = {compress.NONE: LAYER, compress.GZIP: LAYER_GZIP, compress.ZSTD: LAYER_ZSTD}


class ReadyLayer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer that is unpacked but not committed. ``digest`` and ``blob_size`` are the blob's, ``media_type`` its OCI
    type ("" for a compression that OCI has no type for)."""

    digest: str
    blob_size: int
    diff_id: str
    media_type: str
    directory: str
    unpacked: Unpacked


class Ingest:
    """One image, or one archive of images, on its way in. Used by one thread."""

    def __init__(self, content: ContentStore, snapshots: Snapshots) -> None:
        self.content = content
        self.snapshots = snapshots
        # threads of its own: an upload that stalls must not hold up another one
        self._pool = Pool(_THREADS, "unpack")
        self._writers: list[BlobWriter] = []
        self._layers: list[LayerStream] = []
        self._placed: list[Layer] = []
        self._adopted = False

    def __enter__(self) -> "Ingest":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for layer in self._layers:
            layer.abort()
        for writer in self._writers:
            writer.abort()
        self._pool.shutdown()

    def blob(self) -> BlobWriter:
        """A blob that is only stored."""
        writer = self.content.writer()
        self._writers.append(writer)
        return writer

    def take(self, writer: BlobWriter) -> None:
        """Let a finished blob from elsewhere be published with the others."""
        self._writers.append(writer)

    def document(self, data: bytes) -> str:
        """A small blob as a whole; returns its digest."""
        digest = digests.of(data)
        if not self.content.has(digest) and all(writer.digest != digest for writer in self._writers):
            writer = self.blob()
            writer.write(data)
            writer.finish()
        return digest

    def layer(self) -> "LayerStream":
        """A blob that is stored and unpacked."""
        stream = LayerStream(self.blob(), self.snapshots, self._pool)
        self._layers.append(stream)
        return stream

    def layer_from_blob(self, digest: str) -> "LayerStream":
        """Unpack a blob that is in the store already."""
        return self.layer_from(self.content.chunks(digest))

    def layer_from(self, pieces: Iterator[bytes]) -> "LayerStream":
        """Unpack an archive without storing it."""
        stream = LayerStream(None, self.snapshots, self._pool)
        self._layers.append(stream)
        for chunk in pieces:
            stream.write(chunk)
        stream.finish()
        return stream

    def sync(self) -> None:
        """Bring everything that was written so far to the disk."""
        sync_filesystem(self.content.root)
        if os.stat(self.content.root).st_dev != os.stat(self.snapshots.root).st_dev:
            sync_filesystem(self.snapshots.root)
        faultpoint.reach("ingest.synced")

    def publish(self, wanted: set[str]) -> None:
        """After ``sync``: give those of the blobs that are *wanted* (digests) their names."""
        self.content.publish([writer for writer in self._writers if writer.digest in wanted], sync=False)
        self.content.sync_names()

    def commit_chain(self, layers: "Sequence[LayerStream | str]", parent: str = "") -> str:
        """Commit layers from the bottom up above the chainID *parent*; returns the top chainID.

        An item is a stream, or the diffID of a layer that is committed already. ``record`` makes it durable.
        """
        for item in layers:
            if isinstance(item, str):
                parent = _above(parent, item) if parent else digests.check(item)
                if self.snapshots.layer(parent) is None:
                    raise errors.NotFound(f"layer {parent} is not unpacked")
                continue
            layer = item.commit(parent)
            self._placed.append(layer)
            self._adopted = self._adopted or item.adopted
            parent = layer.chain_id
        return parent

    def record(self) -> None:
        """Make the committed layers durable, all in one transaction; do it before the image is recorded."""
        if self._adopted:
            sync_filesystem(self.snapshots.root)  # owners and times that directories got after the first sync
        self.snapshots.record_layers(self._placed)
        self._placed.clear()


def _above(parent: str, diff_id: str) -> str:
    return digests.of(f"{parent} {diff_id}".encode())


class LayerStream:
    """A layer's archive arriving piece by piece (``write``), then ``finish``; ``ready`` waits for the unpacking."""

    def __init__(self, writer: BlobWriter | None, snapshots: Snapshots, pool: Executor) -> None:
        self.committed = False
        self.adopted = False
        """Whether directories were changed by ``commit``, which comes after the sync."""
        self.writer = writer
        self._snapshots = snapshots
        self._queue: queue.Queue[bytes | memoryview] = queue.Queue(_QUEUE_PIECES)
        self.directory = snapshots.new_layer_dir()
        self._finished = False
        self._failed = False
        self._blob_hash = hashlib.sha256() if writer is None else None
        self._blob_size = 0
        self._sum: TreeSum | None = None
        self._taken = 0
        self._future: Future[tuple[str, str, Unpacked]] = pool.submit(self._unpack)

    @property
    def digest(self) -> str:
        """The blob's digest so far."""
        if self._blob_hash is not None:
            return "sha256:" + self._blob_hash.hexdigest()
        assert self.writer is not None
        return self.writer.digest

    def write(self, data: bytes | memoryview, *, stored: bool = False) -> None:
        """Take the next piece, which must not change afterwards. Waits when the unpacking is far behind.

        *stored*: the writer has the piece already and only the unpacking needs it.
        """
        if not data:
            return
        if not self._failed:
            self._queue.put(data)
        if self.writer is not None:
            if not stored:
                self.writer.write(data)
        elif self._blob_hash is not None:
            self._blob_hash.update(data)
        self._blob_size += len(data)

    def finish(self) -> None:
        """The archive is complete."""
        if not self._finished:
            self._finished = True
            self._queue.put(b"")
            if self.writer is not None:
                self.writer.finish()

    @property
    def failure(self) -> BaseException | None:
        """Why the unpacking stopped early; None while it goes on and when it was well."""
        return self._future.exception() if self._future.done() else None

    def settled(self, timeout: float) -> bool:
        """Wait for the unpacking, at most *timeout* seconds; whether it has ended, well or not."""
        return not wait([self._future], timeout).not_done

    @property
    def unpacked_size(self) -> int:
        """Bytes of the archive, as it came, that the unpacking has taken so far."""
        return self._taken

    def ready(self) -> ReadyLayer:
        """Wait; raises what the unpacking raised."""
        kind, diff_id, unpacked = self._future.result()
        return ReadyLayer(
            digest=self.digest,
            blob_size=self._blob_size,
            diff_id=diff_id or self.digest,
            media_type=LAYER_MEDIA_TYPES.get(kind, ""),
            directory=self.directory,
            unpacked=unpacked,
        )

    def commit(self, parent: str) -> Layer:
        """Make it the layer above *parent* (its chainID or ""). Sync first, and record it afterwards."""
        ready = self.ready()
        tree = self.take_looks(parent)
        layer = self._snapshots.place_layer(self.directory, parent, ready.diff_id, ready.unpacked.size, tree)
        self.committed = True
        return layer

    def take_looks(self, parent: str) -> TreeSum | None:
        """Give directories that the archive has no entry for the looks of those in *parent*; returns the tree's sum."""
        implicit = self.ready().unpacked.implicit
        if parent and implicit:
            adopt_implicit(self.directory, implicit, self._snapshots.lower_dirs(parent))
            self.adopted = True
            if len(implicit) > 1:  # one is the root, which does not count
                self._sum = tree_sum(self.directory)
        return self._sum

    def replace(self, layer: Layer) -> None:
        """Put it in the place of *layer*, which is damaged, durably; both have to be of the same archive."""
        tree = self.take_looks(layer.parent)
        sync_filesystem(self.directory)
        assert tree is not None
        self._snapshots.replace_layer(self.directory, layer, tree)
        self.committed = True

    def abort(self) -> None:
        """Stop and remove, unless it was committed."""
        if not self._finished:
            self._finished = self._failed = True
            self._drain()
            self._queue.put(b"")
        with contextlib.suppress(errors.CortenError, OSError):
            self._future.result()
        if not self.committed:
            self._snapshots.discard(self.directory)

    # the pool's thread

    def _unpack(self) -> tuple[str, str, Unpacked]:
        try:
            result = self._unpack_all()
            self._sum = tree_sum(self.directory)
            return result
        except BaseException:
            self._failed = True
            self._drain()  # a writer that waits for room must go on
            self._queue.put(b"")  # and so must a reader
            raise

    def _unpack_all(self) -> tuple[str, str, Unpacked]:
        source = compress.Prefixed(self._take)
        kind = compress.detect(source.peek(compress.MAGIC_LENGTH))
        unpacker = LayerUnpacker(self.directory)
        if kind == compress.NONE:
            return kind, "", unpacker.run(source.read)
        with Ahead(compress.decompressed(source.read, kind), self._give_up) as plain:
            unpacked = unpacker.run(plain.read)
        return kind, plain.digest, unpacked

    def _give_up(self) -> None:
        self._failed = True
        self._drain()
        self._queue.put(b"")

    def _take(self) -> bytes | memoryview:
        data = self._queue.get()
        if not data:
            self._queue.put(b"")  # the end stays the end, however often it is asked for
            if self._failed:
                raise errors.Cancelled("the layer's stream was given up")
        self._taken += len(data)
        return data

    def _drain(self) -> None:
        while True:
            try:
                self._queue.get_nowait()
            except queue.Empty:
                return
