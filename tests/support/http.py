"""Plain HTTP/1.1 over a unix socket: what curl would do, for tests that look at statuses, headers and raw bytes."""

import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


@dataclass(frozen=True)
class Response:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """The error text of a failed request."""
        return str(self.json()["message"])


class Api:
    """Requests to one daemon. ``body``: bytes are sent as they are, anything else as JSON; ``query`` becomes ?a=b."""

    def __init__(self, socket_path: str, timeout: float = 60) -> None:
        self.socket_path = socket_path
        self.timeout = timeout

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Response:
        connection = UnixConnection(self.socket_path, self.timeout)
        try:
            answer = self.send(connection, method, path, body, query, headers)
            return Response(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def lines(self, path: str, query: dict[str, Any] | None = None, method: str = "GET") -> Iterator[Any]:
        """The JSON records of a streamed answer, as they arrive."""
        connection = UnixConnection(self.socket_path, self.timeout)
        try:
            answer = self.send(connection, method, path, None, query, None)
            assert answer.status == 200, answer.read()
            while line := answer.readline():
                if line.strip():
                    yield json.loads(line)
        finally:
            connection.close()

    @staticmethod
    def send(
        connection: UnixConnection,
        method: str,
        path: str,
        body: Any,
        query: dict[str, Any] | None,
        headers: dict[str, str] | None,
    ) -> http.client.HTTPResponse:
        if query:
            texts = {k: v if isinstance(v, str | int) else json.dumps(v) for k, v in query.items()}
            path = f"{path}?{urlencode(texts)}"
        sent = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection.request(method, path, body=body, headers=sent)
        return connection.getresponse()

    def hijack(self, path: str, body: Any = None, upgrade: bool = True) -> tuple[socket.socket, int, bytes]:
        """POST and take the connection over: (socket, status, bytes that came after the header)."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(self.timeout)
        sock.connect(self.socket_path)
        payload = b"" if body is None else json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}\r\n"
        )
        if upgrade:
            head += "Connection: Upgrade\r\nUpgrade: tcp\r\n"
        sock.sendall(head.encode() + b"\r\n" + payload)
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = sock.recv(65536)
            if not chunk:
                break
            received += chunk
        header, _, rest = received.partition(b"\r\n\r\n")
        return sock, int(header.split()[1]), rest


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """Split a multiplexed stream into (stream, payload); 1 is stdout, 2 stderr."""
    found = []
    while data:
        assert len(data) >= 8, data
        size = int.from_bytes(data[4:8], "big")
        found.append((data[0], data[8 : 8 + size]))
        data = data[8 + size :]
    return found


def joined(data: bytes, stream: int = 1) -> bytes:
    """All of one stream's bytes out of a multiplexed stream."""
    return b"".join(payload for number, payload in frames(data) if number == stream)
