"""A websocket (RFC 6455) as a container's stdio: binary messages out, any message in is stdin."""

import asyncio
import base64
import hashlib
from typing import TYPE_CHECKING

from corten import errors
from corten.api.hijack import HijackedPeer

if TYPE_CHECKING:
    from corten.api.call import Call

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_FRAME = 16 << 20
"""Bytes of one frame from the client that are accepted."""
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10


def accept(call: "Call") -> str | None:
    """The whole answer to a websocket handshake; None when *call* is none. Raises InvalidArgument for a bad one."""
    if call.header(b"upgrade").lower() != "websocket":
        return None
    key = call.header(b"sec-websocket-key")
    if len(key) != 24 or call.header(b"sec-websocket-version") != "13":
        raise errors.InvalidArgument("bad websocket handshake: expected version 13 and a key of 16 bytes")
    digest = base64.b64encode(hashlib.sha1(key.encode("latin-1") + _GUID).digest()).decode()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {digest}\r\n\r\n"
    )


class WebSocketPeer(HijackedPeer):
    """Implements ``corten.engine.peer.Peer``; stdout and stderr arrive mixed."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport, multiplexed=False)
        self._buffer = bytearray()
        self._close_sent = False

    def write(self, stream: int, data: bytes) -> None:
        super().write(2 if stream else stream, data)

    def _send(self, stream: int, data: bytes) -> None:
        self._transport.write(_frame(_BINARY, data))

    def close(self) -> None:
        if not self.closed:
            self._flush()
            self._send_close(1000)
        super().close()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._buffer += data
        try:
            while (frame := _parse(self._buffer)) is not None:
                self._take(*frame)
        except errors.InvalidArgument:
            self._send_close(1002)
            super().close()

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode in (_CONTINUATION, _TEXT, _BINARY):
            if payload:
                super().data_received(payload)
        elif opcode == _PING:
            self._transport.write(_frame(_PONG, payload))
        elif opcode == _CLOSE:
            self._send_close(1000)
            self._eof = True
            super().close()
        elif opcode != _PONG:
            raise errors.InvalidArgument(f"unknown websocket opcode {opcode}")

    def _send_close(self, code: int) -> None:
        if not self._close_sent and not self._lost:
            self._close_sent = True
            self._transport.write(_frame(_CLOSE, code.to_bytes(2, "big")))


def _frame(opcode: int, payload: bytes) -> bytes:
    """A whole message from the server, which does not mask (RFC 6455, 5.1)."""
    length = len(payload)
    if length < 126:
        head = bytes((0x80 | opcode, length))
    elif length < 65536:
        head = bytes((0x80 | opcode, 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 127)) + length.to_bytes(8, "big")
    return head + payload


def _parse(buffer: bytearray) -> tuple[int, bytes] | None:
    """Take one frame off *buffer*: opcode and unmasked payload, or None while it is not whole."""
    if len(buffer) < 2:
        return None
    opcode, masked, length, at = buffer[0] & 0x0F, buffer[1] & 0x80, buffer[1] & 0x7F, 2
    if buffer[0] & 0x70 or not masked or (opcode >= _CLOSE and (length > 125 or not buffer[0] & 0x80)):
        raise errors.InvalidArgument("bad websocket frame")
    if length >= 126:
        at = 4 if length == 126 else 10
        if len(buffer) < at:
            return None
        length = int.from_bytes(buffer[2:at], "big")
    if length > MAX_FRAME:
        raise errors.InvalidArgument("websocket frame too large")
    end = at + 4 + length
    if len(buffer) < end:
        return None
    mask, payload = bytes(buffer[at : at + 4]), bytes(buffer[at + 4 : end])
    del buffer[:end]
    return opcode, _unmask(payload, mask)


def _unmask(payload: bytes, mask: bytes) -> bytes:
    """XOR with the repeated mask, as one large number."""
    length = len(payload)
    repeated = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(length, "big")
