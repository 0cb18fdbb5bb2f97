"""The files of a container's log: bounds, tail and order, without looking at what the lines say.

The files are ``PATH`` (written by conmon), ``PATH.1`` (the newest rotated one), ``PATH.2`` … and, compressed,
``PATH.N.gz``. ``since`` and ``until`` are found by bisection, for which the times in a file must not decrease; after
the clock was set back, the lines around that moment may be missed or shown.
"""

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from isal import igzip

from corten.wire import logline

BLOCK = 256 * 1024
_PROBE = 2 * (logline.MAX_TEXT + logline.TEXT_AT)


class LogFile:
    """One open file of a log, read by position; the descriptor is this object's.

    A compressed one is unpacked into a nameless file beside it, but only when its content is asked for.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._packed = path.endswith(".gz")
        status = os.fstat(descriptor)
        self.inode = (status.st_dev, status.st_ino)

    @classmethod
    def open(cls, path: str) -> "LogFile | None":
        """The file at *path*, or None when there is none."""
        try:
            return cls(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
        except FileNotFoundError:
            return None

    @property
    def descriptor(self) -> int:
        """Of the content, plain."""
        if self._packed:
            plain = _unpack(self._descriptor, self._path)
            os.close(self._descriptor)
            self._descriptor, self._packed = plain, False
        return self._descriptor

    @property
    def size(self) -> int:
        return os.fstat(self.descriptor).st_size

    @property
    def first_time(self) -> int:
        """The time of the first record; 0 without one."""
        if not self._packed:
            return self._record_after(0, self.size)[1] or 0
        with _packed_stream(self._descriptor) as stream:
            try:
                return logline.time_of(stream.read(logline.TIME_WIDTH))
            except ValueError:
                return 0

    @property
    def whole_end(self) -> int:
        """Where the last whole record ends."""
        end = self.size
        while end > 0:
            size = min(_PROBE, end)
            newline = os.pread(self.descriptor, size, end - size).rfind(b"\n")
            if newline >= 0:
                return end - size + newline + 1
            end -= size
        return 0

    def close(self) -> None:
        os.close(self._descriptor)

    def first_at_or_after(self, wanted: int, end: int) -> int:
        """Offset of the first record, before *end*, whose time is at least *wanted*; *end* when there is none."""
        low, high = 0, end
        while low < high:
            middle = (low + high) // 2
            start, moment = self._record_after(middle, end)
            if moment is None or moment >= wanted:
                high = middle
            else:
                low = start + 1
        return self._record_after(low, end)[0]

    def after(self, time: int, count: int, end: int) -> int:
        """Offset behind the first *count* records of *time*, or of the first record that is later."""
        offset = self.first_at_or_after(time, end)
        for _ in range(count):
            start, moment = self._record_after(offset, end)
            if moment != time:
                break
            offset = self._next_start(start, end)
        return offset

    def start_of_tail(self, tail: "Tail", end: int) -> int:
        """Where the records before *end* start that belong to *tail*, which goes on in the file before if not full.

        *end* is where a record ends.
        """
        offset, rest = end, b""
        while offset > 0:
            size = min(BLOCK, offset)
            block = os.pread(self.descriptor, size, offset - size) + rest
            offset -= size
            records = block.split(b"\n")
            if records[-1] == b"":
                records.pop()
            rest = records.pop(0) + b"\n" if offset else b""
            position = offset + len(rest) + sum(map(len, records)) + len(records)
            for record in reversed(records):
                if tail.stops_before(record):
                    return position
                position -= len(record) + 1
        return 0

    def _next_start(self, offset: int, end: int) -> int:
        """Where the record after the one at *offset* starts; *end* if that is the last."""
        data = os.pread(self.descriptor, min(_PROBE, end - offset), offset)
        newline = data.find(b"\n")
        return end if newline < 0 else offset + newline + 1

    def _record_after(self, offset: int, end: int) -> tuple[int, int | None]:
        """Start and time of the first whole record that starts at or after *offset*; (end, None) without one."""
        start = offset
        if offset:
            start = self._next_start(offset - 1, end)
        while start < end:
            data = os.pread(self.descriptor, min(logline.TIME_WIDTH, end - start), start)
            try:
                return start, logline.time_of(data)
            except ValueError:
                start = self._next_start(start, end)
        return end, None


class Tail:
    """Counts the last *count* lines of a log, from its end backwards.

    A line is what ends with a full record; an unfinished one at the end counts too. Of the oldest line, pieces that lie
    before a line of the other stream are left out.
    """

    def __init__(self, count: int) -> None:
        self.full = False
        """Whether a record was met that is not part of the wanted lines."""
        self._missing = count
        self._open: set[int] = set()

    def stops_before(self, record: bytes) -> bool:
        """Whether *record* is not part of the wanted lines any more; to be asked from the last record on."""
        tag = logline.TAGS.get(record[logline.TAG])
        if tag is None:
            return False
        stream, ends_line = tag
        if ends_line or stream not in self._open:
            if self._missing == 0:
                self.full = True
                return True
            self._missing -= 1
            self._open.add(stream)
        return False


@contextmanager
def _packed_stream(descriptor: int) -> Iterator[Any]:
    """The plain content of an open gzip file, from its beginning."""
    with os.fdopen(os.dup(descriptor), "rb") as packed:
        packed.seek(0)
        with igzip.IGzipFile(fileobj=packed) as stream:  # type: ignore[no-untyped-call]
            yield stream


def _unpack(descriptor: int, path: str) -> int:
    with tempfile.TemporaryFile(dir=os.path.dirname(path) or ".") as plain:
        with _packed_stream(descriptor) as stream:
            while block := stream.read(BLOCK):
                plain.write(block)
        plain.flush()
        return os.dup(plain.fileno())


def open_files(path: str) -> list[LogFile]:
    """The log's files that exist, oldest first.

    They are opened from the live file backwards and gaps are stepped over: a rotation moves a file from one number to
    the next higher one, so a file that it moves meanwhile is met at one of the two.
    """
    files: list[LogFile] = []
    seen: set[tuple[int, int]] = set()
    try:
        for index in range(_highest_number(path) + 2):
            name = path if index == 0 else f"{path}.{index}"
            file = LogFile.open(name) or (LogFile.open(name + ".gz") if index else None)
            if file is None:
                continue
            if file.inode in seen:
                file.close()
                continue
            seen.add(file.inode)
            files.append(file)
    except BaseException:
        close_all(files)
        raise
    files.reverse()
    return files


def _highest_number(path: str) -> int:
    directory, name = os.path.split(path)
    pattern = re.compile(re.escape(name) + r"\.(\d{1,4})(?:\.gz)?\Z")
    try:
        names = os.listdir(directory or ".")
    except FileNotFoundError:
        return 0
    return max((int(match[1]) for match in map(pattern.match, names) if match), default=0)


def close_all(files: Iterable[LogFile]) -> None:
    for file in files:
        file.close()
