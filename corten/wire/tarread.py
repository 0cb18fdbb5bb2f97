"""Reading tar archives as a stream: ustar, PAX and GNU forms, long names, sparse files, base-256 numbers.

Only the format: names are given as they stand in the archive and are for the caller to resolve safely. Everything that
an archive can make big is bounded here: extended headers, names, sparse maps. Sources: POSIX pax(1), "ustar
Interchange Format" and "pax Interchange Format"; GNU tar manual, "Basic Tar Format" and "Storing Sparse Files".
"""

from collections.abc import Callable, Iterator

import msgspec

from corten import errors

BLOCK = 512
MAX_EXTENDED = 1 << 20
"""Most bytes of one extended header or long name."""
MAX_SPARSE = 1 << 16
"""Most data segments of one sparse file."""

REGULAR, HARDLINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_DATA_TYPES = frozenset({b"0", b"\0", b"7", b"S"})
_NO_PAYLOAD = frozenset({HARDLINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO})
_ZERO = bytes(BLOCK)
_XATTR = "SCHILY.xattr."

ReadChunk = Callable[[], bytes | memoryview]
"""Gives the next piece of the archive, of any size; empty at the end."""


class Entry(msgspec.Struct, kw_only=True):
    """A member. ``size`` is the file's size, holes included; ``mtime`` in nanoseconds; ``kind`` one of the constants.

    ``sparse`` lists (offset, length) of the data that the archive holds for a file with holes.
    """

    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    link: bytes
    major: int = 0
    minor: int = 0
    user: bytes = b""
    group: bytes = b""
    xattrs: dict[str, bytes] = msgspec.field(default_factory=dict)
    sparse: list[tuple[int, int]] | None = None


class TarReader:
    """Iterate over the members; between two steps ``data()`` gives the present member's payload in pieces."""

    def __init__(self, read: ReadChunk) -> None:
        self._read = read
        self._buffer = memoryview(b"")
        self._position = 0
        self._left = 0  # payload bytes of the present member that nobody has read
        self._padding = 0
        self._global: dict[str, bytes] = {}
        self.ended = False

    def __iter__(self) -> Iterator[Entry]:
        while (entry := self.next()) is not None:
            yield entry

    def next(self) -> Entry | None:
        """The next member, or None at the end of the archive. ``InvalidArgument`` when it is damaged."""
        self._skip(self._left + self._padding)
        self._left = self._padding = 0
        local: dict[str, bytes] = {}
        long_name = long_link = None
        sparse_pairs: list[tuple[int, int]] = []
        while True:
            block = self._block()
            if block is None:
                self.ended = True
                return None
            kind = block[156:157]
            size = _number(block[124:136])
            if kind == b"L":
                long_name = self._extended(size).rstrip(b"\0")
            elif kind == b"K":
                long_link = self._extended(size).rstrip(b"\0")
            elif kind == b"x":
                _parse_pax(self._extended(size), local, sparse_pairs)
            elif kind == b"g":
                _parse_pax(self._extended(size), self._global, [])
                if len(self._global) > 1024:
                    raise _damaged("too many global headers")
            else:
                pax = {**self._global, **local} if self._global else local
                return self._member(block, kind, size, pax, long_name, long_link, sparse_pairs)

    def data(self) -> Iterator[memoryview]:
        """The payload of the present member, as views that are valid until the next step."""
        while self._left:
            if self._position >= len(self._buffer):
                self._fill()
            piece = self._buffer[self._position : self._position + self._left]
            self._position += len(piece)
            self._left -= len(piece)
            yield piece

    def drain(self) -> None:
        """Read what follows the archive's end, so that whoever hashes the source sees all of it."""
        self._buffer = memoryview(b"")
        while self._read():
            continue

    # members

    def _member(
        self,
        block: bytes,
        kind: bytes,
        size: int,
        pax: dict[str, bytes],
        long_name: bytes | None,
        long_link: bytes | None,
        sparse_pairs: list[tuple[int, int]],
    ) -> Entry:
        name = block[:100].split(b"\0", 1)[0]
        if block[257:263] == b"ustar\0" and block[345] and block[508:512] != b"tar\0":
            name = block[345:500].split(b"\0", 1)[0] + b"/" + name
        if kind == b"\0" and name.endswith(b"/"):
            kind = DIRECTORY
        entry = Entry(
            name=long_name if long_name is not None else name,
            kind=REGULAR if kind in _DATA_TYPES else kind,
            mode=_number(block[100:108]) & 0o7777,
            uid=_number(block[108:116]),
            gid=_number(block[116:124]),
            size=size,
            mtime=_number(block[136:148]) * 1_000_000_000,
            link=long_link if long_link is not None else block[157:257].split(b"\0", 1)[0],
        )
        if kind in (CHARACTER, BLOCK_DEVICE):
            entry.major, entry.minor = _number(block[329:337]), _number(block[337:345])
        if block[257:262] == b"ustar":
            entry.user = block[265:297].split(b"\0", 1)[0]
            entry.group = block[297:329].split(b"\0", 1)[0]
        stored = size
        if pax:
            stored = _apply_pax(entry, pax, size)
        if kind in _NO_PAYLOAD:
            stored = entry.size = 0
        self._left = stored
        self._padding = -stored % BLOCK
        if kind == b"S":
            self._old_sparse(entry, block)
        elif pax and any(key.startswith("GNU.sparse.") for key in pax):
            self._pax_sparse(entry, pax, sparse_pairs)
        return entry

    def _old_sparse(self, entry: Entry, block: bytes) -> None:
        pairs = _sparse_table(block[386:482])
        entry.size = _number(block[483:495])
        more = block[482]
        while more:
            extension = self._exact(BLOCK)
            pairs += _sparse_table(extension[:504])
            more = extension[504]
            if len(pairs) > MAX_SPARSE:
                raise _damaged("sparse map is too long", entry.name)
        self._set_sparse(entry, pairs)

    def _pax_sparse(self, entry: Entry, pax: dict[str, bytes], pairs: list[tuple[int, int]]) -> None:
        if "GNU.sparse.name" in pax:
            entry.name = pax["GNU.sparse.name"]
        size = pax.get("GNU.sparse.realsize") or pax.get("GNU.sparse.size")
        if size is None:
            raise _damaged("sparse file without its size", entry.name)
        entry.size = _decimal(size)
        if pax.get("GNU.sparse.major") == b"1":
            pairs = self._sparse_map_in_data(entry)
        elif "GNU.sparse.map" in pax:
            numbers = [_decimal(text) for text in pax["GNU.sparse.map"].split(b",") if text]
            pairs = list(zip(numbers[::2], numbers[1::2], strict=False))
        self._set_sparse(entry, pairs)

    def _sparse_map_in_data(self, entry: Entry) -> list[tuple[int, int]]:
        text = b""
        numbers: list[int] = []
        wanted = 1
        while len(numbers) < wanted:
            if self._left < BLOCK:
                raise _damaged("sparse map is cut off", entry.name)
            text += self._exact(BLOCK)
            self._left -= BLOCK
            *lines, text = text.split(b"\n")
            numbers += [_decimal(line) for line in lines]
            if numbers:
                wanted = 1 + 2 * numbers[0]
            if wanted > 2 * MAX_SPARSE:
                raise _damaged("sparse map is too long", entry.name)
        numbers = numbers[1:wanted]
        return list(zip(numbers[::2], numbers[1::2], strict=True))

    def _set_sparse(self, entry: Entry, pairs: list[tuple[int, int]]) -> None:
        end = total = 0
        for offset, length in pairs:
            if offset < end or length < 0 or offset + length > entry.size:
                raise _damaged("sparse map is not in order", entry.name)
            end = offset + length
            total += length
        if len(pairs) > MAX_SPARSE or total != self._left:
            raise _damaged("sparse map does not fit the data", entry.name)
        entry.sparse = [pair for pair in pairs if pair[1]]

    # bytes

    def _block(self) -> bytes | None:
        """A checked header block; None at a zero block or where the source ends between members."""
        start = self._position
        if start >= len(self._buffer):
            chunk = self._read()
            if not chunk:
                return None
            self._buffer, start = memoryview(chunk), 0
            self._position = 0
        block = self._exact(BLOCK)
        if block == _ZERO:
            return None
        total = sum(block) - sum(block[148:156]) + 256
        if total != _number(block[148:156]):
            raise _damaged("invalid tar header")
        return block

    def _exact(self, count: int) -> bytes:
        end = self._position + count
        if end <= len(self._buffer):
            data = bytes(self._buffer[self._position : end])
            self._position = end
            return data
        parts: list[bytes] = []
        while count:
            if self._position >= len(self._buffer):
                self._fill()
            piece = bytes(self._buffer[self._position : self._position + count])
            parts.append(piece)
            self._position += len(piece)
            count -= len(piece)
        return b"".join(parts)

    def _skip(self, count: int) -> None:
        while count:
            if self._position >= len(self._buffer):
                self._fill()
            step = min(count, len(self._buffer) - self._position)
            self._position += step
            count -= step

    def _fill(self) -> None:
        chunk = self._read()
        if not chunk:
            raise _damaged("unexpected EOF")
        self._buffer, self._position = memoryview(chunk), 0

    def _extended(self, size: int) -> bytes:
        if size > MAX_EXTENDED:
            raise _damaged(f"extended header of {size} bytes")
        data = self._exact(size)
        self._skip(-size % BLOCK)
        return data


def is_header(block: bytes) -> bool:
    """Whether *block*, the first 512 bytes of something, begins a tar archive (an empty one included)."""
    if len(block) < BLOCK:
        return False
    block = block[:BLOCK]
    if block == _ZERO:
        return True
    try:
        return sum(block) - sum(block[148:156]) + 256 == _number(block[148:156])
    except errors.InvalidArgument:
        return False


def _number(field: bytes) -> int:
    """Octal text, or GNU's base-256 when the first bit is set."""
    if field[0] & 0x80:
        if field[0] & 0x40:
            raise _damaged("negative number in a header")
        value = int.from_bytes(field[1:], "big") | (field[0] & 0x3F) << 8 * (len(field) - 1)
        if value >= 1 << 63:
            raise _damaged("number out of range in a header")
        return value
    text = field.strip(b" \0")
    if not text:
        return 0
    try:
        return int(text.split(b"\0", 1)[0], 8)
    except ValueError:
        raise _damaged("invalid tar header") from None


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise _damaged(f"invalid number {text[:20]!r} in an extended header")
    return int(text)


def _parse_pax(data: bytes, into: dict[str, bytes], sparse_pairs: list[tuple[int, int]]) -> None:
    position = 0
    offset: int | None = None
    while position < len(data):
        space = data.find(b" ", position, position + 20)
        if space < 0 or not data[position:space].isdigit():
            if not data[position:].strip(b"\0"):
                return
            raise _damaged("invalid extended header")
        end = position + int(data[position:space])
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or end > len(data) or end <= space or data[end - 1 : end] != b"\n":
            raise _damaged("invalid extended header")
        name = key.decode("utf-8", "surrogateescape")
        if name == "GNU.sparse.offset":
            offset = _decimal(value)
        elif name == "GNU.sparse.numbytes" and offset is not None:
            sparse_pairs.append((offset, _decimal(value)))
        into[name] = value
        position = end


def _apply_pax(entry: Entry, pax: dict[str, bytes], size: int) -> int:
    """Override the header's fields; returns the number of bytes stored in the archive."""
    for key, value in pax.items():
        if key.startswith(_XATTR):
            entry.xattrs[key[len(_XATTR) :]] = value
        elif not value:
            continue
        elif key == "path":
            entry.name = value
        elif key == "linkpath":
            entry.link = value
        elif key == "size":
            size = entry.size = _decimal(value)
        elif key == "uid":
            entry.uid = _decimal(value)
        elif key == "gid":
            entry.gid = _decimal(value)
        elif key == "mtime":
            entry.mtime = _time(value)
        elif key == "uname":
            entry.user = value
        elif key == "gname":
            entry.group = value
    return size


def _time(text: bytes) -> int:
    negative = text.startswith(b"-")
    seconds, _, fraction = text.lstrip(b"-").partition(b".")
    nanoseconds = _decimal(seconds) * 1_000_000_000 + _decimal((fraction or b"0")[:9].ljust(9, b"0"))
    return -nanoseconds if negative else nanoseconds


def _sparse_table(data: bytes) -> list[tuple[int, int]]:
    pairs = []
    for start in range(0, len(data) - 23, 24):
        if not data[start]:
            break
        pairs.append((_number(data[start : start + 12]), _number(data[start + 12 : start + 24])))
    return pairs


def _damaged(why: str, name: bytes = b"") -> errors.InvalidArgument:
    where = f' at "{name[:200].decode("utf-8", "replace")}"' if name else ""
    return errors.InvalidArgument(f"archive/tar: {why}{where}")
