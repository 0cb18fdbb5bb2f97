"""The bridge between loop and worker: nothing lost, back-pressure, both sides' failures."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from corten import errors
from corten.engine import feed as feeds
from corten.model.image import Progress


async def chunks(count, size=1000, fail=None):
    for number in range(count):
        yield bytes([number % 256]) * size
    if fail:
        raise fail


def run(source, work):
    async def main():
        with ThreadPoolExecutor(2) as pool:
            return [record async for record in feeds.run_streamed(pool, source, work)]

    return asyncio.run(main())


def test_all_bytes_arrive_joined_and_in_order():
    parts = []

    def work(feed, report):
        while part := feed.read():
            parts.append(part)
            report(Progress(current=len(part)))

    records = run(chunks(5000), work)
    assert b"".join(parts) == b"".join(bytes([n % 256]) * 1000 for n in range(5000))
    assert max(len(part) for part in parts) <= 1 << 20
    assert sum(record.current for record in records) == 5_000_000


def test_a_slow_worker_holds_the_source_back():
    given = 0

    async def source():
        nonlocal given
        for _ in range(100):
            given += 1
            yield bytes(1 << 20)

    seen = []

    def work(feed, report):
        feed.read()
        seen.append(given)
        while feed.read():
            seen.append(given)

    run(source(), work)
    assert given == 100
    assert all(ahead - number <= 14 for number, ahead in enumerate(seen, 1))


def test_the_workers_failure_comes_out_and_the_source_ends():
    def work(feed, report):
        feed.read()
        raise errors.InvalidArgument("no")

    with pytest.raises(errors.InvalidArgument, match="no"):
        run(chunks(30_000), work)


def test_host_failures_get_our_classes():
    def full(feed, report):
        raise OSError(28, "No space left on device")

    def broken(feed, report):
        raise OSError(5, "Input/output error", "/x")

    with pytest.raises(errors.Exhausted, match=r"^no space left on device$"):
        run(chunks(1), full)
    with pytest.raises(errors.System, match=r"^/x: input/output error$"):
        run(chunks(1), broken)


def test_a_source_that_breaks_off():
    def work(feed, report):
        while feed.read():
            pass

    with pytest.raises(errors.Cancelled):
        run(chunks(3, fail=ConnectionResetError()), work)


def test_a_consumer_that_leaves_stops_the_worker():
    ended = []

    def work(feed, report):
        report(Progress(status="begun"))
        try:
            while feed.read():
                pass
        except errors.Cancelled:
            ended.append(True)
            raise

    async def forever():
        while True:
            yield b"x"
            await asyncio.sleep(0)

    async def main():
        with ThreadPoolExecutor(1) as pool:
            records = feeds.run_streamed(pool, forever(), work)
            assert (await anext(records)).status == "begun"
            await records.aclose()

    asyncio.run(main())
    assert ended == [True]


def test_pull_ahead_joins_and_raises():
    async def collect(pieces):
        with ThreadPoolExecutor(1) as pool:
            return [piece async for piece in feeds.pull_ahead(pool, pieces)]

    assert b"".join(asyncio.run(collect(iter([b"a"] * 1000)))) == b"a" * 1000

    def broken():
        yield b"x" * (1 << 20)
        raise errors.DataLoss("gone")

    with pytest.raises(errors.DataLoss):
        asyncio.run(collect(broken()))


def test_a_consumer_that_goes_leaves_nothing_to_read():
    """Also when all bytes have come: what waits may be hours of work."""
    loop = asyncio.new_event_loop()
    try:
        whole, left = feeds.Feed(loop), feeds.Feed(loop)
        for feed in (whole, left):
            loop.run_until_complete(feed.pump(chunks(2)))
        assert len(whole.read()) == 2000 and whole.read() == b""
        left.end(ConnectionError())
        with pytest.raises(errors.Cancelled):
            left.read()
    finally:
        loop.close()


def test_a_client_that_reads_slowly_is_told_how_far_it_is_now():
    """What nobody reads must not pile up for as long as a download takes."""
    read = threading.Event()

    def work(report, on_stop):
        report(Progress(status="Pulling", id="a"))
        for number in range(1, 1001):
            report(Progress(status="Downloading", id="a", current=number, total=1000))
            report(Progress(status="Downloading", id="b", current=number, total=1000))
        report(Progress(status="Done", id="a"))
        read.set()

    async def main():
        found = []
        with ThreadPoolExecutor(1) as pool:
            async for record in feeds.run_stoppable(pool, work):
                read.wait(30)  # the loop stands still, as for a client that takes nothing
                found.append(record)
        return found

    told = [(record.status, record.id, record.current) for record in asyncio.run(main())]
    assert told[0] == ("Pulling", "a", 0)
    assert told[-3:] == [("Downloading", "a", 1000), ("Downloading", "b", 1000), ("Done", "a", 0)]
    assert len(told) < 10
