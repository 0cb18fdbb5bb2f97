"""Requests out of bytes, however the bytes arrive. No sockets."""

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corten.api.errors import Malformed
from corten.api.head import accept
from corten.api.incoming import HIGH_WATER, MOST_PARTS, Incoming

CHUNKED = (
    b"POST /a%20b?x=%31 HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n2;extension=1\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
)
COUNTED = b"PUT http://docker/path?q HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\nConnection: close\r\n\r\n12345"
EMPTY = b"GET / HTTP/1.1\r\nHost: d\r\n\r\n"
EXPECTED = [
    ("POST", "/a b", "x=%31", b"abcde", True),
    ("PUT", "/path", "q", b"12345", False),
    ("GET", "/", "", b"", True),
]


async def parse(pieces, count):
    """Feed *pieces* while reading; the first *count* requests and what is left over."""
    incoming = Incoming(lambda: None, lambda: None, lambda data: None)
    pieces = list(pieces)

    async def feed():
        for piece in pieces:
            incoming.feed(piece)
            await asyncio.sleep(0)
        incoming.feed_eof()

    feeding = asyncio.ensure_future(feed())
    found = []
    for number in range(count):
        while (event := incoming.next_request()) is None:  # noqa: ASYNC110
            await asyncio.sleep(0)
        head = accept(event, browsers=True)
        incoming.begin_body(head.has_body)
        body = b""
        while part := await incoming.read():
            body += part
        found.append((head.method, head.path, head.query, body, head.keep_alive))
        if number + 1 < count:
            incoming.end_request()
    await feeding
    return found, incoming.rest()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, len(CHUNKED + COUNTED + EMPTY) + 9), max_size=12))
def test_any_split_gives_the_same(cuts):
    data = CHUNKED + COUNTED + EMPTY + b"raw\r\n\r\n\0x"
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges) if start < end]
    found, rest = asyncio.run(parse(pieces, 3))
    assert found == EXPECTED
    assert rest == b"raw\r\n\r\n\0x"


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_anything_is_a_request_or_refused(data):
    async def job():
        incoming = Incoming(lambda: None, lambda: None, lambda data: None)
        incoming.feed(b"POST / HTTP/1.1\r\nHost: d\r\n" + data)
        try:
            event = incoming.next_request()
            if event is not None:
                head = accept(event, browsers=True)
                incoming.begin_body(head.has_body)
                incoming.feed_eof()
                while await incoming.read():
                    pass
        except Malformed:
            pass

    asyncio.run(job())


def test_a_client_that_is_too_fast_is_held_up():
    async def job():
        calls = []
        incoming = Incoming(lambda: calls.append("pause"), lambda: calls.append("resume"), lambda data: None)
        incoming.feed(b"POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 2000000\r\n\r\n")
        event = incoming.next_request()
        incoming.begin_body(accept(event, browsers=True).has_body)
        for _ in range(20):
            incoming.feed(b"x" * 100_000)
        assert calls == ["pause"]
        total = 0
        while total < HIGH_WATER:
            total += len(await incoming.read())
        while part := await incoming.read():
            total += len(part)
        assert total == 2_000_000
        incoming.end_request()
        incoming.resume()
        assert calls == ["pause", "resume"]

    asyncio.run(job())


@pytest.mark.parametrize(
    "body",
    [b"5\r\nab", b"g\r\nab\r\n0\r\n\r\n", b"2\r\nabc\r\n0\r\n\r\n", b"-1\r\n", b"2\nab\n0\n\n", b"1" * 300],
)
def test_bad_chunks(body):
    async def job():
        incoming = Incoming(lambda: None, lambda: None, lambda data: None)
        incoming.feed(b"POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        incoming.begin_body(accept(incoming.next_request(), browsers=True).has_body)
        incoming.feed_eof()
        with pytest.raises(Malformed):
            while await incoming.read():
                pass

    asyncio.run(job())


def test_tiny_chunks_are_taken_a_few_at_a_time():
    """Whoever reads such a body lets the loop run in between."""

    async def job():
        incoming = Incoming(lambda: None, lambda: None, lambda data: None)
        incoming.feed(b"POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert accept(incoming.next_request(), browsers=True).has_body
        incoming.begin_body(True)
        incoming.feed(b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n")
        turns = []
        asyncio.get_running_loop().call_soon(turns.append, True)
        assert len(await incoming.read()) == MOST_PARTS
        assert turns
        body = b""
        while part := await incoming.read():
            body += part
        assert len(body) == 5000 - MOST_PARTS

    asyncio.run(job())
