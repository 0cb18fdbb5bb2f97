"""What all image use cases stand on: content, layers and the index, kept consistent with each other.

An image is registered only when everything it needs is on disk; when the last name and target that need a blob or a
layer are gone, ``sweep`` removes it. Blobs and layers that an ingest counts on are pinned, so that a removal at the
same time cannot take them away.
"""

import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from corten.engine.imageindex import ImageIndex, Name
from corten.engine.imagescan import StoredImage, StoredManifest, scan
from corten.engine.imagesources import BlobSources
from corten.model.image import ContainerUse
from corten.oci.image import ImageConfig, decode_config
from corten.oci.manifest import Descriptor
from corten.oci.reference import Reference
from corten.store.content import ContentStore
from corten.store.database import Database
from corten.store.snapshot import Snapshots

Emit = Callable[[str, str, dict[str, str]], None]
"""(action, actor id, attributes) of one image event."""

_log = logging.getLogger(__name__)
_MAX_CONFIGS = 256


class ImageStore:
    """Thread-safe. ``users`` is replaced by the engine: the containers made from an image id."""

    def __init__(self, root: str, database: Database, snapshots: Snapshots, emit: Emit) -> None:
        self.content = ContentStore(root)
        self.snapshots = snapshots
        self.index = ImageIndex(database)
        self.sources = BlobSources(database)
        self.emit = emit
        self.users: Callable[[str], list[ContainerUse]] = lambda image_id: []
        self._configs: dict[str, ImageConfig] = {}
        self._pins: Counter[str] = Counter()
        self._lock = threading.RLock()

    # reading

    def config(self, manifest: StoredManifest) -> ImageConfig:
        """The manifest's image config, from memory when it was asked for lately."""
        assert manifest.config is not None
        digest = manifest.config.digest
        config = self._configs.get(digest)
        if config is None:
            config = decode_config(self.content.read(digest))
            while len(self._configs) >= _MAX_CONFIGS:
                self._configs.pop(next(iter(self._configs)), None)
            self._configs[digest] = config
        return config

    def available(self, manifest: StoredManifest) -> bool:
        """Whether everything of the manifest is here: documents and layers."""
        return manifest.complete and all(self.content.has(layer.digest) for layer in manifest.layers)

    def runnable(self, manifest: StoredManifest) -> bool:
        """Whether containers can be made from it: an image whose layers are unpacked."""
        if manifest.kind != "image" or not manifest.complete:
            return False
        return not manifest.chain_id or self.snapshots.layer(manifest.chain_id) is not None

    def unpacked_size(self, manifest: StoredManifest) -> int:
        """Bytes of the unpacked layers, 0 when they are not unpacked."""
        total, chain_id = 0, manifest.chain_id
        while chain_id:
            layer = self.snapshots.layer(chain_id)
            if layer is None:
                return 0
            total += layer.size
            chain_id = layer.parent
        return total

    # changing

    def register(self, target: Descriptor, names: Iterable[Reference]) -> StoredImage:
        """Record a target whose blobs and layers are published, under *names*. A name that points elsewhere moves."""
        with self._lock:
            image = scan(target, self._document, time.time_ns())
            known = self.index.get(image.id)
            if known is not None:
                image = known if known.manifests == image.manifests else image
            self.index.add(image, names)
        return image

    @contextlib.contextmanager
    def pinned(self) -> Iterator[Callable[[str], None]]:
        """Gives a function that keeps a digest or chainID from ``sweep`` until the block ends."""
        mine: list[str] = []

        def pin(name: str) -> None:
            with self._lock:
                self._pins[name] += 1
            mine.append(name)

        try:
            yield pin
        finally:
            with self._lock:
                self._pins.subtract(mine)
                self._pins += Counter()

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Publishing and registering an image, or removing and sweeping, as one step against the others."""
        with self._lock:
            yield

    def drop(self, images: Sequence[StoredImage]) -> int:
        """Forget targets with all their names and remove what nobody else needs; returns the freed bytes."""
        with self._lock:
            self.index.drop_images([image.id for image in images])
            return self.sweep({digest for image in images for digest in image.blobs()})

    def sweep(self, candidates: Iterable[str] | None = None) -> int:
        """Remove unreferenced blobs (of *candidates*, by default all) and unreferenced layers; returns the bytes."""
        with self._lock:
            images = self.index.images()
            needed = {digest for image in images for digest in image.blobs()}
            freed = 0
            gone: list[str] = []
            for digest in list(self.content.digests()) if candidates is None else list(candidates):
                if digest not in needed and not self._pins[digest]:
                    freed += self.content.remove(digest)
                    self._configs.pop(digest, None)
                    gone.append(digest)
            self.sources.forget(gone)
            keep = {manifest.chain_id for image in images for manifest in image.manifests if manifest.complete}
            keep.update(pin for pin in self._pins if self.snapshots.layer(pin))
            return freed + self.snapshots.collect(keep)

    def recover(self) -> None:
        """At start: remove what an interrupted load, import or removal left behind."""
        self.content.clear_ingest()
        freed = self.sweep()
        if freed:
            _log.info("removed %d bytes of content that no image refers to", freed)

    def event(self, action: str, image: StoredImage, name: str = "") -> None:
        """Emit an image event; the attributes are the labels and the name."""
        labels = next((manifest.labels for manifest in image.manifests if manifest.labels), None) or {}
        self.emit(action, image.id, {**labels, "name": name or image.id})

    def named_event(self, action: str, image: StoredImage, name: Name) -> None:
        """As ``event``, for a name of the image."""
        self.event(action, image, name.reference.familiar())

    def _document(self, digest: str) -> bytes | None:
        return self.content.read(digest) if self.content.has(digest) else None
