"""Reading log files: formatting, tail, bounds, rotation."""

import gzip
import os

import pytest

from corten.runtime import logfile
from corten.runtime.logs import LogQuery, LogReader, RecordStream
from corten.wire import logline
from corten.wire.logline import LogLine

BASE = 1_700_000_000_000_000_000


def record(number, text, stream=1, full=True):
    return logline.render(LogLine(BASE + number * 1000, stream, full, text))


def read(path, query=None, **keywords):
    with LogReader(str(path), query or LogQuery(**keywords)) as reader:
        return list(reader)


def text(path, **keywords):
    return b"".join(data for _, data in read(path, **keywords))


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "x-json.log"
    path.write_bytes(b"".join(record(i, b"line %d" % i) for i in range(1000)))
    return path


def test_record_round_trip():
    line = LogLine(BASE + 123456789, logline.STDERR, False, b"\x00\r text")
    data = logline.render(line)
    assert data.startswith(b"2023-11-14T22:13:20.123456789+00:00 stderr P ")
    assert logline.parse(data[:-1]) == line


def test_record_with_other_zone_is_shown_in_utc():
    data = b"2026-01-01T01:30:00.000000001+02:00 stdout F x"
    assert logline.utc_stamp(data) == b"2025-12-31T23:30:00.000000001Z"
    assert logline.utc_stamp(data.replace(b"+02", b"-02")) == b"2026-01-01T03:30:00.000000001Z"


@pytest.mark.parametrize("bad", [b"", b"\0" * 60, b"2026-13-01T01:30:00.000000001+02:00 stdout F x", b"x" * 50])
def test_what_is_no_record(bad):
    with pytest.raises(ValueError):
        logline.parse(bad)


def test_all_lines_of_one_stream_are_one_chunk(log):
    assert read(log) == [(1, b"".join(b"line %d\n" % i for i in range(1000)))]


def test_streams_keep_their_order(tmp_path):
    path = tmp_path / "l"
    path.write_bytes(record(1, b"a") + record(2, b"b", 2) + record(3, b"c", 2) + record(4, b"d"))
    assert read(path) == [(1, b"a\n"), (2, b"b\nc\n"), (1, b"d\n")]
    assert read(path, stdout=False) == [(2, b"b\nc\n")]
    assert text(path, stderr=False) == b"a\nd\n"


def test_pieces_of_a_line_are_joined_and_stamped_once(tmp_path):
    path = tmp_path / "l"
    path.write_bytes(
        record(1, b"one ", full=False) + record(2, b"E", 2) + record(3, b"line\r") + record(4, b"rest", full=False)
    )
    assert text(path, stderr=False) == b"one line\r\nrest"
    stamps = [logline.utc_text(BASE + i * 1000) for i in (1, 4)]
    assert text(path, stderr=False, timestamps=True, prefix=b"k=v ") == (
        stamps[0] + b" k=v one line\r\n" + stamps[1] + b" k=v rest"
    )


def test_timestamps_fast_path(log):
    lines = text(log, timestamps=True, tail=2).splitlines()
    assert lines == [logline.utc_text(BASE + i * 1000) + b" line %d" % i for i in (998, 999)]


def test_damaged_records_are_left_out(tmp_path):
    path = tmp_path / "l"
    path.write_bytes(record(1, b"a") + b"\0" * 99 + b"\n" + record(2, b"b") + record(3, b"cut")[:-1])
    assert text(path) == b"a\nb\n"


@pytest.mark.parametrize("count", [0, 1, 7, 999, 1000, 1001])
@pytest.mark.parametrize("block", [64, 100, 4096, logfile.BLOCK])
def test_tail(log, count, block, monkeypatch):
    monkeypatch.setattr(logfile, "BLOCK", block)
    lines = text(log, tail=count).splitlines()
    assert lines == [b"line %d" % i for i in range(max(0, 1000 - count), 1000)]


def test_tail_counts_joined_lines_and_the_unfinished_one(tmp_path):
    path = tmp_path / "l"
    path.write_bytes(record(1, b"a") + record(2, b"b1", full=False) + record(3, b"b2") + record(4, b"c", full=False))
    assert text(path, tail=1) == b"c"
    assert text(path, tail=2) == b"b1b2\nc"
    assert text(path, tail=3) == b"a\nb1b2\nc"


@pytest.mark.parametrize("since", [0, 1, 500, 998, 999, 1000])
@pytest.mark.parametrize("until", [0, 1, 500, 998, 999, 1000])
def test_bounds_are_inclusive(log, since, until):
    lines = text(log, since=BASE + since * 1000, until=BASE + until * 1000).splitlines()
    assert lines == [b"line %d" % i for i in range(since, min(until, 999) + 1)]


def test_bounds_between_records_of_uneven_length(tmp_path):
    path = tmp_path / "l"
    path.write_bytes(b"".join(record(i * 2, b"x" * (i * 97 % 5000)) for i in range(300)))
    for since in range(0, 610, 13):
        got = len(text(path, since=BASE + since * 1000).splitlines())
        assert got == sum(1 for i in range(300) if i * 2 >= since)


def test_rotated_files_come_first_and_compressed_ones_are_unpacked(tmp_path):
    path = tmp_path / "l"
    (tmp_path / "l.2.gz").write_bytes(gzip.compress(record(1, b"1") + record(2, b"2")))
    (tmp_path / "l.1").write_bytes(record(3, b"3"))
    path.write_bytes(record(4, b"4"))
    assert text(path) == b"1\n2\n3\n4\n"
    assert text(path, tail=3) == b"2\n3\n4\n"
    assert text(path, since=BASE + 2000, until=BASE + 3000) == b"2\n3\n"
    path.unlink()
    assert text(path) == b"1\n2\n3\n"


def test_no_file_is_an_empty_log(tmp_path):
    assert read(tmp_path / "none") == []


def drain(reader):
    result = b""
    while chunks := reader.read():
        result += b"".join(data for _, data in chunks)
    return result


def test_follow_over_rotations(tmp_path):
    path = tmp_path / "l"
    path.write_bytes(record(1, b"a") + record(2, b"b")[:20])
    with LogReader(str(path), LogQuery(tail=5), follow=True) as reader:
        assert drain(reader) == b"a\n"
        with path.open("ab") as file:
            file.write(record(2, b"b")[20:])
        assert drain(reader) == b"b\n"
        os.rename(path, tmp_path / "l.1")
        with (tmp_path / "l.1").open("ab") as file:
            file.write(record(3, b"c"))
        assert drain(reader) == b"c\n"
        with (tmp_path / "l.1").open("ab") as file:
            file.write(record(4, b"d"))
        os.rename(tmp_path / "l.1", tmp_path / "l.2")
        (tmp_path / "l.1").write_bytes(record(5, b"e"))
        path.write_bytes(record(6, b"f"))
        assert drain(reader) == b"d\ne\nf\n"
        assert reader.read() == []


def test_follow_from_before_the_first_file(tmp_path):
    path = tmp_path / "l"
    with LogReader(str(path), LogQuery(), follow=True) as reader:
        assert reader.read() == []
        path.write_bytes(record(1, b"a"))
        assert drain(reader) == b"a\n"


def test_follow_ends_at_until(tmp_path):
    path = tmp_path / "l"
    path.write_bytes(record(1, b"a"))
    with LogReader(str(path), LogQuery(since=BASE + 2000, until=BASE + 3000), follow=True) as reader:
        assert reader.read() == []
        with path.open("ab") as file:
            file.write(b"".join(record(i, b"%d" % i) for i in range(2, 6)))
        assert drain(reader) == b"2\n3\n"
        assert reader.read() is None


def stream_lines(stream):
    result = []
    while records := stream.next_block():
        result += [record[45:] for record in records]
    return result


def test_stream_goes_on_at_a_position(tmp_path):
    path = tmp_path / "l"
    path.write_bytes(record(1, b"a") + record(2, b"b"))
    first = RecordStream(str(path), LogQuery(), follow=True)
    assert stream_lines(first) == [b"a", b"b"]
    position = first.position
    first.close()
    with path.open("ab") as file:
        file.write(record(3, b"c"))
    os.rename(path, tmp_path / "l.1")
    path.write_bytes(record(4, b"d"))
    second = RecordStream(str(path), LogQuery(), follow=True, start=position)
    assert stream_lines(second) == [b"c", b"d"]
    second.close()


def test_stream_position_in_a_file_that_was_compressed(tmp_path):
    path = tmp_path / "l"
    path.write_bytes(record(1, b"a"))
    first = RecordStream(str(path), LogQuery(), follow=True)
    assert stream_lines(first) == [b"a"]
    position = first.position
    first.close()
    (tmp_path / "l.1.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    second = RecordStream(str(path), LogQuery(), follow=True, start=position)
    assert stream_lines(second) == []
    path.write_bytes(b"")
    assert stream_lines(second) == []
    path.write_bytes(record(2, b"b"))
    assert stream_lines(second) == [b"b"]
    # The file has perhaps got the old one's number; the time of its first record tells them apart.
    third = RecordStream(str(path), LogQuery(), start=position)
    assert stream_lines(third) == [b"b"]
    second.close()
    third.close()


def test_slow_follower_of_deleted_and_compressed_files(tmp_path):
    path = tmp_path / "l"
    path.write_bytes(record(1, b"a"))
    with LogReader(str(path), LogQuery(), follow=True) as reader:
        assert drain(reader) == b"a\n"
        path.unlink()
        (tmp_path / "l.3.gz").write_bytes(gzip.compress(record(0, b"0") + record(1, b"a")))
        (tmp_path / "l.2.gz").write_bytes(gzip.compress(record(2, b"b")))
        (tmp_path / "l.1").write_bytes(record(3, b"c"))
        path.write_bytes(record(4, b"d"))
        assert drain(reader) == b"b\nc\nd\n"


def test_streams_do_not_mix_within_a_line(tmp_path):
    path = tmp_path / "l"
    path.write_bytes(
        record(1, b"un", full=False) + record(2, b"e1", 2) + record(3, b"finished ", full=False) + record(4, b"e2", 2)
    )
    assert read(path) == [(2, b"e1\n"), (2, b"e2\n"), (1, b"unfinished ")]
    assert read(path, whole_lines=False) == [(1, b"un"), (2, b"e1\n"), (1, b"finished "), (2, b"e2\n")]
    with path.open("ab") as file:
        file.write(record(5, b"line") + record(6, b"next"))
    assert read(path)[2:] == [(1, b"unfinished line\nnext\n")]


def test_long_line_is_not_kept_back(tmp_path):
    path = tmp_path / "l"
    path.write_bytes(b"".join(record(i, b"x" * 8192, full=False) for i in range(3)))
    with LogReader(str(path), LogQuery(), follow=True) as reader:
        assert drain(reader) == b"x" * 3 * 8192
        with path.open("ab") as file:
            file.write(record(5, b"y", full=False))
        assert drain(reader) == b""
        assert reader.rest() == [(1, b"y")]


def test_tail_of_a_line_that_a_rotation_cut(tmp_path):
    (tmp_path / "l.1").write_bytes(record(1, b"x") + record(2, b"a", full=False))
    (tmp_path / "l").write_bytes(record(3, b"b"))
    assert text(tmp_path / "l", tail=1) == b"ab\n"


def test_compressed_files_are_unpacked_only_when_needed(tmp_path, monkeypatch):
    path = tmp_path / "l"
    (tmp_path / "l.2.gz").write_bytes(gzip.compress(record(1, b"1")))
    (tmp_path / "l.1.gz").write_bytes(gzip.compress(record(1, b"x") + record(2, b"2")))
    path.write_bytes(record(3, b"3") + record(4, b"4"))
    unpacked = []
    unpack = logfile._unpack
    monkeypatch.setattr(logfile, "_unpack", lambda fd, name: unpacked.append(name[-4:]) or unpack(fd, name))
    assert text(path, tail=1) == b"4\n"
    assert text(path, since=BASE + 3500) == b"4\n"
    assert unpacked == []
    assert text(path, tail=3) == b"2\n3\n4\n"
    assert "2.gz" not in unpacked
    assert text(path) == b"1\nx\n2\n3\n4\n"


def test_position_among_records_of_one_time_in_a_compressed_file(tmp_path):
    path = tmp_path / "l"
    path.write_bytes(b"".join(record(number // 10, b"%d" % number) for number in range(15)))
    first = RecordStream(str(path), LogQuery(), follow=True)
    assert len(stream_lines(first)) == 15
    position = first.position
    first.close()
    assert (position.time, position.same) == (BASE + 1000, 5)
    with path.open("ab") as file:
        file.write(b"".join(record(number // 10, b"%d" % number) for number in range(15, 25)))
    (tmp_path / "l.1.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    path.write_bytes(record(9, b"end"))
    second = RecordStream(str(path), LogQuery(), start=position)
    assert stream_lines(second) == [*(b"%d" % number for number in range(15, 25)), b"end"]
    second.close()


def test_slow_follower_of_a_file_that_was_trimmed(tmp_path):
    path = tmp_path / "l"
    path.write_bytes(b"".join(record(number, b"%d" % number) for number in range(5)))
    with LogReader(str(path), LogQuery(), follow=True) as reader:
        assert drain(reader) == b"0\n1\n2\n3\n4\n"
        path.rename(tmp_path / "l.old")  # its name is taken by a shorter copy
        (tmp_path / "l.1").write_bytes(b"".join(record(number, b"%d" % number) for number in range(3, 5)))
        path.write_bytes(record(5, b"5"))
        assert drain(reader) == b"5\n"
