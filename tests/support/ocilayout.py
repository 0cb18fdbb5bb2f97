"""OCI layouts for tests: images, indexes, attestations, artifacts, in JSON that no program would write again."""

import hashlib
import json
from typing import Any

from tests.support.layers import archive, member

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
IN_TOTO = "application/vnd.in-toto+json"

Descriptor = dict[str, Any]


def odd(document: dict[str, Any]) -> bytes:
    """JSON with spaces and a key that are nobody's custom, so that what is encoded anew has another digest."""
    return json.dumps({"x-kept": [1, 2.50, "é"], **document}, indent=3).encode() + b"\n"


class Layout:
    """Blobs by digest; ``tar`` gives the layout as ``load`` takes it."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def add(self, data: bytes, media_type: str, **more: Any) -> Descriptor:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return {"mediaType": media_type, "digest": digest, "size": len(data), **more}

    def image(
        self,
        *layers: bytes,
        platform: str = "linux/amd64",
        pack: Any = None,
        kinds: tuple[str, str, str] = (MANIFEST, CONFIG, LAYER),
    ) -> Descriptor:
        """A manifest of uncompressed *layers*, each put through *pack*; *kinds* of manifest, config and layers."""
        system, architecture = platform.split("/")
        config = {
            "architecture": architecture,
            "os": system,
            "config": {"Cmd": ["sh"]},
            "rootfs": {
                "type": "layers",
                "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers],
            },
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": kinds[0],
            "config": self.add(odd(config), kinds[1]),
            "layers": [self.add(pack(layer) if pack else layer, kinds[2]) for layer in layers],
        }
        return self.add(odd(manifest), kinds[0], platform={"os": system, "architecture": architecture})

    def attestation(self, subject: Descriptor) -> Descriptor:
        """BuildKit's provenance of an image, as it stands in an index."""
        statement = {"predicateType": "https://slsa.dev/provenance/v1", "subject": [], "predicate": {}}
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.add(odd({"architecture": "unknown", "os": "unknown"}), CONFIG),
            "layers": [self.add(odd(statement), IN_TOTO, annotations={"in-toto.io/predicate-type": "x"})],
        }
        annotations = {
            "vnd.docker.reference.digest": subject["digest"],
            "vnd.docker.reference.type": "attestation-manifest",
        }
        platform = {"os": "unknown", "architecture": "unknown"}
        return self.add(odd(manifest), MANIFEST, annotations=annotations, platform=platform)

    def artifact(self, *files: bytes) -> Descriptor:
        """Something that is no image: a chart, a signature, a model."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": "application/vnd.example.thing",
            "config": self.add(b"{}", "application/vnd.oci.empty.v1+json"),
            "layers": [self.add(data, "application/vnd.example.thing.part") for data in files],
        }
        return self.add(odd(manifest), MANIFEST)

    def index(self, *manifests: Descriptor, kind: str = INDEX) -> Descriptor:
        return self.add(odd({"schemaVersion": 2, "mediaType": kind, "manifests": list(manifests)}), kind)

    def tar(self, target: Descriptor, name: str, without: tuple[Descriptor, ...] = ()) -> bytes:
        """The layout with one image called *name*; the blobs of *without*, and those below it, are left out."""
        missing = {digest for each in without for digest in self.below(each)}
        top = {"schemaVersion": 2, "manifests": [{**target, "annotations": {"io.containerd.image.name": name}}]}
        parts = [
            member("blobs/sha256/" + digest.removeprefix("sha256:"), data)
            for digest, data in self.blobs.items()
            if digest not in missing
        ]
        layout = member("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        return archive(*parts, layout, member("index.json", json.dumps(top).encode()))

    def below(self, target: Descriptor) -> list[str]:
        """The digests of a target and of everything that it refers to."""
        found = [target["digest"]]
        if target["mediaType"] in (INDEX, DOCKER_LIST, MANIFEST, DOCKER_MANIFEST):
            document = json.loads(self.blobs[target["digest"]])
            for child in (*document.get("manifests", ()), *document.get("layers", ()), document.get("config")):
                found += self.below(child) if child else []
        return found
