"""Netlink sockets: several requests in one ``send``, their answers read back (netlink(7), RFC 3549).

``Batch`` gathers encoded requests; ``Socket.run`` sends them in one system call and reads every acknowledgement. The
kernel handles the requests of one datagram in order and goes on after a failed one, so a caller decides per request
whether a failure matters. A socket stays in the network namespace that it was opened in, whatever its thread does
later; that is how one thread can configure a container's namespace and the host's side by side.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from types import TracebackType

from corten import errors

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE, NLM_F_APPEND = 0x100, 0x200, 0x400, 0x800
NLMSG_ERROR, NLMSG_DONE = 2, 3
NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK = 270, 1, 11, 12
NLA_F_NESTED, NLA_TYPE_MASK = 0x8000, 0x3FFF
NLMSGERR_ATTR_MSG = 1
NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x100, 0x200

HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")
_U8, _U16, _U32 = struct.Struct("=B"), struct.Struct("=H"), struct.Struct("=I")
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


def attr(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    size = len(payload)
    return ATTRIBUTE.pack(size + 4, kind) + payload + _PADDING[size & 3]


def attr_u8(kind: int, value: int) -> bytes:
    return attr(kind, _U8.pack(value))


def attr_u16(kind: int, value: int) -> bytes:
    return attr(kind, _U16.pack(value))


def attr_u32(kind: int, value: int) -> bytes:
    return attr(kind, _U32.pack(value))


def attr_text(kind: int, value: str) -> bytes:
    return attr(kind, value.encode() + b"\0")


def nested(kind: int, *parts: bytes) -> bytes:
    return attr(kind | NLA_F_NESTED, b"".join(parts))


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Decode a run of attributes; a kind that repeats keeps its last value."""
    found: dict[int, bytes] = {}
    end = len(data)
    while offset + 4 <= end:
        size, kind = ATTRIBUTE.unpack_from(data, offset)
        if size < 4 or offset + size > end:
            raise errors.System(f"netlink: attribute {kind} of {size} bytes overruns its message")
        found[kind & NLA_TYPE_MASK] = data[offset + 4 : offset + size]
        offset += (size + 3) & ~3
    return found


def messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Split a datagram into (type, flags, sequence, payload)."""
    offset, end = 0, len(data)
    while offset + HEADER.size <= end:
        size, kind, flags, sequence, _ = HEADER.unpack_from(data, offset)
        if size < HEADER.size or offset + size > end:
            raise errors.System(f"netlink: message of {size} bytes overruns its datagram")
        yield kind, flags, sequence, data[offset + HEADER.size : offset + size]
        offset += (size + 3) & ~3


class Refused(errors.System):
    """The kernel refused a request; ``errno`` tells why, the text tells what was asked."""

    def __init__(self, code: int, what: str, detail: str = "") -> None:
        super().__init__(f"{what}: {os.strerror(code)}" + (f" ({detail})" if detail else ""))
        self.errno = code


class Lost(errors.System):
    """Events came faster than they were read; what they told must be looked up."""


class Batch:
    """Requests to be sent together. ``ignore`` names errno values that mean "already so" for that request."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, int, bytes, str, tuple[int, ...]]] = []

    def add(self, kind: int, flags: int, payload: bytes, what: str, ignore: tuple[int, ...] = ()) -> None:
        self._parts.append((kind, flags, payload, what, ignore))

    def __len__(self) -> int:
        return len(self._parts)

    def encode(self, sequence: int) -> bytes:
        """All requests as one datagram, numbered upwards from *sequence*, each with an acknowledgement asked for."""
        chunks = []
        for index, (kind, flags, payload, _, _) in enumerate(self._parts):
            size = HEADER.size + len(payload)
            chunks.append(HEADER.pack(size, kind, flags | NLM_F_REQUEST | NLM_F_ACK, sequence + index, 0))
            chunks.append(payload + _PADDING[size & 3])
        return b"".join(chunks)

    def split(self, size: int) -> Iterator["Batch"]:
        """The same requests in batches of at most *size*: a datagram must fit the socket's buffer."""
        for start in range(0, len(self._parts), size):
            part = Batch()
            part._parts = self._parts[start : start + size]
            yield part

    def failure(self, index: int, code: int, detail: str) -> Refused | None:
        what, ignore = self._parts[index][3], self._parts[index][4]
        return None if code in ignore else Refused(code, what, detail)


class Socket:
    """A netlink socket of one protocol in the caller's network namespace. Not to be shared by threads."""

    RECEIVE = 1 << 16

    def __init__(self, protocol: int = NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        try:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
            self._socket.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
            self._socket.bind((0, 0))
        except OSError:
            self._socket.close()
            raise
        self._sequence = 0

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> "Socket":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, batch: Batch) -> None:
        """Send *batch* and wait for all answers. Raises the first failure that its request does not ignore."""
        if not len(batch):
            return
        first = self._sequence + 1
        self._sequence += len(batch)
        self._socket.send(batch.encode(first))
        failure: Refused | None = None
        waiting = len(batch)
        while waiting:
            for kind, flags, sequence, payload in messages(self._receive()):
                if kind != NLMSG_ERROR or not first <= sequence <= self._sequence:
                    continue
                waiting -= 1
                code = -struct.unpack_from("=i", payload)[0]
                if code and failure is None:
                    failure = batch.failure(sequence - first, code, _detail(flags, payload))
        if failure is not None:
            raise failure

    def get(self, kind: int, payload: bytes, what: str) -> bytes:
        """One request that answers with one object; its payload."""
        self._sequence += 1
        size = HEADER.size + len(payload)
        self._socket.send(HEADER.pack(size, kind, NLM_F_REQUEST, self._sequence, 0) + payload)
        while True:
            for answer, flags, sequence, body in messages(self._receive()):
                if sequence != self._sequence:
                    continue
                if answer == NLMSG_ERROR:
                    raise Refused(-struct.unpack_from("=i", body)[0], what, _detail(flags, body))
                return body

    def dump(self, kind: int, payload: bytes, what: str) -> list[bytes]:
        """All objects of one kind."""
        self._sequence += 1
        size = HEADER.size + len(payload)
        self._socket.send(HEADER.pack(size, kind, NLM_F_REQUEST | NLM_F_DUMP, self._sequence, 0) + payload)
        found: list[bytes] = []
        while True:
            for answer, flags, sequence, body in messages(self._receive()):
                if sequence != self._sequence:
                    continue
                if answer == NLMSG_DONE:
                    return found
                if answer == NLMSG_ERROR:
                    raise Refused(-struct.unpack_from("=i", body)[0], what, _detail(flags, body))
                found.append(body)

    def subscribe(self, group: int) -> None:
        """Receive a multicast group's events from now on; read them with ``events``."""
        self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)

    def events(self) -> Iterator[tuple[int, bytes]]:
        """The (type, payload) pairs of one datagram. Raises ``Lost`` if events were dropped."""
        try:
            data = self._socket.recv(self.RECEIVE)
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                raise Lost("netlink: events were lost") from error
            raise
        return ((kind, payload) for kind, _, _, payload in messages(data))

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(self.RECEIVE)
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, "?")
            raise errors.System(f"netlink: receive failed: {name}") from error


def _detail(flags: int, payload: bytes) -> str:
    """The kernel's own sentence about a failure, if it sent one (NETLINK_EXT_ACK)."""
    if not flags & NLM_F_ACK_TLVS:
        return ""
    size = struct.unpack_from("=I", payload, 4)[0]
    offset = 4 + (HEADER.size if flags & NLM_F_CAPPED else (size + 3) & ~3)
    text = attributes(payload, offset).get(NLMSGERR_ATTR_MSG, b"")
    return text.rstrip(b"\0").decode(errors="replace")
