"""A daemon that only records what clients ask of it, for tests of the client side."""

from __future__ import annotations

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any


class Call:
    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method, self.path, self.headers, self.body = method, path, headers, body

    def json(self) -> Any:
        return json.loads(self.body)


class FakeDaemon(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers ``answers[(method, path without version and query)]`` = (status, JSON or bytes); {} where none is set."""

    daemon_threads = True
    request_queue_size = 16

    def __init__(self, path: str, version: str = "1.50") -> None:
        super().__init__(path, _Handler)
        self.path = path
        self.version = version
        self.calls: list[Call] = []
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"unix://{self.path}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeDaemon

    def address_string(self) -> str:
        return "client"

    def log_message(self, format: str, *args: Any) -> None:
        return

    def handle_one(self) -> None:
        body = self._body()
        path = self.path.partition("?")[0]
        version = ""
        if path.startswith("/v1."):
            version, _, rest = path[2:].partition("/")
            path = "/" + rest
        self.server.calls.append(Call(self.command, self.path, dict(self.headers), body))
        status, answer = self.server.answers.get((self.command, path), (200, {}))
        if version and int(version.split(".")[1]) > int(self.server.version.split(".")[1]):
            status = 400
            answer = {
                "message": f"client version {version} is too new. "
                f"Maximum supported API version is {self.server.version}"
            }
        if path == "/containers/create" and (self.command, path) not in self.server.answers and status == 200:
            status, answer = 201, {"Id": "c" * 64, "Warnings": []}
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Api-Version", self.server.version)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = handle_one  # noqa: N815
