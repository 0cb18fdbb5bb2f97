"""The ways by which foreign layers come in: load of both archive forms, import, pull from a registry that serves them.

Each gives the text of the error, "" when the image was taken.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.http import Api
from tests.support.layers import archive, config_for, docker_archive, member

OCI = "application/vnd.oci.image."
MANIFEST = OCI + "manifest.v1+json"


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def describe(data: bytes, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest(data), "size": len(data)}


def manifest_for(config: bytes, layers: list[bytes], kind: str = "layer.v1.tar") -> bytes:
    """An OCI manifest; *kind* is the end of the layers' media type."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": describe(config, OCI + "config.v1+json"),
        "layers": [describe(layer, OCI + kind) for layer in layers],
    }
    return json.dumps(document).encode()


class Registry:
    """Serves blobs by digest and manifests by name, whatever they are, on a port of 127.0.0.1."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                registry.answer(self)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        kind, _, name = request.path.rpartition("/")
        table = self.manifests if kind.endswith("/manifests") else self.blobs
        data = b"{}" if request.path in ("/v2/", "/v2") else table.get(name)
        media = MANIFEST if table is self.manifests else "application/octet-stream"
        request.send_response(404 if data is None else 200)
        request.send_header("Content-Type", media)
        request.send_header("Content-Length", str(len(data or b"")))
        if data is not None and table is self.manifests:
            request.send_header("Docker-Content-Digest", digest(data))
        request.end_headers()
        if request.command == "GET" and data:
            try:
                request.wfile.write(data)
            except OSError:
                pass  # the client has seen enough

    def offer(self, name: str, config: bytes, layers: list[bytes], kind: str = "layer.v1.tar") -> None:
        manifest = manifest_for(config, layers, kind)
        self.manifests[name] = self.manifests[digest(manifest)] = manifest
        self.blobs |= {digest(data): data for data in (config, *layers)}


@contextmanager
def registry() -> Iterator[Registry]:
    made = Registry()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()


def problem(status: int, body: bytes) -> str:
    """The error of a streamed answer, or of one that was refused at once."""
    if status != 200:
        return str(json.loads(body)["message"])
    for line in body.splitlines():
        if line.strip() and "error" in (record := json.loads(line)):
            return str(record["error"])
    return ""


def by_load(api: Api, layers: list[bytes], name: str) -> str:
    answer = api("POST", "/images/load", docker_archive(layers, [f"{name}:1"]))
    return problem(answer.status, answer.body)


def by_layout(api: Api, layers: list[bytes], name: str) -> str:
    """An OCI layout, as ``docker save`` writes it."""
    config = config_for(layers)
    manifest = manifest_for(config, layers)
    target = describe(manifest, MANIFEST) | {"annotations": {"io.containerd.image.name": f"docker.io/library/{name}:1"}}
    index = json.dumps({"schemaVersion": 2, "manifests": [target]}).encode()
    blobs = [member("blobs/sha256/" + digest(data)[7:], data) for data in {config, manifest, *layers}]
    data = archive(*blobs, member("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), member("index.json", index))
    answer = api("POST", "/images/load", data)
    return problem(answer.status, answer.body)


def by_import(api: Api, layers: list[bytes], name: str) -> str:
    """One layer alone: the last."""
    query = {"fromSrc": "-", "repo": name, "tag": "1"}
    answer = api("POST", "/images/create", layers[-1], query=query)
    return problem(answer.status, answer.body)


def by_pull(api: Api, layers: list[bytes], name: str) -> str:
    with registry() as served:
        served.offer("1", config_for(layers), layers)
        answer = api("POST", "/images/create", query={"fromImage": f"{served.host}/{name}", "tag": "1"})
        found = problem(answer.status, answer.body)
        if not found:
            tagged = api("POST", f"/images/{served.host}/{name}:1/tag", query={"repo": name, "tag": "1"})
            assert tagged.status == 201, tagged.body
            api("DELETE", f"/images/{served.host}/{name}:1")
    return found


DOORS: dict[str, Callable[[Api, list[bytes], str], str]] = {
    "load": by_load,
    "layout": by_layout,
    "import": by_import,
    "pull": by_pull,
}
