"""Reading what a target's documents say, once, when it comes in: a flat summary that the index keeps."""

from collections.abc import Callable

import msgspec

from corten import errors
from corten.oci import timestamp
from corten.oci.base import OciValue
from corten.oci.digest import chain_ids, check
from corten.oci.image import decode_config
from corten.oci.manifest import (
    ATTESTATION_ANNOTATION,
    ATTESTATION_SUBJECT,
    CONFIG_TYPES,
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    decode_index,
    decode_manifest,
)
from corten.oci.platform import Platform

IMAGE, ATTESTATION, UNKNOWN = "image", "attestation", "unknown"
_MAX_DEPTH = 4
_MAX_MANIFESTS = 500

Read = Callable[[str], bytes | None]
"""Gives a document by its digest, None when it is not here."""


class StoredManifest(OciValue, frozen=True):
    """One manifest under a target. ``complete``: its documents are here (``layers`` may still be missing).

    ``kind`` is image, attestation or unknown; ``created`` in nanoseconds; ``diff_ids`` bottom first.
    """

    descriptor: Descriptor
    kind: str = UNKNOWN
    complete: bool = False
    platform: Platform | None = None
    config: Descriptor | None = None
    layers: list[Descriptor] = msgspec.field(default_factory=list)
    diff_ids: list[str] = msgspec.field(default_factory=list)
    chain_id: str = ""
    created: int = 0
    labels: dict[str, str] | None = None
    subject: str = ""

    def chain(self) -> list[str]:
        """The chainIDs of the layers, bottom first."""
        return chain_ids(self.diff_ids)


class StoredImage(OciValue, frozen=True):
    """A target: the descriptor that names point to, the indexes it consists of and its manifests."""

    descriptor: Descriptor
    indexes: list[Descriptor] = msgspec.field(default_factory=list)
    manifests: list[StoredManifest] = msgspec.field(default_factory=list)
    stored_at: int = 0

    @property
    def id(self) -> str:
        """The image id."""
        return self.descriptor.digest

    def blobs(self) -> dict[str, int]:
        """Digest to size of everything the target refers to."""
        found = {self.descriptor.digest: self.descriptor.size}
        found.update((index.digest, index.size) for index in self.indexes)
        for manifest in self.manifests:
            for item in (manifest.descriptor, manifest.config, *manifest.layers):
                if item is not None:
                    found[item.digest] = item.size
        return found


def scan(target: Descriptor, read: Read, stored_at: int) -> StoredImage:
    """Summarise the documents below *target*. Missing ones are only noted, except the target itself."""
    indexes: list[Descriptor] = []
    manifests: list[StoredManifest] = []
    _walk(target, read, indexes, manifests, 0)
    bare = msgspec.structs.replace(target, platform=None, annotations=None, urls=None, data=None)
    return StoredImage(descriptor=bare, indexes=indexes, manifests=manifests, stored_at=stored_at)


def _walk(item: Descriptor, read: Read, indexes: list[Descriptor], manifests: list[StoredManifest], depth: int) -> None:
    check(item.digest)
    if item.media_type in MANIFEST_TYPES:
        manifests.append(_manifest(item, read))
        return
    if item.media_type not in INDEX_TYPES:
        manifests.append(StoredManifest(descriptor=item))
        return
    if depth == _MAX_DEPTH:
        raise errors.InvalidArgument(f"image indexes are nested more than {_MAX_DEPTH} deep")
    indexes.append(item)
    data = read(item.digest)
    if data is None:
        return
    for child in decode_index(data).manifests or ():
        if len(manifests) + len(indexes) > _MAX_MANIFESTS:
            raise errors.InvalidArgument(f"image index has more than {_MAX_MANIFESTS} manifests")
        _walk(child, read, indexes, manifests, depth + 1)


def _manifest(item: Descriptor, read: Read) -> StoredManifest:
    subject = (item.annotations or {}).get(ATTESTATION_SUBJECT, "")
    attests = (item.annotations or {}).get(ATTESTATION_ANNOTATION) == "attestation-manifest"
    kind = ATTESTATION if attests else IMAGE
    data = read(item.digest)
    if data is None:
        return StoredManifest(descriptor=item, kind=kind, platform=item.platform, subject=subject)
    manifest = decode_manifest(data)
    layers = list(manifest.layers or ())
    for part in (manifest.config, *layers):
        check(part.digest)
    known = StoredManifest(descriptor=item, kind=kind, config=manifest.config, layers=layers, subject=subject)
    if attests or manifest.config.media_type not in CONFIG_TYPES:
        return msgspec.structs.replace(known, kind=kind if attests else UNKNOWN, complete=True, platform=item.platform)
    raw = read(manifest.config.digest)
    if raw is None:
        return msgspec.structs.replace(known, platform=item.platform)
    config = decode_config(raw)
    if len(config.diff_ids) != len(layers):
        raise errors.InvalidArgument(
            f"image config {manifest.config.digest} names {len(config.diff_ids)} layers, its manifest {len(layers)}"
        )
    platform = Platform(
        os=config.os or "linux",
        architecture=config.architecture,
        variant=config.variant,
        os_version=config.os_version,
        os_features=config.os_features or [],
    )
    return msgspec.structs.replace(
        known,
        complete=True,
        platform=platform,
        diff_ids=config.diff_ids,
        chain_id=(chain_ids(config.diff_ids) or [""])[-1],
        created=timestamp.parse(config.created),
        labels=config.run.labels,
    )
