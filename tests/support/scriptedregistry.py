"""A registry made of a table, whose faults are scripted: what it sends, where it breaks off, what it ignores."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class ScriptedRegistry:
    """``with ScriptedRegistry() as registry``. Documents and blobs are put into tables and not checked.

    ``breaks[digest]`` is a list of byte counts: each answer with that blob takes the first of them and closes the
    connection when so many bytes have been sent. ``ranges`` False makes it send whole blobs always. ``gate[digest]`` is
    an event that a blob's last byte waits for; with the digest in ``cut`` it never comes. ``status[digest]`` is the
    answer to requests for the blob.
    """

    def __init__(self) -> None:
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.blobs: dict[str, bytes] = {}
        self.breaks: dict[str, list[int]] = {}
        self.gate: dict[str, threading.Event] = {}
        self.held: dict[str, threading.Event] = {}
        self.cut: set[str] = set()
        self.status: dict[str, int] = {}
        self.ranges = True
        self.requests: list[tuple[str, str, str]] = []
        """(method, path, the Range header)"""
        self.sent: dict[str, int] = {}
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                registry.answer(self)

            def do_HEAD(self) -> None:
                registry.answer(self)

            def log_message(self, *_: object) -> None:
                """Tests look at ``requests``."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> "ScriptedRegistry":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for event in self.gate.values():
            event.set()
        self.server.shutdown()
        self.server.server_close()

    # content

    def blob(self, data: bytes) -> str:
        digest = digest_of(data)
        self.blobs[digest] = data
        return digest

    def descriptor(self, data: bytes, kind: str, **more: object) -> dict[str, object]:
        return {"mediaType": kind, "digest": self.blob(data), "size": len(data), **more}

    def manifest(self, repository: str, name: str, document: dict[str, object] | bytes, kind: str) -> str:
        """Store a document under its digest and, unless that is empty, a tag."""
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        digest = digest_of(data)
        for key in filter(None, (name, digest)):
            self.manifests[repository, key] = (kind, data)
        return digest

    def hold(self, digest: str) -> threading.Event:
        """Let the blob's last byte wait for the event; ``held[digest]`` is set when everything else was sent."""
        self.held[digest] = threading.Event()
        return self.gate.setdefault(digest, threading.Event())

    def fetched(self, digest: str) -> list[str]:
        """The Range headers of the blob's requests so far."""
        return [wanted for method, path, wanted in self.requests if method == "GET" and path.endswith(digest)]

    # answers

    def answer(self, call: BaseHTTPRequestHandler) -> None:
        path = call.path.split("?")[0]
        self.requests.append((call.command, path, call.headers.get("Range", "")))
        if path == "/v2/":
            self.send(call, 200, b"{}", "application/json")
            return
        repository, _, name = path.removeprefix("/v2/").rpartition("/")
        repository, _, kind = repository.rpartition("/")
        if kind == "manifests" and (repository, name) in self.manifests:
            media_type, data = self.manifests[repository, name]
            self.send(call, 200, data, media_type, {"Docker-Content-Digest": digest_of(data)})
        elif kind == "tags":
            tags = sorted(tag for found, tag in self.manifests if found == repository and ":" not in tag)
            self.send(call, 200, json.dumps({"name": repository, "tags": tags}).encode(), "application/json")
        elif kind == "blobs" and name in self.status:
            self.fail(call, self.status[name], "DENIED" if self.status[name] == 403 else "UNKNOWN")
        elif kind == "blobs" and name in self.blobs:
            self.send_blob(call, name)
        else:
            self.fail(call, 404, "MANIFEST_UNKNOWN" if kind == "manifests" else "BLOB_UNKNOWN")

    def fail(self, call: BaseHTTPRequestHandler, status: int, code: str) -> None:
        body = json.dumps({"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}).encode()
        self.send(call, status, body, "application/json")

    def send(
        self, call: BaseHTTPRequestHandler, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        call.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            call.send_header(name, value)
        call.end_headers()
        if call.command != "HEAD":
            call.wfile.write(body)

    def send_blob(self, call: BaseHTTPRequestHandler, digest: str) -> None:
        data = self.blobs[digest]
        wanted = call.headers.get("Range", "")
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted and self.ranges else 0
        call.send_response(206 if start else 200)
        call.send_header("Content-Length", str(len(data) - start))
        if start:
            call.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        call.end_headers()
        if call.command == "HEAD":
            return
        breaks = self.breaks.get(digest)
        end = start + breaks.pop(0) if breaks else len(data)
        gate = self.gate.get(digest)
        stop = min(end, len(data) - 1) if gate is not None else min(end, len(data))
        try:
            call.wfile.write(data[start:stop])
            self.sent[digest] = self.sent.get(digest, 0) + stop - start
            if gate is not None and end >= len(data):
                call.wfile.flush()
                self.held[digest].set()
                gate.wait(60)
                if digest in self.cut:
                    call.close_connection = True
                    return
                call.wfile.write(data[stop:])
        except OSError:
            call.close_connection = True
            return
        if end < len(data):
            call.close_connection = True
