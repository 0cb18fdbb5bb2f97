"""Reading a container's log: bytes of the streams out of conmon's file and its rotated predecessors.

A reader opens all files at once, so a rotation that happens meanwhile takes nothing from it; when it follows, it finds
the next file by inode.
"""

import logging
import os
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import takewhile
from typing import Self

from corten.model.base import Value
from corten.runtime import logfile
from corten.runtime.logfile import LogFile, Tail, close_all, open_files
from corten.runtime.logformat import Chunk, Formatter, LogQuery
from corten.wire import logline

__all__ = ["Chunk", "LogQuery", "LogReader", "Position", "RecordStream"]

log = logging.getLogger(__name__)


class Position(Value, frozen=True):
    """A place in a log that survives rotations: a file, an offset in it and the time of what precedes.

    A file is known by its number and the time of its first record, as numbers of deleted files are used again. ``same``
    of the records before the place have ``time``: conmon gives one time to all that it reads at once.
    """

    device: int = 0
    inode: int = 0
    first_time: int = 0
    offset: int = 0
    time: int = 0
    same: int = 0


class RecordStream:
    """The records of a log's files in order, in blocks; with *follow* it goes on to files that appear later."""

    def __init__(self, path: str, query: LogQuery, *, follow: bool = False, start: Position | None = None) -> None:
        self._path = path
        self._follow = follow
        self._rest = b""
        self._time, self._same = (start.time, start.same) if start else (0, 0)
        self._files = open_files(path)
        try:
            first = self._skip_to(start) if start is not None else 0
            self._spans = _wanted_spans(self._files, query)
            if first:
                self._spans[0] = (min(first, self._spans[0][1]), self._spans[0][1])
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the files; may be called twice."""
        files, self._files = self._files, []
        close_all(files)

    @property
    def position(self) -> Position:
        """The place after the last block that was returned."""
        if not self._files:
            return Position()
        device, inode = self._files[0].inode
        return Position(
            device=device,
            inode=inode,
            first_time=self._files[0].first_time,
            offset=self._spans[0][0] - len(self._rest),
            time=self._time,
            same=self._same,
        )

    def _remember(self, records: list[bytes]) -> None:
        """Keep the time of the last record, and how many of the last ones have it."""
        stamp = records[-1][: logline.TIME_WIDTH]
        try:
            time = logline.time_of(stamp)
        except ValueError:
            return
        same = sum(1 for _ in takewhile(lambda record: record.startswith(stamp), reversed(records)))
        self._same = self._same + same if same == len(records) and time == self._time else same
        self._time = time

    def next_block(self) -> list[bytes] | None:
        """The whole records of the next block; ``[]`` when the live file has no more yet; None at the end."""
        while True:
            if not self._files and not (self._follow and self._advance()):
                return [] if self._follow else None
            file, (start, end) = self._files[0], self._spans[0]
            live = self._follow and len(self._files) == 1
            if start >= end and not live:
                self._drop_first()
                continue
            data = os.pread(file.descriptor, logfile.BLOCK if live else min(logfile.BLOCK, end - start), start)
            if data:
                self._spans[0] = (start + len(data), end)
                records = (self._rest + data).split(b"\n")
                self._rest = records.pop()
                if records:
                    self._remember(records)
                    return records
            elif not live:
                self._drop_first()
            elif not self._advance():
                return []

    @property
    def pending(self) -> int:
        """Bytes of the file read now that ``next_block`` has not seen."""
        return self._files[0].size - self._spans[0][0] if self._files else 0

    def _drop_first(self) -> None:
        self._files.pop(0).close()
        self._spans.pop(0)
        self._rest = b""

    def _skip_to(self, start: Position) -> int:
        """Leave out the files before *start*; where it is in the first one that stays."""
        found = [index for index, file in enumerate(self._files) if _is_in(start, file)]
        count, offset = (found[0], start.offset) if found else _first_unseen(self._files, start.time, start.same)
        close_all(self._files[:count])
        del self._files[:count]
        return offset if self._files else 0

    def _advance(self) -> bool:
        """Go on to the file that conmon writes after the one read so far; False while that is still the live one."""
        current = self._files[0] if self._files else None
        if current is not None:
            if not self._has_successor(current):
                return False
            # conmon closes a file before the next one gets its name, so one more look sees all of the old file.
            if current.size > self._spans[0][0]:
                return True
        files, offset = self._newer_files(current)
        if not files:
            return False
        if current is not None:
            self._drop_first()
        self._files = files
        self._spans = [(0, file.size) for file in files]
        self._spans[0] = (offset, files[0].size)
        return True

    def _has_successor(self, current: LogFile) -> bool:
        try:
            status = os.stat(self._path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (status.st_dev, status.st_ino) != current.inode

    def _newer_files(self, current: LogFile | None) -> tuple[list[LogFile], int]:
        """The files after *current*, and where what is new starts in the first of them."""
        files = open_files(self._path)
        inodes = [file.inode for file in files]
        if current is not None and current.inode in inodes:
            count, offset = inodes.index(current.inode) + 1, 0
        else:
            # A slow reader: its file has been deleted or compressed since. Times tell what it has not seen.
            count, offset = _first_unseen(files, self._time, self._same)
        close_all(files[:count])
        return files[count:], offset


def _is_in(position: Position, file: LogFile) -> bool:
    return (position.device, position.inode) == file.inode and position.first_time == file.first_time


def _first_unseen(files: list[LogFile], time: int, same: int) -> tuple[int, int]:
    """Index of the file and offset in it where a reader goes on that saw *same* records of *time* last."""
    older = [index for index, file in enumerate(files) if 0 < file.first_time <= time]
    if not older:
        return 0, 0
    file = files[older[-1]]
    return older[-1], file.after(time, same, file.whole_end)


def _wanted_spans(files: list[LogFile], query: LogQuery) -> list[tuple[int, int]]:
    """For each file the bytes that *query* wants. When following, the last one's end is open.

    From the newest file back; files before the first one that is needed are not looked at.
    """
    tail = Tail(query.tail)
    spans: list[tuple[int, int]] = []
    needed = True
    for file in reversed(files):
        start = end = 0
        if needed:
            end = file.whole_end
            if query.tail >= 0:
                start = file.start_of_tail(tail, end)
            if query.since:
                start = max(start, file.first_at_or_after(query.since, end))
            if query.until:
                end = file.first_at_or_after(query.until + 1, end)
            needed = not tail.full and not 0 < file.first_time < query.since
        spans.append((start, end))
    return spans[::-1]


class LogReader:
    """One reading of a log, block by block. Close it.

    Without *follow* it ends at what was there when it was opened. With it, ``read`` answers ``[]`` whenever everything
    written so far has been read, and it is the caller who ends.
    """

    def __init__(self, path: str, query: LogQuery, *, follow: bool = False) -> None:
        self._path = path
        self._query = query
        self._follow = follow
        self._formatter = Formatter(query)
        self._stream = RecordStream(path, query, follow=follow)
        self._finished = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files, after a ``read`` in another thread; may be called twice."""
        with self._lock:
            self._finished = True
            self._stream.close()

    @property
    def pending(self) -> int:
        """Bytes written to the file read now that ``read`` has not seen."""
        return self._stream.pending

    def __iter__(self) -> Iterator[Chunk]:
        while chunks := self.read():
            yield from chunks

    def read(self) -> list[Chunk] | None:
        """The next block's chunks; ``[]`` when there is nothing new yet (only with *follow*); None at the end."""
        with self._lock:
            return self._read()

    def _read(self) -> list[Chunk] | None:
        while not self._finished:
            records = self._stream.next_block()
            if records is None:
                break
            if not records:
                return []
            if self._follow:
                records = self._within_bounds(records)
            if chunks := self._formatter.chunks(records):
                return chunks
        return self._formatter.rest() or None

    def rest(self) -> list[Chunk]:
        """What was kept back of unfinished lines, for who ends a following."""
        with self._lock:
            return self._formatter.rest()

    def _within_bounds(self, records: list[bytes]) -> list[bytes]:
        """What of a followed block is inside ``since`` and ``until``; past ``until`` the reading is finished."""
        query = self._query
        try:
            if query.since and logline.time_of(records[0]) < query.since:
                records = records[bisect_left(records, query.since, key=logline.time_of) :]
            if query.until and records and logline.time_of(records[-1]) > query.until:
                records = records[: bisect_right(records, query.until, key=logline.time_of)]
                self._finished = True
        except ValueError:
            log.warning("a damaged record in %s: time bounds are not applied to its block", self._path)
        return records
