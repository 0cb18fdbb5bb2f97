"""Descriptors, manifests and indexes (image-spec: descriptor.md, manifest.md, image-index.md) and Docker's twins."""

from corten import errors
from corten.oci.base import OciValue, decode
from corten.oci.platform import Platform

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"

INDEX_TYPES = frozenset({INDEX, DOCKER_LIST})
MANIFEST_TYPES = frozenset({MANIFEST, DOCKER_MANIFEST})
CONFIG_TYPES = frozenset({CONFIG, DOCKER_CONFIG})
SCHEMA1_TYPES = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
FOREIGN_TYPES = frozenset(
    {
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    }
)
"""Layers that a registry need not have; ``urls`` of their descriptors say who does."""
LAYER_TYPES = FOREIGN_TYPES | {
    LAYER,
    LAYER_GZIP,
    LAYER_ZSTD,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
}

ATTESTATION_ANNOTATION = "vnd.docker.reference.type"
ATTESTATION_SUBJECT = "vnd.docker.reference.digest"
MAX_LAYERS = 499
"""overlayfs takes 500 lower directories, and one lies below every image."""


class Descriptor(OciValue, frozen=True):
    """A typed pointer to content; ``size`` in bytes."""

    media_type: str = ""
    digest: str = ""
    size: int = 0
    urls: list[str] | None = None
    annotations: dict[str, str] | None = None
    data: str | None = None
    platform: Platform | None = None
    artifact_type: str = ""


class Manifest(OciValue, frozen=True):
    """One image of one platform: its config and its layers, bottom first."""

    schema_version: int = 0
    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor = Descriptor()
    layers: list[Descriptor] | None = None
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


class Index(OciValue, frozen=True):
    """A list of manifests (or of further indexes), usually one per platform."""

    schema_version: int = 0
    media_type: str = ""
    artifact_type: str = ""
    manifests: list[Descriptor] | None = None
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


class _Shape(OciValue, frozen=True):
    schema_version: int = 0
    media_type: str = ""
    config: dict[str, object] | None = None
    layers: list[object] | None = None
    manifests: list[object] | None = None
    fs_layers: list[object] | None = None


def media_type_of(data: bytes) -> str:
    """The media type of a manifest or index document, by its own word or by its shape.

    ``InvalidArgument`` when a document is both at once (CVE-2021-41190) or neither.
    """
    shape = decode(data, _Shape, "manifest")
    if shape.schema_version == 1 or shape.fs_layers is not None:
        raise errors.InvalidArgument("manifests of schema version 1 are not supported")
    if shape.manifests is not None and (shape.config is not None or shape.layers is not None):
        raise errors.InvalidArgument("ambiguous document: it is both a manifest and an index")
    if shape.manifests is not None:
        allowed, default = INDEX_TYPES, INDEX
    elif shape.config is not None or shape.layers is not None:
        allowed, default = MANIFEST_TYPES, MANIFEST
    else:
        raise errors.InvalidArgument("the document is neither a manifest nor an index")
    if not shape.media_type:
        return default
    if shape.media_type not in allowed:
        raise errors.InvalidArgument(f"media type {shape.media_type!r} does not fit the document's fields")
    return shape.media_type


def declared_type_of(data: bytes) -> str:
    """What a document calls itself; "" when it does not say."""
    return decode(data, _Shape, "manifest").media_type


def schema1(name: str) -> errors.InvalidArgument:
    """Docker's words about the oldest format; *name* is the image's canonical one."""
    return errors.InvalidArgument(
        "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. "
        f"Suggest the author of {name} to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. "
        "More information at https://docs.docker.com/go/deprecated-image-specs/"
    )


def decode_manifest(data: bytes) -> Manifest:
    """A checked manifest."""
    if media_type_of(data) not in MANIFEST_TYPES:
        raise errors.InvalidArgument("expected an image manifest, found an index")
    manifest = decode(data, Manifest, "image manifest")
    if len(manifest.layers or ()) > MAX_LAYERS:
        raise errors.InvalidArgument(
            f"image manifest has {len(manifest.layers or ())} layers; more than {MAX_LAYERS} are not accepted"
        )
    return manifest


def decode_index(data: bytes) -> Index:
    """A checked index."""
    if media_type_of(data) not in INDEX_TYPES:
        raise errors.InvalidArgument("expected an image index, found a manifest")
    return decode(data, Index, "image index")
