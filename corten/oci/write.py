"""Documents that Corten itself makes; key order as the specification's examples have it, so digests are stable."""

import msgspec

from corten.oci.manifest import INDEX, MANIFEST, Descriptor


def encode_manifest(config: Descriptor, layers: list[Descriptor], annotations: dict[str, str] | None = None) -> bytes:
    """An OCI image manifest."""
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": layers,
    }
    if annotations:
        document["annotations"] = annotations
    return msgspec.json.encode(document)


def encode_index(manifests: list[Descriptor]) -> bytes:
    """An OCI image index."""
    return msgspec.json.encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
