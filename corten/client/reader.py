"""A buffered reader over a socket."""

from __future__ import annotations

from corten.client.error import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.client.transport import Transport

_BLOCK = 256 * 1024


class Reader:
    """Reads lines and blocks; what was received and not yet asked for stays in ``_buffer`` from ``_position`` on."""

    __slots__ = ("_buffer", "_position", "_sock")

    def __init__(self, sock: Transport) -> None:
        self._sock = sock
        self._buffer = b""
        self._position = 0

    @property
    def buffered(self) -> int:
        """Bytes received and not read yet."""
        return len(self._buffer) - self._position

    def some(self, limit: int = _BLOCK) -> bytes:
        """At least one byte and at most ``limit``; empty at the end of the stream."""
        if not self.buffered:
            return self._sock.recv(min(limit, _BLOCK))
        end = self._position + limit
        data = self._buffer[self._position : end]
        self._position += len(data)
        return data

    def line(self, limit: int) -> bytes:
        """The next line without its end. ProtocolError at the end of the stream or beyond ``limit`` bytes."""
        while (end := self._buffer.find(b"\n", self._position)) < 0:
            if self.buffered > limit:
                raise ProtocolError("the daemon sent a line that is too long")
            data = self._sock.recv(_BLOCK)
            if not data:
                raise ProtocolError("the daemon closed the connection before it answered")
            self._buffer = self._buffer[self._position :] + data
            self._position = 0
        line = self._buffer[self._position : end]
        self._position = end + 1
        return line.rstrip(b"\r")
