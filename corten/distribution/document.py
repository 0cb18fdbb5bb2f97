"""Manifests and indexes as a registry gives them: bytes whose digest and kind are certain."""

from typing import NamedTuple

from corten import errors
from corten.oci import digest as digests
from corten.oci import manifest as manifests
from corten.oci.manifest import Descriptor

MAX_MANIFEST = 4 << 20
"""Bytes; the distribution-spec asks registries for no more."""
ACCEPTED = (
    manifests.INDEX,
    manifests.DOCKER_LIST,
    manifests.MANIFEST,
    manifests.DOCKER_MANIFEST,
)
KNOWN = frozenset(ACCEPTED)


class Manifest(NamedTuple):
    """A verified document: ``descriptor`` has its digest, size and media type, ``data`` its exact bytes."""

    descriptor: Descriptor
    data: bytes

    @property
    def media_type(self) -> str:
        return self.descriptor.media_type

    @property
    def is_index(self) -> bool:
        return self.descriptor.media_type in manifests.INDEX_TYPES


def verified(data: bytes, content_type: str, told: str, wanted: str, size: int | None, where: str) -> Manifest:
    """The document, or an error that names it. *told* is the registry's Docker-Content-Digest or "", *wanted* the
    digest that was asked for or "" for a tag, *size* what its descriptor says.

    DataLoss when bytes and digest differ; InvalidArgument when the document's kind is not certain (CVE-2021-41190).
    """
    digest = digests.of(data)
    if wanted and digests.check(wanted) != digest:
        raise errors.DataLoss(f"manifest verification failed for digest {wanted}: the content has {digest}")
    if told and told != digest and (told.startswith("sha256:") or not digests.is_digest(told)):
        raise errors.DataLoss(f"manifest verification failed for digest {told[:200]}: the content has {digest}")
    if size is not None and size != len(data):
        raise errors.DataLoss(f"manifest {digest} has {len(data)} bytes, its descriptor says {size}")
    if content_type in manifests.SCHEMA1_TYPES:
        raise manifests.schema1(where)
    try:
        media_type = manifests.media_type_of(data)
    except errors.InvalidArgument as error:
        raise errors.InvalidArgument(f"{where}: {error}") from error
    if content_type in KNOWN and content_type != media_type:
        if manifests.declared_type_of(data):
            raise errors.InvalidArgument(
                f"{where}: ambiguous document: sent as {content_type}, and calls itself {media_type}"
            )
        if (content_type in manifests.INDEX_TYPES) != (media_type in manifests.INDEX_TYPES):
            raise errors.InvalidArgument(
                f"{where}: ambiguous document: sent as {content_type}, and its fields are those of {media_type}"
            )
        media_type = content_type
    return Manifest(Descriptor(media_type=media_type, digest=digest, size=len(data)), data)
