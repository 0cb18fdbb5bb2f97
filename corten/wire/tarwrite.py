"""Making tar headers: ustar, with a PAX header in front where a field does not fit (POSIX pax(1)).

The caller writes the header, the payload and ``padding(size)``; at the end ``TRAILER``.
"""

BLOCK = 512
TRAILER = bytes(2 * BLOCK)

REGULAR, HARDLINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_MAX_OCTAL7 = 0o7777777
_MAX_OCTAL11 = 0o77777777777


def header(
    name: bytes,
    *,
    kind: bytes = REGULAR,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    size: int = 0,
    mtime: int = 0,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
    xattrs: dict[str, bytes] | None = None,
    user: bytes = b"",
    group: bytes = b"",
) -> bytes:
    """The header blocks of one member. ``mtime`` in nanoseconds; ``size`` only for regular files."""
    pax: list[tuple[bytes, bytes]] = []
    prefix, short = _split_name(name)
    if short is None:
        pax.append((b"path", name))
        prefix, short = b"", name[:100]
    if len(link) > 100:
        pax.append((b"linkpath", link))
    seconds, fraction = divmod(mtime, 1_000_000_000)
    if fraction or not 0 <= seconds <= _MAX_OCTAL11:
        pax.append((b"mtime", _decimal_time(mtime)))
    for key, value, limit in ((b"uid", uid, _MAX_OCTAL7), (b"gid", gid, _MAX_OCTAL7), (b"size", size, _MAX_OCTAL11)):
        if value > limit:
            pax.append((key, b"%d" % value))
    pax.extend((b"SCHILY.xattr." + key.encode(), value) for key, value in sorted((xattrs or {}).items()))
    block = _block(short, kind, mode, uid, gid, size, seconds, link[:100], device, prefix, user[:31], group[:31])
    return _pax_header(pax, short) + block if pax else block


def padding(size: int) -> bytes:
    """The zeros after a payload of *size* bytes."""
    return bytes(-size % BLOCK)


def _pax_header(records: list[tuple[bytes, bytes]], name: bytes) -> bytes:
    payload = b"".join(_record(key, value) for key, value in records)
    label = (b"PaxHeaders.0/" + name.rstrip(b"/").rpartition(b"/")[2])[:100]
    block = _block(label, b"x", 0o644, 0, 0, len(payload), 0, b"", (0, 0), b"", b"", b"")
    return block + payload + padding(len(payload))


def _record(key: bytes, value: bytes) -> bytes:
    body = len(key) + len(value) + 3
    length = body + len(str(body))
    if len(str(length)) != len(str(body)):
        length = body + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _decimal_time(nanoseconds: int) -> bytes:
    sign = "-" if nanoseconds < 0 else ""
    seconds, fraction = divmod(abs(nanoseconds), 1_000_000_000)
    return f"{sign}{seconds}.{fraction:09d}".rstrip("0").rstrip(".").encode()


def _split_name(name: bytes) -> tuple[bytes, bytes | None]:
    if len(name) <= 100:
        return b"", name
    for cut in range(min(len(name) - 1, 155), 0, -1):
        if name[cut : cut + 1] == b"/" and 0 < len(name) - cut - 1 <= 100:
            return name[:cut], name[cut + 1 :]
    return b"", None


def _octal(value: int, width: int) -> bytes:
    limit = 8 ** (width - 1) - 1
    return b"%0*o\0" % (width - 1, min(max(value, 0), limit))


def _block(
    name: bytes,
    kind: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime: int,
    link: bytes,
    device: tuple[int, int],
    prefix: bytes,
    user: bytes,
    group: bytes,
) -> bytes:
    head = name.ljust(100, b"\0") + _octal(mode & 0o7777, 8) + _octal(uid, 8) + _octal(gid, 8)
    head += _octal(size, 12) + _octal(mtime, 12)
    tail = kind + link.ljust(100, b"\0") + b"ustar\x0000" + user.ljust(32, b"\0") + group.ljust(32, b"\0")
    tail += _octal(device[0], 8) + _octal(device[1], 8) + prefix.ljust(155, b"\0") + bytes(12)
    checksum = sum(head) + sum(tail) + 8 * 32
    return head + b"%06o\0 " % checksum + tail
