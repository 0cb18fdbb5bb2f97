"""A connection taken over for stdio (Engine API, "Attach to a container").

Without a terminal the bytes to the client come in frames: [stream, 0, 0, 0, length as big-endian uint32], payload. A
client that shuts its sending side down only ends stdin; its receiving side goes on until ``close``.
"""

import asyncio
import select
from collections import deque
from collections.abc import Callable
from struct import Struct

RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
HIGH_WATER = 256 << 10
"""Bytes from the client that wait for a container's stdin before the client is held up."""
LINGER = 5.0
"""Seconds after our end for the client to close too."""

WATCH_INTERVAL = 10.0
"""Seconds between looks whether a client that has ended its stdin is still there."""

_header = Struct(">BxxxI").pack


class HijackedPeer(asyncio.Protocol):
    """Implements ``corten.engine.peer.Peer`` on a bare transport."""

    def __init__(self, transport: asyncio.Transport, multiplexed: bool) -> None:
        self._transport = transport
        self._multiplexed = multiplexed
        self._inbox: deque[bytes] = deque()
        self._inbox_size = 0
        self._out: list[bytes] = []
        self._out_stream = 0
        self._eof = False
        self._lost = False
        self._closing = False
        self._reading_paused = False
        self._write_paused = False
        self._read_waiter: asyncio.Future[None] | None = None
        self._drain_waiter: asyncio.Future[None] | None = None
        self._closed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self.on_lost: Callable[[HijackedPeer], None] | None = None

    # the engine's side

    def write(self, stream: int, data: bytes) -> None:
        if self._closing or self._lost or not data or self._transport.is_closing():
            return
        if stream != self._out_stream:
            self._flush()
            self._out_stream = stream
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        """Send what was written since the last time as one frame; conmon's packets are small."""
        if not self._out:
            return
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        if not self._lost:
            self._send(self._out_stream, data)

    def _send(self, stream: int, data: bytes) -> None:
        self._transport.write(_header(stream, len(data)) + data if self._multiplexed else data)

    async def drain(self) -> None:
        self._flush()
        if self._write_paused and not self._lost:
            if self._drain_waiter is None:
                self._drain_waiter = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._drain_waiter)

    async def read(self) -> bytes:
        while not self._inbox:
            if self._eof or self._lost or self._closing:
                return b""
            if self._read_waiter is None:
                self._read_waiter = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._read_waiter)
        data = b"".join(self._inbox) if len(self._inbox) > 1 else self._inbox[0]
        self._inbox.clear()
        self._inbox_size = 0
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        return data

    def close(self) -> None:
        if self._closing or self._lost:
            return
        self._flush()
        self._closing = True
        self._closed.set()
        self._wake_reader()
        self._inbox.clear()
        if self._eof or not self._transport.can_write_eof():
            self._transport.close()
            return
        # Only shut down the sending side: closing with the client's bytes unread would reset the connection, and the
        # client could lose the end of the output.
        self._transport.write_eof()
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(LINGER, self._linger_over)

    @property
    def closed(self) -> bool:
        return self._closing or self._lost

    async def wait_closed(self) -> None:
        await self._closed.wait()

    # asyncio's side

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._inbox.append(data)
        self._inbox_size += len(data)
        self._wake_reader()
        if self._inbox_size > HIGH_WATER and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._eof = True
        self._wake_reader()
        if not self._closing:
            self._watch_half_closed()
        return not self._closing

    def _watch_half_closed(self) -> None:
        """A client that goes altogether after its end of stdin would stay unnoticed while nothing is written to it.

        On a unix socket poll(2) tells the two apart; what the client sent before is still read.
        """
        if self._lost or self._closing:
            return
        if not self._inbox and _hung_up(self._transport):
            self._transport.abort()
        else:
            self._timer = asyncio.get_running_loop().call_later(WATCH_INTERVAL, self._watch_half_closed)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._closed.set()
        self._wake_reader()
        self.resume_writing()
        self._stop_timer()
        if self.on_lost is not None:
            self.on_lost(self)

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        waiter, self._drain_waiter = self._drain_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def shutdown(self) -> None:
        """The daemon stops: end the stream."""
        self.close()

    def abort(self) -> None:
        if not self._transport.get_write_buffer_size():
            self._transport.abort()

    @property
    def task(self) -> "asyncio.Task[None] | None":
        """Its handler ends by itself once the stream has."""
        return None

    def _linger_over(self) -> None:
        """Cut a client that does not close, but not one that is still taking output."""
        if self._lost:
            return
        if self._transport.get_write_buffer_size():
            self._timer = asyncio.get_running_loop().call_later(LINGER, self._linger_over)
        else:
            self._transport.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake_reader(self) -> None:
        waiter, self._read_waiter = self._read_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def _hung_up(transport: asyncio.Transport) -> bool:
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(sock.fileno(), 0)
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))
