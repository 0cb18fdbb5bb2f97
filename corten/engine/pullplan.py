"""What a pull has to bring in: the documents of a reference, the manifest of the wanted platform, its blobs.

Documents are read from the store where it has them, else from the registry; every byte has been checked against its
digest by whoever delivered it. An index is kept byte for byte, though only one platform of it comes along.
"""

import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from corten import errors
from corten.engine.blobfetch import Source
from corten.engine.imagepick import best
from corten.engine.imagescan import ATTESTATION, IMAGE, StoredImage, StoredManifest, scan
from corten.engine.imagestore import ImageStore
from corten.oci import digest as digests
from corten.oci.base import MAX_DOCUMENT
from corten.oci.digest import chain_ids, check
from corten.oci.manifest import (
    CONFIG_TYPES,
    INDEX_TYPES,
    LAYER_TYPES,
    MANIFEST_TYPES,
    SCHEMA1_TYPES,
    Descriptor,
    Index,
    decode_index,
    decode_manifest,
    media_type_of,
    schema1,
)
from corten.oci.platform import Platform
from corten.oci.reference import Reference

log = logging.getLogger(__name__)

MAX_DEPTH = 4
_MAX_PROBES = 16
"""Manifests without a platform in their descriptor that are read to learn it."""


class Document(Protocol):
    """A manifest or an index, as the registry client gives it."""

    @property
    def descriptor(self) -> Descriptor: ...
    @property
    def data(self) -> bytes: ...


class Registry(Source, Protocol):
    """A repository, as far as a pull needs it."""

    def resolve(self, name: str) -> Descriptor: ...
    def manifest(self, name: "str | Descriptor") -> Document: ...


class Part(msgspec.Struct, frozen=True):
    """A blob to bring in. ``chain_id`` is what it becomes, "" for one that is only stored."""

    descriptor: Descriptor
    diff_id: str = ""
    chain_id: str = ""


class Plan(msgspec.Struct, frozen=True):
    """``layers`` bottom first; ``documents`` have come already, ``others`` are blobs that are only stored."""

    target: Descriptor
    image: StoredImage
    manifest: StoredManifest
    layers: list[Part]
    others: list[Part]

    @property
    def parts(self) -> list[Part]:
        """All blobs."""
        return [*self.layers, *self.others]

    @property
    def documents(self) -> list[str]:
        """What has to be in the store beside the blobs: the chosen manifest with its config, and all above it."""
        found: list[Descriptor | None] = [self.target, *self.image.indexes[:1], self.manifest.descriptor]
        if _is_described(self.manifest):
            found.append(self.manifest.config)
        return [item.digest for item in found if item is not None]


class Documents:
    """The manifests and configs of one pull. ``pin`` is told of each digest before it is looked for."""

    def __init__(self, store: ImageStore, registry: Registry, pin: Callable[[str], None]) -> None:
        self._store = store
        self._registry = registry
        self._pin = pin
        self.fetched: dict[str, bytes] = {}

    def known(self, digest: str) -> bytes | None:
        """A document that is here already."""
        data = self.fetched.get(digest)
        if data is None and self._store.content.has(digest):
            try:
                data = self._store.content.read(digest)
            except errors.DataLoss as error:
                log.warning("%s; it is fetched again", error)
                self._store.content.remove(digest)
        return data

    def manifest(self, descriptor: Descriptor) -> bytes:
        """A manifest or an index."""
        self._pin(check(descriptor.digest))
        data = self.known(descriptor.digest)
        if data is None:
            data = self.fetched[descriptor.digest] = bytes(self._registry.manifest(descriptor).data)
        return data

    def config(self, descriptor: Descriptor) -> bytes:
        """An image config, which is a small blob."""
        self._pin(check(descriptor.digest))
        data = self.known(descriptor.digest)
        if data is None:
            if not 0 <= descriptor.size <= MAX_DOCUMENT:
                raise errors.InvalidArgument(
                    f"image config {descriptor.digest} has {descriptor.size} bytes; "
                    f"more than {MAX_DOCUMENT} are not accepted"
                )
            data = self.fetched[descriptor.digest] = small_blob(self._registry, descriptor)
        return data


def small_blob(source: Source, descriptor: Descriptor) -> bytes:
    """A blob as a whole, checked. ``DataLoss`` when it is another one."""
    parts: list[bytes] = []
    left = descriptor.size + 1
    with source.blob(descriptor) as body:
        while left > 0 and (piece := body.read(left)):
            parts.append(bytes(piece))
            left -= len(piece)
    data = b"".join(parts)
    if len(data) != descriptor.size or digests.of(data) != descriptor.digest:
        raise errors.DataLoss(f"filesystem layer verification failed for digest {descriptor.digest}")
    return data


def make_plan(documents: Documents, target: Descriptor, name: Reference, platform: Platform | None) -> Plan:
    """Read the documents below *target*. ``NotFound`` when there is nothing for *platform*."""
    manifest = _choose(documents, target, name, platform, 0)
    raw = documents.manifest(manifest)
    if media_type_of(raw) not in MANIFEST_TYPES:
        raise errors.InvalidArgument(f"{manifest.digest} is not the manifest that its descriptor says")
    decoded = decode_manifest(raw)
    if decoded.config.media_type in CONFIG_TYPES:
        documents.config(decoded.config)
    image = scan(target, documents.known, 0)
    if any(item.kind == ATTESTATION and item.subject == manifest.digest for item in image.manifests):
        for item in image.manifests:
            if item.kind == ATTESTATION and item.subject == manifest.digest:
                documents.manifest(item.descriptor)
        image = scan(target, documents.known, 0)
    found = next(item for item in image.manifests if item.descriptor.digest == manifest.digest)
    _check_platform(found, name, platform)
    layers = _layers(found)
    stored = [item for item in image.manifests if item.kind == ATTESTATION and item.subject == manifest.digest]
    others = [Part(item) for each in stored for item in _blobs(each)]
    if not layers:
        others += [Part(item) for item in (found.layers if _is_described(found) else _blobs(found))]
    for part in (*layers, *others):
        check(part.descriptor.digest)
        if part.descriptor.size < 0:
            raise errors.InvalidArgument(f"blob {part.descriptor.digest} has the size {part.descriptor.size}")
    return Plan(target, image, found, layers, others)


def _is_described(manifest: StoredManifest) -> bool:
    """Whether its config is an image's, and so one of the documents."""
    return manifest.config is not None and manifest.config.media_type in CONFIG_TYPES


def _blobs(manifest: StoredManifest) -> list[Descriptor]:
    return [*([manifest.config] if manifest.config else []), *manifest.layers]


def _layers(manifest: StoredManifest) -> list[Part]:
    """The layers to unpack; none of what is no image, whatever its config says."""
    if manifest.kind != IMAGE or not manifest.complete:
        return []
    if not all(layer.media_type in LAYER_TYPES for layer in manifest.layers):
        return []
    chain = chain_ids(manifest.diff_ids)
    return [
        Part(layer, diff_id, chain_id)
        for layer, diff_id, chain_id in zip(manifest.layers, manifest.diff_ids, chain, strict=True)
    ]


def _check_platform(manifest: StoredManifest, name: Reference, wanted: Platform | None) -> None:
    have = manifest.platform
    if manifest.kind != IMAGE or have is None:
        return
    if have.os != "linux":
        raise errors.InvalidArgument(f'image operating system "{have.os}" cannot be used on this platform')
    if wanted is not None and not have.score(wanted):
        raise errors.NotFound(
            f"image with reference {name.familiar()} was found but does not provide the specified platform "
            f"({wanted.text()})"
        )


# the platform


def _choose(documents: Documents, item: Descriptor, name: Reference, wanted: Platform | None, depth: int) -> Descriptor:
    """The manifest below *item* that serves the platform."""
    if item.media_type in SCHEMA1_TYPES:
        raise schema1(name.canonical)
    if item.media_type in MANIFEST_TYPES:
        return item
    if item.media_type not in INDEX_TYPES:
        raise errors.InvalidArgument(f"unsupported media type {item.media_type}")
    if depth == MAX_DEPTH:
        raise errors.InvalidArgument(f"image indexes are nested more than {MAX_DEPTH} deep")
    index = decode_index(documents.manifest(item))
    platform = wanted or Platform.host()
    found = best([StoredManifest(descriptor=each, platform=each.platform) for each in _candidates(index)], platform)
    if found is not None:
        return _choose(documents, found.descriptor, name, wanted, depth + 1)
    for each in [each for each in _candidates(index) if each.platform is None][:_MAX_PROBES]:
        try:
            chosen = _choose(documents, each, name, wanted, depth + 1)
        except errors.NotFound:
            continue
        if _serves(documents, chosen, platform):
            return chosen
    raise errors.NotFound(
        f"no matching manifest for {platform.text()} in the manifest list entries: "
        "no match for platform in manifest: not found"
    )


def _candidates(index: Index) -> list[Descriptor]:
    """What may be an image: attestations name a platform that does not exist."""
    return [item for item in index.manifests or () if item.media_type in INDEX_TYPES | MANIFEST_TYPES]


def _serves(documents: Documents, descriptor: Descriptor, platform: Platform) -> bool:
    """Whether a manifest whose descriptor is silent is for the platform; what is no image serves any."""
    decoded = decode_manifest(documents.manifest(descriptor))
    if decoded.config.media_type not in CONFIG_TYPES:
        return True
    documents.config(decoded.config)
    found = scan(descriptor, documents.known, 0).manifests[0]
    return found.platform is not None and found.platform.score(platform) > 0
