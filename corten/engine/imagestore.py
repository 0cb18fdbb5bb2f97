"""What all image use cases stand on: content, layers and the index, kept consistent with each other.

An image is registered only when everything it needs is on disk; when the last name and target that need a blob or a
layer are gone, ``sweep`` removes it. Blobs and layers that an ingest counts on are leased, so that a removal at the
same time cannot take them away. While the record of an image is in quarantine nobody knows what it needs, and nothing
is swept.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from corten import errors, faultpoint
from corten.engine.imageindex import ImageIndex, Name
from corten.engine.imagescan import StoredImage, StoredManifest, scan
from corten.engine.imagesources import BlobSources
from corten.engine.reach import Reach
from corten.model.image import ContainerUse
from corten.oci.image import ImageConfig, decode_config
from corten.oci.manifest import Descriptor, media_type_of
from corten.oci.reference import Reference
from corten.store import gc, quarantine
from corten.store.content import ContentStore
from corten.store.database import Database
from corten.store.gc import Graph, Node
from corten.store.lease import Leases
from corten.store.partial import Partials
from corten.store.snapshot import Snapshots

Emit = Callable[[str, str, dict[str, str]], None]
"""(action, actor id, attributes) of one image event."""

_log = logging.getLogger(__name__)
_MAX_CONFIGS = 256


class ImageStore:
    """Thread-safe. Replaced from outside are ``users``, the containers made from an image id; ``fetching``, the blobs
    on their way here; ``fetch_again``, which brings a blob back that was given up (see ``blobretention``), and
    ``hand_back`` when it has served."""

    def __init__(self, root: str, database: Database, snapshots: Snapshots, emit: Emit) -> None:
        self.content = ContentStore(root)
        self.snapshots = snapshots
        self.partials = Partials(os.path.join(root, "partial"))
        self.index = ImageIndex(database)
        self.sources = BlobSources(database)
        self.emit = emit
        self.users: Callable[[str], list[ContainerUse]] = lambda image_id: []
        self.fetching: Callable[[], list[str]] = list
        self.fetch_again: Callable[[Descriptor], None] = _no_registry
        self.hand_back: Callable[[Sequence[str]], None] = lambda digests: None
        self._configs: dict[str, ImageConfig] = {}
        self.leases = Leases(database)
        self.quarantine = database.quarantine
        self._reach = Reach(self.index, snapshots, self.leases)
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

    def forget_config(self, digest: str) -> None:
        """Read an image config from the disk when it is asked for again."""
        self._configs.pop(digest, None)

    def available(self, manifest: StoredManifest) -> bool:
        """Whether everything of the manifest is here, or is a layer whose blob was given up and can be had again."""
        if not manifest.complete:
            return False
        missing = [layer for layer in manifest.layers if not self.content.has(layer.digest)]
        if not missing:
            return True
        return self.runnable(manifest) and all(self.sources.repositories(layer.digest) for layer in missing)

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
        return self.register_all([(target, names)])[0]

    def register_all(
        self, targets: Iterable[tuple[Descriptor, Iterable[Reference]]], without: Collection[str] = ()
    ) -> list[StoredImage]:
        """As ``register``, for several in one transaction.

        Documents in *without* (digests) count as absent: what is about to be removed is first no longer claimed.
        """
        with self._lock:
            images = []

            def read(digest: str) -> bytes | None:
                return None if digest in without else self._document(digest)

            for target, names in targets:
                image = scan(target, read, time.time_ns())
                known = self.index.get(image.id)
                if known is not None and known.manifests == image.manifests:
                    image = known
                images.append((image, list(names)))
            self.index.add(images)
            for image, _ in images:
                if image.id in self.quarantine.keys(quarantine.IMAGE):
                    self.quarantine.discard(quarantine.IMAGE, image.id)
        faultpoint.reach("image.recorded")
        return [image for image, _ in images]

    @contextlib.contextmanager
    def pinned(self) -> Iterator[Callable[[str], None]]:
        """Gives a function that keeps a digest or chainID from ``sweep`` until the block ends.

        When it returns no sweep is between its look at the pins and the removal: what is there then stays.
        When the block fails, what was pinned and belongs to no image is swept: nothing stays of half an image.
        """
        mine: list[str] = []
        try:
            with self.leases.hold("ingest") as hold:

                def pin(item: str) -> None:
                    with self._lock:
                        hold(item)
                    mine.append(item)

                yield pin
        except BaseException:
            self.sweep_tolerant(mine)
            raise

    def hold(self, pin: Callable[[str], None], digest: str) -> bool:
        """Whether the blob is here; it stays for as long as *pin* (of ``pinned``) holds it."""
        pin(digest)
        return self.content.has(digest)

    def is_pinned(self, name: str) -> bool:
        """Whether somebody counts on the digest or chainID now."""
        return name in self.leases.held()

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Publishing and registering an image, or removing and sweeping, as one step against the others."""
        with self._lock:
            yield

    def drop(self, images: Sequence[StoredImage]) -> int:
        """Forget targets with all their names and remove what nobody else needs; returns the freed bytes."""
        with self._lock:
            self.index.drop_images([image.id for image in images])
            faultpoint.reach("image.forgotten")
            return self.sweep_tolerant({digest for image in images for digest in image.blobs()})

    def sweep_tolerant(self, candidates: Iterable[str]) -> int:
        """As ``sweep``, after something was removed for good: what could not be deleted is no reason to say it failed.

        What fails in passing is tried once more; what still stays is found by the next sweep of everything.
        """
        wanted = list(candidates)
        try:
            return self.sweep(wanted)
        except (errors.CortenError, OSError) as error:
            _log.warning("content that is not needed any more could not be removed, once more: %s", error)
        try:
            return self.sweep(wanted)
        except (errors.CortenError, OSError) as error:
            _log.error("content that is not needed any more could not all be removed: %s", error)
            return 0

    def sweep(self, candidates: Iterable[str] | None = None) -> int:
        """Remove unneeded blobs (of *candidates*, by default all) and unneeded layers; returns the bytes."""
        with self._lock:
            if self.quarantine.holds_content:
                return 0
            marked = self.graph().mark()
            freed = 0
            gone: list[str] = []
            for digest in list(self.content.digests()) if candidates is None else list(candidates):
                if Node(gc.BLOB, digest) not in marked:
                    try:
                        freed += self.content.remove(digest)
                    except OSError as error:  # the others can go all the same
                        _log.error("blob %s could not be removed: %s", digest, error)
                    self._configs.pop(digest, None)
                    gone.append(digest)
            self.sources.forget(gone)
            return freed + self.snapshots.collect(marked.keys(gc.LAYER))

    def graph(self, without: Collection[str] = ()) -> Graph:
        """Who needs which content: images (but those called *without*), containers and leases are the roots."""
        return self._reach.graph(without)

    def recover(self) -> None:
        """At start: remove what an interrupted load, import or removal left behind."""
        self.content.clear_ingest()
        self.partials.expire()
        self.leases.expire()
        self._rebuild()
        chains = {chain for image in self.index.images() for item in image.manifests for chain in item.chain()}
        self.snapshots.clean_layers(chains)
        freed = self.sweep()
        if freed:
            _log.info("removed %d bytes of content that no image refers to", freed)

    def remake(self, digest: str) -> None:
        """Make an image's record anew from its documents. ``NotFound`` or ``DataLoss`` when they are not whole."""
        data = self.content.read(digest)
        self.register(Descriptor(media_type=media_type_of(data), digest=digest, size=len(data)), [])

    def _rebuild(self) -> None:
        """Records of images that could not be read are made anew, where that is possible."""
        for entry in self.quarantine.entries(quarantine.IMAGE):
            try:
                self.remake(entry.key)
            except (errors.CortenError, OSError) as error:
                _log.error("image %s cannot be made anew, no content is removed until it is: %s", entry.key, error)
            else:
                _log.warning("the record of image %s was made anew from its content", entry.key)

    def event(self, action: str, image: StoredImage, name: str = "") -> None:
        """Emit an image event; the attributes are the labels and the name."""
        labels = next((manifest.labels for manifest in image.manifests if manifest.labels), None) or {}
        self.emit(action, image.id, {**labels, "name": name or image.id})

    def named_event(self, action: str, image: StoredImage, name: Name) -> None:
        """As ``event``, for a name of the image."""
        self.event(action, image, name.reference.familiar())

    def _document(self, digest: str) -> bytes | None:
        return self.content.read(digest) if self.content.has(digest) else None


def _no_registry(blob: Descriptor) -> None:
    raise errors.NotFound(f"content digest {blob.digest}: not found")
