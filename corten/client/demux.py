"""Demultiplexing of attach, exec and log streams.

Without a TTY the daemon sends frames: one byte for the stream (0 and 1 output, 2 error, 3 the daemon's own errors),
three zero bytes, four bytes of length in network order, then the payload (Engine API, "Attach to a container").
"""

from __future__ import annotations

from corten.client.error import ApiError, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_HEADER = 8


class Demultiplexer:
    """Cuts a stream of frames; payloads are passed on as they arrive, a frame is never gathered first."""

    __slots__ = ("_header", "_left", "_stream")

    def __init__(self) -> None:
        self._header = b""
        self._left = 0
        self._stream = 1

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The payloads in ``data`` as (stream, bytes), in order. ProtocolError for what is no frame."""
        parts: list[tuple[int, bytes]] = []
        position = 0
        while position < len(data):
            if not self._left:
                position = self._take_header(data, position)
                continue
            part = data[position : position + self._left]
            parts.append((self._stream, part))
            position += len(part)
            self._left -= len(part)
        return parts

    def _take_header(self, data: bytes, position: int) -> int:
        end = position + _HEADER - len(self._header)
        self._header += data[position:end]
        if len(self._header) == _HEADER:
            if self._header[0] > 3 or self._header[1:4] != b"\0\0\0":
                raise ProtocolError(f"unrecognized stream header: {self._header[:4].hex()}")
            self._stream = self._header[0]
            self._left = int.from_bytes(self._header[4:], "big")
            self._header = b""
        return min(end, len(data))


def copy(source: Iterable[bytes], out: Callable[[bytes], object] | None, err: Callable[[bytes], object] | None) -> None:
    """Pass the frames of ``source`` on to ``out`` and ``err``; ApiError for what the daemon reports on stream 3."""
    frames = Demultiplexer()
    for data in source:
        for stream, payload in frames.feed(data):
            if stream == 3:
                raise ApiError(500, f"error from daemon in stream: {payload.decode('utf-8', 'replace')}")
            target = err if stream == 2 else out
            if target is not None:
                target(payload)
