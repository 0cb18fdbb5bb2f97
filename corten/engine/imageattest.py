"""The in-toto statements that an image's index carries beside its manifests (BuildKit's attestation storage)."""

from collections.abc import Collection
from typing import Any

from corten import errors
from corten.engine import imagepick
from corten.engine.imagescan import ATTESTATION
from corten.engine.imagestore import ImageStore
from corten.model.image import AttestationStatement
from corten.oci.base import decode
from corten.oci.manifest import Descriptor
from corten.oci.platform import Platform

PREDICATE_ANNOTATION = "in-toto.io/predicate-type"


def attestations(
    store: ImageStore, ref: str, platform: Platform | None, types: Collection[str], *, with_statement: bool
) -> list[AttestationStatement]:
    """Those of the manifest for *platform*, with one of the predicate *types* if any are given.

    ``NotFound`` as for inspect, and when a statement that was asked for is not here.
    """
    image, name = store.index.find(ref)
    subject = imagepick.pick(store, image, platform, name.familiar() if name else ref).descriptor.digest
    return [
        AttestationStatement(
            descriptor=layer,
            predicate_type=_type(layer),
            statement=_statement(store, layer) if with_statement else None,
        )
        for manifest in image.manifests
        if manifest.kind == ATTESTATION and manifest.subject == subject
        for layer in manifest.layers
        if _type(layer) and (not types or _type(layer) in types)
    ]


def _type(layer: Descriptor) -> str:
    return (layer.annotations or {}).get(PREDICATE_ANNOTATION, "")


def _statement(store: ImageStore, layer: Descriptor) -> dict[str, Any]:
    if not store.content.has(layer.digest):
        raise errors.NotFound(f"content digest {layer.digest}: not found")
    return decode(store.content.read(layer.digest), dict[str, Any], "attestation statement")
