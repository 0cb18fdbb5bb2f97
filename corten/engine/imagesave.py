"""``docker save``: one tar that is a docker-archive and an OCI layout at once; blobs go out as they are stored."""

from collections.abc import Iterator, Sequence

import msgspec

from corten import errors
from corten.engine import imagepick
from corten.engine.imageload import NAME_ANNOTATION, REF_ANNOTATION
from corten.engine.imagescan import StoredImage, StoredManifest
from corten.engine.imagestore import ImageStore
from corten.oci.manifest import INDEX, MANIFEST_TYPES, Descriptor
from corten.oci.platform import Platform
from corten.oci.reference import Reference
from corten.wire import tarwrite

_CHUNK = 1 << 20
_BLOBS = "blobs/sha256/"
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


class Chosen(msgspec.Struct):
    """An image to write: what names point to in the archive, its names there, and the manifests that come along."""

    target: Descriptor
    names: list[Reference]
    image: StoredImage
    manifests: list[StoredManifest]
    main: StoredManifest | None


def choose_images(store: ImageStore, texts: Sequence[str], platforms: Sequence[Platform]) -> list[Chosen]:
    """What *texts* mean: a name, a repository (all its tags) or an id. ``NotFound`` before anything is written."""
    found: dict[str, Chosen] = {}
    for text in texts:
        for image, name in _meant(store, text):
            chosen = found.get(image.id)
            if chosen is None:
                chosen = found[image.id] = _choose(store, image, platforms, text)
            if name is not None and name not in chosen.names:
                chosen.names.append(name)
    return list(found.values())


def _meant(store: ImageStore, text: str) -> list[tuple[StoredImage, Reference | None]]:
    if not text.startswith("sha256:"):
        try:
            reference = Reference.parse(text)
        except errors.InvalidArgument:
            reference = None
        if reference is not None and reference.tag is None and reference.digest is None:
            same = [name for name in store.index.names().values() if name.reference.name == reference.name]
            pairs = [(store.index.get(name.digest), name.reference) for name in same if name.reference.tag]
            tagged = [(image, name) for image, name in pairs if image is not None]
            if tagged:
                return list(tagged)
    image, name = store.index.find(text)
    return [(image, name if name is not None and name.tag else None)]


def _choose(store: ImageStore, image: StoredImage, platforms: Sequence[Platform], text: str) -> Chosen:
    here = [manifest for manifest in image.manifests if store.available(manifest)]
    if not platforms:
        main = imagepick.choose(store, image, None)
        return Chosen(image.descriptor, [], image, here, main if main in here else None)
    picked: list[StoredManifest] = []
    for platform in platforms:
        manifest = imagepick.pick(store, image, platform, text)
        if manifest not in here:
            raise errors.NotFound(
                f"image with reference {text} was found but does not provide the specified platform ({platform.text()})"
            )
        picked.append(manifest)
    target = picked[0].descriptor if len(picked) == 1 else image.descriptor
    return Chosen(target, [], image, picked, picked[0])


def bring_back(store: ImageStore, images: list[Chosen]) -> list[str]:
    """Fetch the blobs that were given up here; before the first byte is written, since it can fail."""
    brought: list[str] = []
    with store.pinned() as pin:
        for layer in [layer for chosen in images for manifest in chosen.manifests for layer in manifest.layers]:
            if not store.hold(pin, layer.digest):
                store.fetch_again(layer)
                brought.append(layer.digest)
    return brought


def write_archive(store: ImageStore, images: list[Chosen], brought: Sequence[str] = ()) -> Iterator[bytes]:
    """The archive in pieces. Blobs are pinned while it is being written; those that were *brought* may go then."""
    try:
        yield from _archive(store, images)
    finally:
        store.hand_back(brought)


def _archive(store: ImageStore, images: list[Chosen]) -> Iterator[bytes]:
    with store.pinned() as pin:
        blobs = _blobs(images)
        for digest in blobs:
            pin(digest)
        yield tarwrite.header(b"blobs/", kind=tarwrite.DIRECTORY, mode=0o755)
        yield tarwrite.header(b"blobs/sha256/", kind=tarwrite.DIRECTORY, mode=0o755)
        for digest in blobs:
            yield from _blob(store, digest)
        for name, data in (
            ("index.json", _index(images)),
            ("manifest.json", _manifest_list(images)),
            ("oci-layout", _LAYOUT),
            ("repositories", _repositories(images)),
        ):
            yield tarwrite.header(name.encode(), size=len(data)) + data + tarwrite.padding(len(data))
        yield tarwrite.TRAILER


def _blobs(images: list[Chosen]) -> list[str]:
    """Documents first, then layers, each once."""
    documents: dict[str, None] = {}
    layers: dict[str, None] = {}
    for chosen in images:
        if chosen.target.media_type not in MANIFEST_TYPES:
            documents.update((index.digest, None) for index in chosen.image.indexes)
        for manifest in chosen.manifests:
            documents[manifest.descriptor.digest] = None
            if manifest.config is not None:
                documents[manifest.config.digest] = None
            layers.update((layer.digest, None) for layer in manifest.layers)
    return [*documents, *(digest for digest in layers if digest not in documents)]


def _blob(store: ImageStore, digest: str) -> Iterator[bytes]:
    size = store.content.size(digest)
    if size < 0:
        raise errors.DataLoss(f"content {digest} is missing")
    name = _BLOBS + digest.removeprefix("sha256:")
    yield tarwrite.header(name.encode(), size=size)
    sent = 0
    for chunk in store.content.chunks(digest, _CHUNK):
        sent += len(chunk)
        yield chunk
    if sent != size:
        raise errors.DataLoss(f"content {digest} changed its size on disk")
    padding = tarwrite.padding(size)
    if padding:
        yield padding


def _index(images: list[Chosen]) -> bytes:
    entries: list[Descriptor] = []
    for chosen in images:
        if not chosen.names:
            entries.append(chosen.target)
        for name in chosen.names:
            annotations = {NAME_ANNOTATION: name.canonical, REF_ANNOTATION: name.tag or ""}
            entries.append(msgspec.structs.replace(chosen.target, annotations=annotations))
    return msgspec.json.encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})


def _manifest_list(images: list[Chosen]) -> bytes:
    items: list[dict[str, object]] = []
    for chosen in images:
        main = chosen.main
        if main is None or main.config is None:
            continue
        items.append(
            {
                "Config": _BLOBS + main.config.digest.removeprefix("sha256:"),
                "RepoTags": [name.familiar() for name in chosen.names] or None,
                "Layers": [_BLOBS + layer.digest.removeprefix("sha256:") for layer in main.layers],
                "LayerSources": dict(zip(main.diff_ids, main.layers, strict=False)),
            }
        )
    return msgspec.json.encode(items)


def _repositories(images: list[Chosen]) -> bytes:
    table: dict[str, dict[str, str]] = {}
    for chosen in images:
        for name in chosen.names:
            if chosen.main is not None and name.tag:
                digest = chosen.main.descriptor.digest.removeprefix("sha256:")
                table.setdefault(name.familiar_name(), {})[name.tag] = digest
    return msgspec.json.encode(table)
