"""Bytes made wrong: anywhere, or where HTTP is brittle."""

import random

TOKENS = (
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"?", b"#", b"%", b"%00", b"%ff", b"%2f", b"/../", b"//", b"\xff",
    b"\xc3\x28", b"\xf0\x9f\x98\x80", b"\x80", b"HTTP/1.1", b"-1", b"0", b"99999999999999999999", b"0x10", b"+5",
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"{", b"}",
    b"[", b'"', b"\\u0000", b"\\ud800", b"null", b"\x1f\x8b", b"ustar", b"A" * 1000,
)  # fmt: skip
METHODS = (b"GET", b"get", b"POST", b"FOO", b"", b"G\0T", b"CONNECT", b"PRI", b"A" * 300, b"HEAD", b"OPTIONS")
VERSIONS = (b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.1 ", b"http/1.1", b"", b"HTTP/1.1x", b"HTTP/9")
LENGTHS = (b"-1", b"+3", b"0", b"00", b"3, 3", b"3, 4", b"1e3", b"0x3", b"18446744073709551616", b"9" * 40, b"", b"a")
CODINGS = (b"chunked", b"gzip, chunked", b"chunked, gzip", b"identity", b"CHUNKED", b"x", b"chunked, chunked", b"")
LINES = (
    b"Content-Length: 3", b"content-length: 4", b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"Expect: x",
    b"Upgrade: tcp\r\nConnection: Upgrade", b"Upgrade: websocket", b"Upgrade: h2c", b"Host: a\r\nHost: b", b": empty",
    b"No colon", b" folded: x", b"Bad name: x", b"X: \0", b"X: \xff\xfe", b"Cookie: " + b"c" * 9000, b"Connection: x",
    b"Connection: keep-alive", b"X-Registry-Auth: e30=", b"X-Registry-Auth: !!", b"X-Registry-Auth: bnVsbA==",
    b"Origin: http://evil", b"Content-Encoding: gzip", b"Range: bytes=0-1", b"Content-Type: application/json",
    b"Content-Type: application/json\r\nContent-Type: text/plain", b"Trailer: X", b"TE: trailers", b"A" * 70_000,
)  # fmt: skip


def mutate(data: bytes, chance: random.Random, most: int = 4) -> bytes:
    """A few changes anywhere: bits, bytes, tokens, parts removed, repeated or swapped."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, most)):
        at = chance.randrange(len(changed) + 1)
        size = chance.choice((1, 1, 2, 8, 64, 512))
        kind = chance.randrange(6)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed[at : at + size] = chance.randbytes(min(size, 64))
        elif kind == 2:
            changed[at:at] = chance.choice(TOKENS)
        elif kind == 3:
            del changed[at : at + size]
        elif kind == 4:
            changed[at:at] = changed[at : at + size] * chance.choice((1, 2, 30))
        else:
            del changed[at:]
    return bytes(changed)


def malform(data: bytes, chance: random.Random) -> bytes:
    """A request with something wrong in its head or framing, or anywhere."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    words = first.split(b" ")
    for _ in range(chance.randint(1, 3)):
        kind = chance.randrange(9)
        if kind == 0:
            words[0] = chance.choice(METHODS)
        elif kind == 1:
            words[-1] = chance.choice(VERSIONS)
        elif kind == 2:
            lines = [line for line in lines if not line.lower().startswith(b"content-length")]
            lines.append(b"Content-Length: " + chance.choice(LENGTHS))
        elif kind == 3:
            lines = [line for line in lines if not line.lower().startswith(b"content-length")]
            lines.append(b"Transfer-Encoding: " + chance.choice(CODINGS))
            body = chunked(body, chance)
        elif kind == 4:
            lines.insert(chance.randrange(len(lines) + 1), chance.choice(LINES))
        elif kind == 5 and len(words) > 1:
            words[1] = chance.choice((mutate(words[1], chance), b"*", b"http://x" + words[1], b"x", b"/" * 5000, b"/%"))
        elif kind == 6:
            body = mutate(body, chance)
        elif kind == 7:
            lines += [b"X-%d: y" % number for number in range(chance.choice((10, 2000)))]
        else:
            return mutate(b"\r\n".join((b" ".join(words), *lines)) + b"\r\n\r\n" + body, chance)
    end = chance.choice((b"\r\n\r\n",) * 8 + (b"\n\n", b"\r\n", b"", b"\r\n \r\n"))
    return b"\r\n".join((b" ".join(words), *lines)) + end + body


def chunked(body: bytes, chance: random.Random) -> bytes:
    """*body* in chunks, whose framing is wrong half of the time."""
    parts = []
    while body:
        size = chance.choice((1, 3, 100, 5000))
        part, body = body[:size], body[size:]
        parts.append(b"%x" % len(part) + chance.choice((b"",) * 6 + (b";a=b", b" ", b";" + b"x" * 5000)))
        parts.append(b"\r\n" + part + b"\r\n")
    parts.append(
        chance.choice((b"0\r\n\r\n",) * 5 + (b"0\r\nX: y\r\n\r\n", b"0\r\n", b"", b"-1\r\n\r\n", b"0;\r\n\r\n"))
    )
    return mutate(b"".join(parts), chance, 2) if chance.random() < 0.5 else b"".join(parts)


def pieces(data: bytes, chance: random.Random) -> tuple[int, ...]:
    """In which parts it is sent: mostly in one."""
    if chance.random() < 0.7:
        return ()
    return tuple(chance.randint(1, max(1, len(data) // 3)) for _ in range(chance.randint(1, 6)))
