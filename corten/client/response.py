"""An answer of the daemon and its body."""

from __future__ import annotations

import json

from corten.client.error import ApiError, ProtocolError
from corten.client.stream import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from corten.client.connection import Connection
    from corten.client.reader import Reader

_LINE_LIMIT = 64 * 1024
_ERROR_LIMIT = 1024 * 1024


def parsed(data: bytes) -> Any:
    """``data`` as JSON. ProtocolError when it is none."""
    try:
        return json.loads(data)
    except ValueError as error:
        raise ProtocolError(f"the daemon sent what is no JSON: {error}") from None


class Response:
    """Head of an answer, and its body on demand. ``headers`` has lower-case names.

    The body must be read to its end, or ``close`` called, before the connection can be used again.
    """

    __slots__ = ("_chunked", "_connection", "_reader", "_remaining", "done", "headers", "status")

    def __init__(
        self, connection: Connection, reader: Reader, method: str, status: int, headers: dict[str, str]
    ) -> None:
        self._connection = connection
        self._reader = reader
        self.status = status
        self.headers = headers
        self._chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        self._remaining = self._length(method)
        self.done = self._remaining == 0 and not self._chunked

    def _length(self, method: str) -> int | None:
        """Bytes of the body (of the current chunk, when chunked), None when it ends with the connection."""
        if method == "HEAD" or self.status in (204, 304):
            self._chunked = False
            return 0
        if self._chunked:
            return 0
        length = self.headers.get("content-length")
        if length is None:
            return None
        if not length.isdigit():
            raise ProtocolError(f"malformed Content-Length {length[:32]!r}")
        return int(length)

    def read_some(self) -> bytes:
        """The next bytes of the body as they come; empty at its end."""
        if self.done:
            return b""
        if self._remaining is None:
            data = self._reader.some()
            self.done = not data
            return data
        if self._remaining == 0 and not self._next_chunk():
            return b""
        data = self._reader.some(self._remaining)
        if not data:
            raise ProtocolError("unexpected EOF")
        self._remaining -= len(data)
        if self._remaining == 0:
            self._finish_part()
        return data

    def _next_chunk(self) -> bool:
        size = self._reader.line(_LINE_LIMIT).partition(b";")[0].strip()
        try:
            self._remaining = int(size, 16)
        except ValueError:
            raise ProtocolError(f"malformed chunk size {size[:32]!r}") from None
        if self._remaining:
            return True
        while self._reader.line(_LINE_LIMIT):
            pass
        self.done = True
        return False

    def _finish_part(self) -> None:
        if self._chunked:
            self._reader.line(_LINE_LIMIT)
        else:
            self.done = True

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read_some():
            yield data

    def read(self, limit: int | None = None) -> bytes:
        """The whole body, or at least ``limit`` bytes of a longer one."""
        parts: list[bytes] = []
        size = 0
        while (limit is None or size < limit) and (data := self.read_some()):
            parts.append(data)
            size += len(data)
        return b"".join(parts)

    def json(self) -> Any:
        """The body as JSON; None when it is empty."""
        data = self.read()
        return parsed(data) if data else None

    def lines(self) -> Iterator[bytes]:
        """The body's lines as they come, without their ends."""
        rest = b""
        for data in self:
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                yield line.rstrip(b"\r")
        if rest:
            yield rest

    def records(self) -> Iterator[Any]:
        """The JSON records of a streamed body, one a line."""
        for line in self.lines():
            text = line.strip(b"\x1e \t")
            if text:
                yield parsed(text)

    def error(self) -> ApiError:
        """This answer as an exception, with the daemon's own message."""
        data = self.read(_ERROR_LIMIT)
        message = ""
        if "json" in self.headers.get("content-type", ""):
            try:
                document = json.loads(data)
            except ValueError:
                document = None
            if isinstance(document, dict):
                message = str(document.get("message", ""))
        if not message:
            message = data.decode("utf-8", "replace").strip()
        return ApiError(self.status, message or f"request returned status {self.status}; is this a Docker API?")

    def hijack(self) -> Stream:
        """The connection as a raw two-way stream, with what was already received. Ends this answer's life."""
        self.done = False
        return Stream(self._connection.sock, self._reader)

    def close(self) -> None:
        """Give the connection up when the body was not read to its end."""
        if not self.done:
            self._connection.close()
