"""TLS under a protocol, with half-closed connections.

asyncio's own TLS ends the whole connection when the client says that it has nothing more to send (close_notify). To
``docker run -i`` that is the end of stdin, with the output still to come, so the layer here keeps the other direction
open as a plain transport does (RFC 8446, 6.1: each side closes its own direction).
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable
from typing import Any

log = logging.getLogger("corten.api")

HANDSHAKE_TIMEOUT = 15.0
"""Seconds."""
READ_SIZE = 256 << 10


class TlsLayer(asyncio.Protocol):
    """The server's side of one connection; makes its protocol when the handshake is done."""

    def __init__(self, context: ssl.SSLContext, factory: Callable[[], asyncio.Protocol]) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._factory = factory
        self.protocol: asyncio.BaseProtocol | None = None
        self.raw: asyncio.Transport | None = None
        self._transport: TlsTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._peer_done = False
        self._own_done = False

    # the raw transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.raw = transport
        self._timer = asyncio.get_running_loop().call_later(HANDSHAKE_TIMEOUT, transport.abort)

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        if self._transport is None:
            self._handshake()
        if self._transport is not None:
            self._read(self._transport)

    def eof_received(self) -> bool:
        # A connection that ends without close_notify was cut, or its client does not care for an answer.
        return self._peer_done

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self.protocol is not None:
            self.protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        if self.protocol is not None:
            self.protocol.pause_writing()

    def resume_writing(self) -> None:
        if self.protocol is not None:
            self.protocol.resume_writing()

    # the work

    def _handshake(self) -> None:
        assert self.raw is not None
        try:
            self.object.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            log.info("TLS handshake with %s failed: %s", self.raw.get_extra_info("peername"), error)
            self._flush()  # the alert that tells the client why
            self.raw.close()
            return
        self._flush()
        self._stop_timer()
        self._transport = TlsTransport(self, self.raw)
        self.protocol = self._factory()
        self.protocol.connection_made(self._transport)

    def _read(self, transport: "TlsTransport") -> None:
        parts: list[bytes] = []
        try:
            while part := self.object.read(READ_SIZE):
                parts.append(part)
            done = True
        except ssl.SSLWantReadError:
            done = False
        except ssl.SSLZeroReturnError:
            done = True
        except ssl.SSLError as error:
            log.info("TLS connection broken off: %s", error)
            transport.abort()
            return
        self._flush()
        protocol = self.protocol
        assert isinstance(protocol, asyncio.Protocol)
        if parts:
            protocol.data_received(b"".join(parts))
        if done and not self._peer_done:
            self._peer_done = True
            # the receiver may have been replaced by what it received
            receiver = self.protocol
            assert isinstance(receiver, asyncio.Protocol)
            if not receiver.eof_received():
                transport.close()

    def write(self, data: bytes) -> None:
        if self._own_done or self.raw is None or self.raw.is_closing() or not data:
            return
        self.object.write(data)
        self._flush()

    def finish(self) -> None:
        """Say that nothing more will be sent."""
        if self._own_done or self.raw is None or self.raw.is_closing():
            return
        self._own_done = True
        try:
            self.object.unwrap()
        except ssl.SSLError:
            pass  # wants the client's close_notify, which comes when it comes
        self._flush()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data and self.raw is not None and not self.raw.is_closing():
            self.raw.write(data)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class TlsTransport(asyncio.Transport):
    """What the protocol above sees; like a socket's transport, ``write_eof`` included."""

    def __init__(self, layer: TlsLayer, raw: asyncio.Transport) -> None:
        super().__init__()
        self._layer = layer
        self._raw = raw

    def write(self, data: "bytes | bytearray | memoryview[int]") -> None:
        self._layer.write(bytes(data))

    def writelines(self, list_of_data: "Iterable[bytes | bytearray | memoryview[int]]") -> None:
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        self._layer.finish()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self._layer.finish()
        self._raw.close()

    def abort(self) -> None:
        self._raw.abort()

    def is_closing(self) -> bool:
        return self._raw.is_closing()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._layer.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._layer.protocol is not None
        return self._layer.protocol

    def pause_reading(self) -> None:
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        self._raw.resume_reading()

    def is_reading(self) -> bool:
        return self._raw.is_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._raw.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._raw.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._raw.get_write_buffer_limits()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "ssl_object":
            return self._layer.object
        if name == "peercert":
            return self._layer.object.getpeercert()
        return self._raw.get_extra_info(name, default)
