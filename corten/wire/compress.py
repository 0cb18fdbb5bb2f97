"""Streams compressed with gzip, zstd, xz or bzip2, told apart by their first bytes and unpacked inside this process.

Output comes in bounded pieces whatever the input claims, and a stream that grows beyond all reason is refused: see
``Budget``. Several members or frames after each other count as one stream, as with the programs of these names.
"""

import bz2
import lzma
from collections.abc import Callable
from typing import BinaryIO, Protocol, cast

import msgspec
import zstandard
from isal import igzip_lib, isal_zlib

from corten import errors

ReadChunk = Callable[[], bytes | memoryview]
NONE, GZIP, ZSTD, XZ, BZIP2 = "", "gzip", "zstd", "xz", "bzip2"
MAGIC_LENGTH = 6
_PIECE = 1 << 20
_MAX_WINDOW = 128 << 20
_LZMA_MEMORY = 256 << 20
_MAGICS = ((b"\x1f\x8b\x08", GZIP), (b"\x28\xb5\x2f\xfd", ZSTD), (b"\xfd7zXZ\0", XZ), (b"BZh", BZIP2))


_FAILURES = cast(
    "tuple[type[Exception], ...]",
    (isal_zlib.error, igzip_lib.error, lzma.LZMAError, OSError, EOFError, ValueError),
)


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A stream may give ``free`` bytes, and beyond them ``ratio`` times what was read. Honest ones stay far below."""

    free: int = 4 << 30
    ratio: int = 200


def detect(head: bytes) -> str:
    """Which compression *head*, the first bytes of a stream, shows; "" for none."""
    for magic, kind in _MAGICS:
        if head.startswith(magic):
            return kind
    if len(head) >= 4 and head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F:
        return ZSTD  # a skippable frame
    return NONE


def decompressed(read: ReadChunk, kind: str, budget: Budget | None = None) -> ReadChunk:
    """A reader of the plain bytes. ``InvalidArgument`` when the stream is damaged, cut off or a bomb."""
    if kind == NONE:
        return read
    meter = _Meter(read, budget or Budget())
    if kind == ZSTD:
        return _ZstdReader(meter).read
    return _MemberReader(meter, kind).read


class Prefixed:
    """Looks at a stream's head without losing it."""

    def __init__(self, read: ReadChunk) -> None:
        self._read = read
        self._ahead: list[bytes | memoryview] = []

    def peek(self, size: int) -> bytes:
        """At least *size* bytes, fewer only at the end."""
        while sum(len(piece) for piece in self._ahead) < size:
            chunk = self._read()
            if not chunk:
                break
            self._ahead.append(chunk)
        return b"".join(self._ahead)[:size]

    def read(self) -> bytes | memoryview:
        """The next piece."""
        return self._ahead.pop(0) if self._ahead else self._read()


def auto(read: ReadChunk, budget: Budget | None = None) -> ReadChunk:
    """A reader of the plain bytes, whatever the compression."""
    source = Prefixed(read)
    return decompressed(source.read, detect(source.peek(MAGIC_LENGTH)), budget)


class _Meter:
    """Counts both sides of a decompressor."""

    def __init__(self, read: ReadChunk, budget: Budget) -> None:
        self._read = read
        self._budget = budget
        self._in = self._out = 0

    def take(self) -> bytes | memoryview:
        chunk = self._read()
        self._in += len(chunk)
        return chunk

    def give(self, data: bytes) -> bytes:
        self._out += len(data)
        if self._out > self._budget.free + self._budget.ratio * self._in:
            raise errors.InvalidArgument(
                f"compressed stream grows without reason: {self._in} bytes became more than {self._out}"
            )
        return data


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes | memoryview, max_length: int = -1) -> bytes: ...


def _new(kind: str) -> _Decompressor:
    if kind == GZIP:
        return cast("_Decompressor", igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP))
    if kind == XZ:
        return lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)
    return bz2.BZ2Decompressor()


class _MemberReader:
    """gzip, xz and bzip2: objects with one interface, one per member."""

    def __init__(self, meter: _Meter, kind: str) -> None:
        self._meter = meter
        self._kind = kind
        self._member = _new(kind)
        self._started = False
        self._rest: bytes | memoryview = b""

    def read(self) -> bytes:
        while True:
            if self._member.eof:
                self._rest = self._member.unused_data or self._meter.take()
                if not bytes(self._rest).strip(b"\0"):
                    if not self._rest:
                        return b""
                    self._rest = b""
                    self._drain_padding()
                    return b""
                self._member, self._started = _new(self._kind), False
            if self._member.needs_input and not self._rest:
                self._rest = self._meter.take()
                if not self._rest:
                    raise errors.InvalidArgument(f"{self._kind}: unexpected EOF")
            try:
                data = self._member.decompress(self._rest, _PIECE)
            except _FAILURES as error:
                raise errors.InvalidArgument(f"{self._kind}: invalid data: {error}") from error
            self._rest = b""
            if data:
                return self._meter.give(data)

    def _drain_padding(self) -> None:
        """Zeros may follow the last member; anything else is an error."""
        while chunk := self._meter.take():
            if bytes(chunk).strip(b"\0"):
                raise errors.InvalidArgument(f"{self._kind}: trailing garbage")


class _ZstdReader:
    """zstd: the stream reader bounds the output, which one frame's input does not."""

    def __init__(self, meter: _Meter) -> None:
        self._meter = meter
        self._buffer: bytes | memoryview = b""
        source = _FileLike(meter)
        context = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        self._stream = context.stream_reader(cast("BinaryIO", source), read_size=_PIECE, read_across_frames=True)

    def read(self) -> bytes:
        try:
            return self._meter.give(self._stream.read(_PIECE))
        except zstandard.ZstdError as error:
            raise errors.InvalidArgument(f"zstd: invalid data: {error}") from error


class _FileLike:
    """The ``read(size)`` that the zstd binding asks for."""

    def __init__(self, meter: _Meter) -> None:
        self._meter = meter
        self._rest = memoryview(b"")

    def read(self, size: int = -1) -> memoryview:
        if not self._rest:
            self._rest = memoryview(self._meter.take())
        if size < 0:
            size = len(self._rest)
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece
