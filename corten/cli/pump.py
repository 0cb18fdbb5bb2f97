"""The pump between this process's standard streams and a container's."""

from __future__ import annotations

import os
import threading

from corten.cli.terminal import RawMode
from corten.client import demux
from corten.wire.detachkeys import DetachScanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.client.stream import Stream


class Pump:
    """Copies until the container's output ends or the user detaches.

    ``tty`` says that the stream is one raw stream; else it is demultiplexed. ``keys`` are the bytes that detach, looked
    for only with ``tty`` and ``stdin``.
    """

    def __init__(
        self, stream: Stream, *, tty: bool, stdin: bool, keys: bytes, out: bool = True, err: bool = True
    ) -> None:
        self._stream = stream
        self._tty = tty
        self._stdin = stdin
        self._watch = DetachScanner(keys) if tty and stdin and keys else None
        self._out = out
        self._err = err
        self.detached = False

    def run(self) -> None:
        """Copy in both directions. ApiError for an error that the daemon reports within the stream."""
        with RawMode(self._tty and self._stdin):
            if self._stdin:
                threading.Thread(target=self._copy_input, daemon=True).start()
            try:
                self._copy_output()
            except OSError:
                if not self.detached:
                    raise

    def _copy_output(self) -> None:
        if self._tty:
            for data in self._stream:
                write(1, data)
            return
        demux.copy(
            self._stream,
            (lambda data: write(1, data)) if self._out else None,
            (lambda data: write(2, data)) if self._err else None,
        )

    def _copy_input(self) -> None:
        try:
            while data := _read_input():
                if self._watch is not None:
                    data, self.detached = self._watch.feed(data)
                self._stream.write(data)
                if self.detached:
                    break
            if self.detached:
                self._stream.abort()
            else:
                self._stream.close_write()
        except OSError:
            return  # the container is gone; the output's end decides


def _read_input() -> bytes:
    """The next bytes of standard input; empty at its end, and when it cannot be read."""
    try:
        return os.read(0, 65536)
    except OSError:
        return b""


def write(descriptor: int, data: bytes) -> None:
    """Write all of ``data``."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:  # whoever shares the terminal or pipe with us made it non-blocking
            import select

            writable = select.poll()
            writable.register(descriptor, select.POLLOUT)
            writable.poll()
