"""What a push has to bring to the registry: documents byte for byte, and the blobs below them, each once."""

from collections.abc import Iterable

import msgspec

from corten import errors
from corten.engine.imagescan import IMAGE, StoredImage, StoredManifest
from corten.engine.imagestore import ImageStore
from corten.oci.manifest import INDEX_TYPES, MANIFEST_TYPES, Descriptor
from corten.oci.platform import Platform

_EXACT = 100
"""``Platform.score`` of a platform that is the wanted one and not only able to run it."""
_FOREIGN = (
    "application/vnd.docker.image.rootfs.foreign.",
    "application/vnd.oci.image.layer.nondistributable.",
)


class Plan(msgspec.Struct, frozen=True):
    """One target. ``documents`` come in the order in which a registry takes them, the target last; ``blobs`` are
    everything else; ``absent`` are manifests that are not here, so that the registry must have them already."""

    target: Descriptor
    documents: list[Descriptor]
    blobs: list[Descriptor]
    absent: list[Descriptor]

    @property
    def is_index(self) -> bool:
        return self.target.media_type in INDEX_TYPES


def whole(store: ImageStore, image: StoredImage) -> Plan:
    """Everything that the target refers to."""
    absent: list[Descriptor] = []
    here: list[StoredManifest] = []
    for manifest in image.manifests:
        if manifest.config is None and manifest.descriptor.media_type in MANIFEST_TYPES:
            absent.append(manifest.descriptor)
        else:
            here.append(manifest)
    indexes = [index for index in image.indexes if store.content.has(index.digest)]
    absent += [index for index in image.indexes if index not in indexes]
    return _plan(image.descriptor, here, list(reversed(indexes)), absent)


def of_platform(store: ImageStore, image: StoredImage, platform: Platform, name: str) -> Plan:
    """The manifest of exactly *platform* alone. ``NotFound`` in Docker's words when it is not here."""
    for manifest in _available(store, image):
        if manifest.platform is not None and manifest.platform.score(platform) == _EXACT:
            return of_manifest(manifest)
    raise errors.NotFound(
        f"image with reference {name} was found but does not provide the specified platform ({platform.text()})"
    )


def only_one(store: ImageStore, image: StoredImage) -> StoredManifest | None:
    """The one image of an index that is completely here; None when none is, or several are."""
    available = _available(store, image)
    return available[0] if len(available) == 1 else None


def of_manifest(manifest: StoredManifest) -> Plan:
    """One manifest alone, as a target of its own."""
    bare = msgspec.structs.replace(manifest.descriptor, platform=None, annotations=None, urls=None, data=None)
    return _plan(bare, [manifest], [], [])


def _available(store: ImageStore, image: StoredImage) -> list[StoredManifest]:
    """The images of a target whose documents are here, and whose layers are, or can be had where they came from."""
    return [
        each
        for each in image.manifests
        if each.kind == IMAGE
        and each.complete
        and all(store.content.has(layer.digest) or store.sources.repositories(layer.digest) for layer in each.layers)
    ]


def _plan(
    target: Descriptor, manifests: Iterable[StoredManifest], indexes: list[Descriptor], absent: list[Descriptor]
) -> Plan:
    documents: dict[str, Descriptor] = {}
    layers: dict[str, Descriptor] = {}
    configs: dict[str, Descriptor] = {}
    for manifest in manifests:
        if manifest.config is None:  # of a type that is neither manifest nor index: its bytes are all there is to it
            layers[manifest.descriptor.digest] = manifest.descriptor
            continue
        documents[manifest.descriptor.digest] = manifest.descriptor
        configs[manifest.config.digest] = manifest.config
        layers.update((layer.digest, layer) for layer in manifest.layers if not is_foreign(layer))
    documents.update((index.digest, index) for index in indexes)
    documents.pop(target.digest, None)
    blobs = [*layers.values(), *(config for digest, config in configs.items() if digest not in layers)]
    return Plan(target, [*documents.values(), target], blobs, absent)


def is_foreign(layer: Descriptor) -> bool:
    """Whether the layer is one that its owner does not let registries hand on."""
    return layer.media_type.startswith(_FOREIGN)
