"""One HTTP/1.1 connection to the daemon: requests out, answers in (RFC 9112)."""

from __future__ import annotations

import socket

from corten.client.error import ProtocolError
from corten.client.reader import Reader
from corten.client.response import Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from corten.client.transport import Transport

    Body = bytes | Iterable[bytes] | None

_HEAD_LIMIT = 256 * 1024


class Connection:
    """Blocking, for one request at a time; ``reusable`` once an answer was read to its end."""

    __slots__ = ("_reader", "sock")

    def __init__(self, sock: Transport) -> None:
        self.sock = sock
        self._reader = Reader(sock)

    def request(self, method: str, path: str, headers: Mapping[str, str], body: Body = None) -> Response:
        """Send a request and read the answer's head. A body that is not ``bytes`` is sent in chunks."""
        lines = [f"{method} {path} HTTP/1.1", "Host: corten", "User-Agent: corten"]
        lines.extend(f"{name}: {value}" for name, value in headers.items())
        if isinstance(body, bytes):
            lines.append(f"Content-Length: {len(body)}")
        elif body is not None:
            lines.append("Transfer-Encoding: chunked")
        elif method in ("POST", "PUT"):
            lines.append("Content-Length: 0")
        head = "\r\n".join([*lines, "\r\n"]).encode("utf-8", "surrogateescape")
        if body is None or isinstance(body, bytes):
            self.sock.sendall(head + (body or b""))
        else:
            self.sock.sendall(head)
            self._send_chunks(body)
        return self._read_head(method)

    def _send_chunks(self, body: Iterable[bytes]) -> None:
        try:
            for part in body:
                if part:
                    self.sock.sendall(b"%x\r\n" % len(part))
                    self.sock.sendall(part)
                    self.sock.sendall(b"\r\n")
            self.sock.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            return  # the daemon answered before it had read all; its answer says why

    def _read_head(self, method: str) -> Response:
        while True:
            status, headers = self._read_lines()
            if status != 100:
                return Response(self, self._reader, method, status, headers)

    def _read_lines(self) -> tuple[int, dict[str, str]]:
        line = self._reader.line(_HEAD_LIMIT)
        parts = line.split(None, 2)
        if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
            raise ProtocolError(f"malformed HTTP response {line[:64].decode('latin-1')!r}")
        headers: dict[str, str] = {}
        size = 0
        while line := self._reader.line(_HEAD_LIMIT):
            size += len(line)
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or size > _HEAD_LIMIT:
                raise ProtocolError("malformed HTTP response header")
            headers[name.strip().lower()] = value.strip()
        return int(parts[1]), headers

    def alive(self) -> bool:
        """Whether an idle connection can take another request: open, and nothing unexpected to read."""
        if self._reader.buffered:
            return False
        try:
            self.sock.setblocking(False)
            try:
                self.sock.recv(1, socket.MSG_PEEK)
            finally:
                self.sock.setblocking(True)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        self.sock.close()
