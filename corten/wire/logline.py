"""Lines of a container's log file: conmon's k8s-file format.

A record is ``TIMESTAMP STREAM TAG TEXT\\n``. The timestamp has nanoseconds and a numeric zone and is always 35 bytes
(``2026-01-02T03:04:05.123456789+00:00``), the stream is ``stdout`` or ``stderr``, the tag ``F`` (the text ends a line)
or ``P`` (the line goes on in the stream's next record). So the text starts at byte 45 of every record; the bulk
functions of ``corten.runtime.logs`` rest on that. Source: the log format of the Kubernetes CRI.
"""

import re
import time
from calendar import timegm
from functools import lru_cache
from typing import NamedTuple

STDOUT = 1
STDERR = 2

TIME_WIDTH = 35
TAG = slice(36, 45)
"""Where a record says stream and tag: one of the keys of ``TAGS``."""
TEXT_AT = 45
MAX_TEXT = 64 * 1024
"""No record is longer; conmon cuts at 8 KiB, Corten's own tests at less."""

TAGS: dict[bytes, tuple[int, bool]] = {
    b"stdout F ": (STDOUT, True),
    b"stdout P ": (STDOUT, False),
    b"stderr F ": (STDERR, True),
    b"stderr P ": (STDERR, False),
}

NANOSECOND = 1_000_000_000
_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}[+-]\d\d:\d\d\Z")


class LogLine(NamedTuple):
    """One record. ``time`` is nanoseconds since the epoch; ``full`` says that the text ends its line."""

    time: int
    stream: int
    full: bool
    text: bytes


@lru_cache(maxsize=256)
def _whole_seconds(text: bytes, zone: bytes) -> int:
    seconds = timegm(time.strptime(text.decode("ascii"), "%Y-%m-%dT%H:%M:%S"))
    offset = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
    return seconds + offset if zone.startswith(b"-") else seconds - offset


def time_of(record: bytes) -> int:
    """The time of a record in nanoseconds since the epoch; ValueError if the record does not start with one."""
    stamp = record[:TIME_WIDTH]
    if _STAMP.match(stamp) is None:
        raise ValueError(f"not a log record: {record[:80]!r}")
    return _whole_seconds(stamp[:19], stamp[29:35]) * NANOSECOND + int(stamp[20:29])


@lru_cache(maxsize=256)
def _second_text(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def utc_text(nanoseconds: int) -> bytes:
    """The time as Docker prints it in front of log lines: UTC, always nine digits, ``Z``."""
    seconds, fraction = divmod(nanoseconds, NANOSECOND)
    return f"{_second_text(seconds)}.{fraction:09d}Z".encode("ascii")


@lru_cache(maxsize=256)
def _utc_minute(text: bytes, zone: bytes) -> bytes:
    """A time without its seconds, moved from *zone* to UTC; zones differ by whole minutes."""
    return _second_text(_whole_seconds(text + b":00", zone)).encode("ascii")[:16]


def utc_stamp(record: bytes) -> bytes:
    """The record's own timestamp as Docker prints it; no parsing when it is in UTC already."""
    if record[29:35] == b"+00:00":
        return record[:29] + b"Z"
    return _utc_minute(record[:16], record[29:35]) + record[16:29] + b"Z"


def parse(record: bytes) -> LogLine:
    """One record, without its newline; ValueError when it is not one."""
    tag = TAGS.get(record[TAG])
    if tag is None:
        raise ValueError(f"not a log record: {record[:80]!r}")
    return LogLine(time_of(record), tag[0], tag[1], record[TEXT_AT:])


def render(line: LogLine) -> bytes:
    """The record of a line, with its newline."""
    stamp = utc_text(line.time)[:-1] + b"+00:00"
    stream = b"stdout" if line.stream == STDOUT else b"stderr"
    return b"%b %b %b %b\n" % (stamp, stream, b"F" if line.full else b"P", line.text)
