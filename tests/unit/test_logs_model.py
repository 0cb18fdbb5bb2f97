"""The log reader against a slow and simple model of it, on random logs."""

import gzip
import itertools
import os
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from corten.runtime import logfile
from corten.runtime.logs import LogQuery, LogReader, RecordStream
from corten.wire import logline
from corten.wire.logline import LogLine

BASE = 1_700_000_000_000_000_000

texts = st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"\r"))
pieces = st.lists(st.tuples(st.sampled_from((1, 2)), st.booleans(), texts, st.integers(0, 3)), max_size=60)


def with_times(found):
    moment, lines = BASE, []
    for stream, full, text, step in found:
        moment += step
        lines.append(LogLine(moment, stream, full, text))
    return lines


def start_of_tail(lines, count):
    """Index of the first record of the last *count* lines."""
    open_streams, left = set(), count
    for index in range(len(lines) - 1, -1, -1):
        line = lines[index]
        if line.full or line.stream not in open_streams:
            if left == 0:
                return index + 1
            left -= 1
            open_streams.add(line.stream)
    return 0


def expected(lines, query):
    chosen = lines[start_of_tail(lines, query.tail) :] if query.tail >= 0 else lines
    chosen = [line for line in chosen if query.since <= line.time and (not query.until or line.time <= query.until)]
    result = {1: b"", 2: b""}
    fresh = {1: True, 2: True}
    for line in chosen:
        if fresh[line.stream] and query.timestamps:
            result[line.stream] += logline.utc_text(line.time) + b" "
        result[line.stream] += line.text + (b"\n" if line.full else b"")
        fresh[line.stream] = line.full
    return result


@settings(max_examples=300, deadline=None)
@given(
    found=pieces,
    cuts=st.lists(st.integers(0, 60), max_size=3),
    block=st.integers(50, 400),
    tail=st.integers(-1, 20),
    since=st.integers(0, 100),
    until=st.integers(0, 100),
    timestamps=st.booleans(),
    whole_lines=st.booleans(),
    follow=st.booleans(),
)
def test_reader_and_model_agree(found, cuts, block, tail, since, until, timestamps, whole_lines, follow):
    lines = with_times(found)
    query = LogQuery(
        tail=tail,
        since=BASE + since if since else 0,
        until=BASE + until if until else 0,
        timestamps=timestamps,
        whole_lines=whole_lines,
    )
    borders = [0, *sorted(min(cut, len(lines)) for cut in cuts), len(lines)]
    parts = [lines[start:end] for start, end in itertools.pairwise(borders)]
    before, logfile.BLOCK = logfile.BLOCK, block
    try:
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "log")
            for number, part in enumerate(reversed(parts)):
                with open(f"{path}.{number}" if number else path, "wb") as file:
                    file.write(b"".join(map(logline.render, part)))
            result = {1: b"", 2: b""}
            with LogReader(path, query, follow=follow) as reader:
                for stream, data in reader:
                    result[stream] += data
                for stream, data in reader.rest():
                    result[stream] += data
    finally:
        logfile.BLOCK = before
    assert result == expected(lines, query)


class Life:
    """A log that is written, rotated and compressed while a reader comes and goes."""

    def __init__(self, path):
        self.path = path
        self.written = 0
        self.moment = BASE
        self.stream = RecordStream(path, LogQuery(), follow=True)
        self.position = None
        self.got = []
        self.append(1)

    def append(self, count):
        """As conmon: what it reads at once gets one time and goes into one file."""
        self.moment += 1
        with open(self.path, "ab") as file:
            for _ in range(count):
                file.write(logline.render(LogLine(self.moment, 1, True, b"%d" % self.written)))
                self.written += 1

    def rotate(self, compress):
        numbers = sorted(int(name.split(".")[1]) for name in os.listdir(os.path.dirname(self.path)) if "." in name)
        for number in reversed(numbers):
            for suffix in ("", ".gz"):
                if os.path.exists(f"{self.path}.{number}{suffix}"):
                    os.rename(f"{self.path}.{number}{suffix}", f"{self.path}.{number + 1}{suffix}")
        os.rename(self.path, f"{self.path}.1")
        with open(self.path, "xb"):
            pass
        if compress:
            with open(f"{self.path}.1", "rb") as plain, gzip.open(f"{self.path}.1.gz", "wb") as packed:
                packed.write(plain.read())
            os.unlink(f"{self.path}.1")

    def read(self, blocks):
        for _ in range(blocks):
            records = self.stream.next_block()
            if not records:
                break
            self.got += [int(record[45:]) for record in records]
            self.position = self.stream.position

    def restart(self):
        self.stream.close()
        self.stream = RecordStream(self.path, LogQuery(), follow=True, start=self.position)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 12)),
        st.tuples(st.just("rotate"), st.booleans()),
        st.tuples(st.just("read"), st.integers(1, 3)),
        st.tuples(st.just("restart")),
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(steps=steps, block=st.integers(60, 300))
def test_shipping_sees_every_record_once(steps, block):
    before, logfile.BLOCK = logfile.BLOCK, block
    try:
        with tempfile.TemporaryDirectory() as directory:
            life = Life(os.path.join(directory, "log"))
            for step, *arguments in steps:
                getattr(life, step)(*arguments)
            life.read(1000)
            life.stream.close()
    finally:
        logfile.BLOCK = before
    assert life.got == list(range(life.written))
