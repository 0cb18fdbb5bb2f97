"""A hijacked connection: raw bytes in both directions."""

from __future__ import annotations

import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from corten.client.reader import Reader
    from corten.client.transport import Transport


class Stream:
    """Both directions may be used at once by two threads. Reading ends with the connection."""

    __slots__ = ("_reader", "_sock")

    def __init__(self, sock: Transport, reader: Reader) -> None:
        self._sock = sock
        self._reader = reader

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read():
            yield data

    def read(self) -> bytes:
        """The next bytes from the daemon; empty at the end, also when the daemon goes away."""
        try:
            return self._reader.some()
        except ConnectionResetError:
            return b""

    def write(self, data: bytes) -> None:
        """Send all of ``data``; BrokenPipeError when the other side is gone."""
        self._sock.sendall(data)

    def close_write(self) -> None:
        """Tell the daemon that no more input comes (its end of standard input)."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            return  # already closed by the other side

    def abort(self) -> None:
        """End both directions at once, also for a thread that is reading."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def close(self) -> None:
        self._sock.close()
