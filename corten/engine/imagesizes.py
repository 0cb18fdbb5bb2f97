"""Sizes of images and of what they share, and the per-manifest summaries of list and inspect."""

from collections import Counter
from collections.abc import Iterable

from corten.engine.imagescan import IMAGE, StoredImage, StoredManifest
from corten.engine.imagestore import ImageStore
from corten.model.image import AttestationData, ImageData, ManifestSize, ManifestSummary, UnpackedSize
from corten.oci.platform import Platform


class Sizes:
    """Looks every blob up once; make one per request."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        self._present: dict[str, int] = {}

    def present(self, digest: str) -> int:
        """Bytes of a blob, 0 when it is missing."""
        size = self._present.get(digest)
        if size is None:
            size = self._present[digest] = max(self._store.content.size(digest), 0)
        return size

    def content(self, manifest: StoredManifest) -> int:
        """Bytes of the manifest's blobs that are here."""
        return sum(self.present(digest) for digest in _blobs(manifest))

    def available(self, manifest: StoredManifest) -> bool:
        """Whether all of the manifest's blobs are here, or can be had again."""
        return self._store.available(manifest)

    def total(self, image: StoredImage) -> int:
        """Bytes of all of the image's blobs and unpacked layers, each once."""
        blobs = {digest for manifest in image.manifests for digest in _blobs(manifest)}
        blobs.update(index.digest for index in image.indexes)
        chains = {chain for manifest in image.manifests for chain in self._chains(manifest)}
        layers = (self._store.snapshots.layer(chain) for chain in chains)
        return sum(self.present(digest) for digest in blobs) + sum(layer.size for layer in layers if layer)

    def shared(self, images: Iterable[StoredImage]) -> dict[str, int]:
        """Per image id the bytes of unpacked layers that another image has as well."""
        chains = {
            image.id: {chain for manifest in image.manifests for chain in self._chains(manifest)} for image in images
        }
        users = Counter(chain for found in chains.values() for chain in found)
        sizes = {layer.chain_id: layer.size for layer in self._store.snapshots.layers()}
        return {
            image_id: sum(sizes.get(chain, 0) for chain in found if users[chain] > 1)
            for image_id, found in chains.items()
        }

    def summaries(self, image: StoredImage) -> list[ManifestSummary]:
        """One entry per manifest of the image, in the index's order."""
        users = [use.container_id for use in self._store.users(image.id)]
        return [self._summary(manifest, users) for manifest in image.manifests]

    def _summary(self, manifest: StoredManifest, users: list[str]) -> ManifestSummary:
        content = self.content(manifest)
        unpacked = self._store.unpacked_size(manifest)
        data = attestation = None
        if manifest.kind == IMAGE:
            platform = manifest.platform or manifest.descriptor.platform or Platform()
            containers = users if self._store.runnable(manifest) else []
            data = ImageData(platform=platform, size=UnpackedSize(unpacked=unpacked), containers=containers)
        elif manifest.kind == "attestation":
            attestation = AttestationData(for_=manifest.subject)
        return ManifestSummary(
            id=manifest.descriptor.digest,
            descriptor=manifest.descriptor,
            available=self.available(manifest),
            size=ManifestSize(content=content, total=content + unpacked),
            kind=manifest.kind,
            image_data=data,
            attestation_data=attestation,
        )

    def _chains(self, manifest: StoredManifest) -> list[str]:
        found: list[str] = []
        chain_id = manifest.chain_id
        while chain_id:
            layer = self._store.snapshots.layer(chain_id)
            if layer is None:
                return []
            found.append(chain_id)
            chain_id = layer.parent
        return found


def _blobs(manifest: StoredManifest) -> list[str]:
    parts = [manifest.descriptor, *([manifest.config] if manifest.config else []), *manifest.layers]
    return [part.digest for part in parts]
