"""``docker load``: images from a docker-archive or an OCI layout, several at once, all or nothing."""

from collections.abc import Sequence

import msgspec

from corten import errors
from corten.engine import imagepick
from corten.engine.feed import Report
from corten.engine.imagearchive import INDEX_FILE, LAYOUT_FILE, MANIFEST_FILE, Archive, ArchiveItem
from corten.engine.imagescan import StoredImage, StoredManifest, scan
from corten.engine.imagestore import ImageStore
from corten.model.image import Progress
from corten.oci.base import decode
from corten.oci.digest import chain_ids
from corten.oci.image import decode_config
from corten.oci.manifest import (
    CONFIG,
    INDEX_TYPES,
    MANIFEST,
    MANIFEST_TYPES,
    MAX_LAYERS,
    Descriptor,
    Index,
    media_type_of,
)
from corten.oci.platform import Platform
from corten.oci.reference import Reference
from corten.oci.write import encode_manifest
from corten.store.ingest import Ingest, LayerStream
from corten.wire import compress

NAME_ANNOTATION = "io.containerd.image.name"
REF_ANNOTATION = "org.opencontainers.image.ref.name"
MAX_IMAGES = 1000


class Wanted(msgspec.Struct):
    """A target to register: its summary, its names and the manifests whose layers come along."""

    image: StoredImage
    names: list[Reference]
    manifests: list[StoredManifest]


def load_images(
    store: ImageStore, read: compress.ReadChunk, platforms: Sequence[Platform], report: Report
) -> list[tuple[StoredImage, list[Reference]]]:
    """Take in the archive; returns what was registered. ``InvalidArgument`` leaves everything as it was."""
    with store.pinned() as pin, Ingest(store.content, store.snapshots) as ingest:
        archive = Archive(store, ingest, pin)
        archive.read(read)
        targets = _targets(archive, ingest)
        if not targets:
            raise errors.InvalidArgument("invalid archive: it holds no image")
        wanted = [_wanted(archive, descriptor, names, platforms) for descriptor, names in targets]
        blobs = _check_blobs(archive, wanted)
        for digest in blobs:
            pin(digest)
        chains = _Chains(store, ingest, archive)
        for item in wanted:
            for manifest in item.manifests:
                chains.check(manifest)
        ingest.sync()
        loaded = _commit(store, ingest, wanted, blobs, chains)
    for image, names in loaded:
        for name in names:
            report(Progress(stream=f"Loaded image: {name.familiar()}\n"))
        if not names:
            report(Progress(stream=f"Loaded image ID: {image.id}\n"))
    return loaded


def _commit(
    store: ImageStore, ingest: Ingest, wanted: list[Wanted], blobs: set[str], chains: "_Chains"
) -> list[tuple[StoredImage, list[Reference]]]:
    with store.exclusive():
        ingest.publish(blobs)
        missing = [digest for digest in blobs if not store.content.has(digest)]
        if missing:
            raise errors.Unavailable(f"blob {missing[0]} was removed during the load; load again")
        for item in wanted:
            for manifest in item.manifests:
                chains.commit(manifest)
        ingest.record()
        images = store.register_all([(item.image.descriptor, item.names) for item in wanted])
        return [(image, item.names) for image, item in zip(images, wanted, strict=True)]


# what the archive says


Target = tuple[Descriptor, list[Reference]]


def _targets(archive: Archive, ingest: Ingest) -> list[Target]:
    """Descriptors with their names, in the archive's order; the OCI index has precedence."""
    index = archive.documents.get(INDEX_FILE)
    listed = archive.documents.get(MANIFEST_FILE)
    items = decode(listed, list[ArchiveItem], MANIFEST_FILE) if listed is not None else []
    if index is not None and LAYOUT_FILE in archive.documents:
        return _from_index(archive, index, items)
    if listed is None:
        raise errors.InvalidArgument("invalid archive: does not contain a manifest.json or an OCI index.json")
    return _from_items(archive, ingest, items)


def _from_index(archive: Archive, data: bytes, items: list[ArchiveItem]) -> list[Target]:
    found: dict[str, Descriptor] = {}
    names: dict[str, list[Reference]] = {}
    for descriptor in decode(data, Index, INDEX_FILE).manifests or ():
        if descriptor.media_type not in INDEX_TYPES | MANIFEST_TYPES:
            continue
        name = _annotated_name(descriptor)
        if name is not None:
            names.setdefault(descriptor.digest, []).append(name)
        if descriptor.digest in found:
            continue
        _check_count(len(found))
        raw = archive.document(descriptor.digest)
        if raw is None:
            raise errors.InvalidArgument(f"invalid archive: content {descriptor.digest} is missing")
        if media_type_of(raw) != descriptor.media_type or len(raw) != descriptor.size:
            raise errors.InvalidArgument(f"invalid archive: {descriptor.digest} is not what index.json says")
        bare = Descriptor(media_type=descriptor.media_type, digest=descriptor.digest, size=descriptor.size)
        found[descriptor.digest] = bare
    if not names and len(found) == len(items):
        # an OCI layout inside an older docker-archive: the names are in manifest.json alone
        for digest, item in zip(found, items, strict=True):
            names[digest] = _repo_tags(item)
    return [(descriptor, _unique(names.get(digest, []))) for digest, descriptor in found.items()]


def _check_count(images: int) -> None:
    """Every image costs the decoding of its documents, so their number has a bound."""
    if images >= MAX_IMAGES:
        raise errors.InvalidArgument(f"archive has more than {MAX_IMAGES} images")


def _annotated_name(descriptor: Descriptor) -> Reference | None:
    annotations = descriptor.annotations or {}
    name = annotations.get(NAME_ANNOTATION, "")
    if not name:
        name = annotations.get(REF_ANNOTATION, "")
        if "/" not in name and ":" not in name:
            return None  # only a tag: it names no repository
    return Reference.parse(name).tagged()


def _from_items(archive: Archive, ingest: Ingest, items: list[ArchiveItem]) -> list[Target]:
    table: dict[str, Target] = {}
    _check_count(len(items) - 1)
    for item in items:
        config = archive.member(item.config)
        raw = archive.document(config.digest)
        if raw is None:
            raise errors.InvalidArgument(f"invalid archive: config {item.config!r} is missing")
        paths = item.layers or []
        diff_ids = decode_config(raw).diff_ids
        if len(paths) > MAX_LAYERS or len(paths) != len(diff_ids):
            raise errors.InvalidArgument(
                f"invalid manifest, layers length mismatch: expected {len(diff_ids)}, got {len(paths)}"
            )
        layers = [_layer_descriptor(archive, path) for path in paths]
        manifest = encode_manifest(Descriptor(media_type=CONFIG, digest=config.digest, size=config.size), layers)
        digest = archive.add_document(ingest, manifest)
        target = Descriptor(media_type=MANIFEST, digest=digest, size=len(manifest))
        earlier = table[digest][1] if digest in table else []
        table[digest] = (target, _unique([*earlier, *_repo_tags(item)]))
    return list(table.values())


def _layer_descriptor(archive: Archive, path: str) -> Descriptor:
    member = archive.member(path)
    return Descriptor(media_type=archive.layer_media_type(member, path), digest=member.digest, size=member.size)


def _repo_tags(item: ArchiveItem) -> list[Reference]:
    names = [Reference.parse(text) for text in item.repo_tags or ()]
    for name in names:
        if name.tag is None or name.digest is not None:
            raise errors.InvalidArgument(f"invalid tag {name.familiar()!r}")
    return names


def _unique(names: list[Reference]) -> list[Reference]:
    return list({name.canonical: name for name in names}.values())


# what comes along


def _wanted(archive: Archive, descriptor: Descriptor, names: list[Reference], platforms: Sequence[Platform]) -> Wanted:
    image = scan(descriptor, archive.document, 0)
    present = [
        manifest
        for manifest in image.manifests
        if manifest.complete and all(archive.has(layer.digest) for layer in manifest.layers)
    ]
    if platforms:
        chosen = [imagepick.best([item for item in present if item.kind == "image"], wanted) for wanted in platforms]
        for platform, manifest in zip(platforms, chosen, strict=True):
            if manifest is None:
                label = names[0].familiar() if names else image.id
                raise errors.NotFound(
                    f"image with reference {label} was found but does not provide the specified platform "
                    f"({platform.text()})"
                )
        present = [manifest for manifest in chosen if manifest is not None]
    if not present:
        raise errors.InvalidArgument(f"invalid archive: it does not hold the content of {image.id}")
    return Wanted(image, names, present)


def _check_blobs(archive: Archive, wanted: list[Wanted]) -> set[str]:
    """The digests to keep; every size has to be what the descriptors say."""
    blobs: set[str] = set()
    for item in wanted:
        documents = [item.image.descriptor, *item.image.indexes]
        for manifest in item.manifests:
            documents += [manifest.descriptor, *([manifest.config] if manifest.config else []), *manifest.layers]
        for descriptor in documents:
            size = archive.size(descriptor.digest)
            if size != descriptor.size:
                raise errors.InvalidArgument(
                    f"invalid archive: {descriptor.digest} has {size} bytes, its descriptor says {descriptor.size}"
                )
            blobs.add(descriptor.digest)
    return blobs


class _Chains:
    """Layers of the wanted manifests: checked first, then committed from the bottom up, each chain once."""

    def __init__(self, store: ImageStore, ingest: Ingest, archive: Archive) -> None:
        self._store = store
        self._ingest = ingest
        self._archive = archive
        self._streams: dict[str, LayerStream] = {}

    def check(self, manifest: StoredManifest) -> None:
        """Wait for the layers that are not unpacked yet, and compare them with the config's diffIDs."""
        for number, (layer, diff_id, chain_id) in enumerate(self._layers(manifest)):
            if self._store.snapshots.layer(chain_id) is not None:
                continue
            ready = self._stream(layer.digest).ready()
            if ready.diff_id != diff_id:
                raise errors.InvalidArgument(
                    f'invalid diffID for layer {number}: expected "{diff_id}", got "{ready.diff_id}"'
                )

    def commit(self, manifest: StoredManifest) -> None:
        """Commit what is new of the manifest's chain."""
        parent = ""
        for layer, diff_id, chain_id in self._layers(manifest):
            if self._store.snapshots.layer(chain_id) is None:
                stream = self._stream(layer.digest)
                if stream.committed:  # the same archive above another parent: unpack it once more
                    stream = self._ingest.layer_from_blob(layer.digest)
                    stream.ready()
                    self._ingest.sync()
                self._ingest.commit_chain([stream], parent)
            assert diff_id
            parent = chain_id

    def _layers(self, manifest: StoredManifest) -> list[tuple[Descriptor, str, str]]:
        if manifest.kind != "image" or manifest.platform is None or manifest.platform.os != "linux":
            return []
        return list(zip(manifest.layers, manifest.diff_ids, chain_ids(manifest.diff_ids), strict=True))

    def _stream(self, digest: str) -> LayerStream:
        stream = self._streams.get(digest)
        if stream is None:
            member = self._archive.by_digest.get(digest)
            if member is not None and member.stream is not None:
                stream = member.stream
            elif self._store.content.has(digest):
                stream = self._ingest.layer_from_blob(digest)
            else:
                raise errors.InvalidArgument(f"invalid archive: layer {digest} is no tar archive")
            self._streams[digest] = stream
        return stream
