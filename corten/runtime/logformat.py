"""Log records to the bytes of a container's streams, in bulk.

A block is split once and its prefixes are sliced off in one comprehension; what belongs to one stream leaves as one
chunk. So reading a log costs a quarter of a microsecond per line.
"""

import itertools
import logging
from operator import itemgetter

from corten.model.base import Value
from corten.wire import logline

Chunk = tuple[int, bytes]
"""Stream (1 stdout, 2 stderr) and bytes; may hold many lines."""

MOST_HELD = 16 * 1024
_ONLY_FULL = {logline.STDOUT: {b"stdout F "}, logline.STDERR: {b"stderr F "}}
_ALL_FULL = {b"stdout F ", b"stderr F "}

_letter_of = itemgetter(39)
"""The byte where "stdout" and "stderr" differ first."""
_STREAM = {ord("o"): logline.STDOUT, ord("e"): logline.STDERR}
_LETTER = {stream: letter for letter, stream in _STREAM.items()}

log = logging.getLogger(__name__)


class LogQuery(Value, frozen=True):
    """What of a log is wanted. Times are nanoseconds since the epoch, 0 = no bound, both bounds inclusive.

    ``tail`` counts lines of both streams from the end, as Docker does before any other filter; -1 = all. ``prefix``
    is written in front of each line, after its timestamp (the attributes that ``details`` asks for). ``whole_lines``
    keeps an unfinished line back until it ends or has 16 KiB, as Docker does, so that the streams do not mix within a
    line; a terminal's output, which is one stream, is better shown as it comes.
    """

    stdout: bool = True
    stderr: bool = True
    since: int = 0
    until: int = 0
    tail: int = -1
    timestamps: bool = False
    prefix: bytes = b""
    whole_lines: bool = True


class Formatter:
    """Records to chunks of the streams. Holds the state that spans records: whether a line is unfinished."""

    def __init__(self, query: LogQuery) -> None:
        self._wanted = {
            stream for stream, wanted in ((logline.STDOUT, query.stdout), (logline.STDERR, query.stderr)) if wanted
        }
        self._timestamps = query.timestamps
        self._prefix = query.prefix
        self._decorated = query.timestamps or bool(query.prefix)
        self._most_held = MOST_HELD if query.whole_lines else 0
        self._unfinished = {logline.STDOUT: False, logline.STDERR: False}
        self._held: dict[int, bytes] = {}

    def chunks(self, records: list[bytes]) -> list[Chunk]:
        """The chunks of *records* (complete, without newlines), in order; damaged records are left out."""
        tags = {record[logline.TAG] for record in records}
        if not tags <= logline.TAGS.keys():
            good = [record for record in records if record[logline.TAG] in logline.TAGS]
            log.warning("%d damaged records in a log are left out", len(records) - len(good))
            records = good
            tags &= logline.TAGS.keys()
        streams = {logline.TAGS[tag][0] for tag in tags}
        if not streams & self._wanted:
            return []
        if len(streams) == 1:
            return self._chunk(streams.pop(), records, tags)
        return self._mixed(records, tags)

    def rest(self) -> list[Chunk]:
        """What was kept back of unfinished lines, at the end."""
        chunks = list(self._held.items())
        self._held.clear()
        return chunks

    def _mixed(self, records: list[bytes], tags: set[bytes]) -> list[Chunk]:
        if len(self._wanted) == 1:
            (stream,) = self._wanted
            letter = _LETTER[stream]
            mine = [record for record in records if record[39] == letter]
            return self._chunk(stream, mine, {tag for tag in tags if logline.TAGS[tag][0] == stream})
        result: list[Chunk] = []
        all_full = tags <= _ALL_FULL
        for letter, run in itertools.groupby(records, _letter_of):
            stream = _STREAM[letter]
            lines = list(run)
            result += self._chunk(stream, lines, _ONLY_FULL[stream] if all_full else {line[36:45] for line in lines})
        return result

    def _chunk(self, stream: int, records: list[bytes], tags: set[bytes]) -> list[Chunk]:
        data = self._run(stream, records, tags)
        return [(stream, data)] if data else []

    def _run(self, stream: int, records: list[bytes], tags: set[bytes]) -> bytes:
        """The bytes of records that are all of *stream*."""
        if tags != _ONLY_FULL[stream] or self._unfinished[stream]:
            return self._joined(stream, records)
        if not self._decorated:
            texts = [record[45:] for record in records]
        elif self._timestamps and all(record[29:35] == b"+00:00" for record in records):
            middle = b"Z " + self._prefix
            texts = [record[:29] + middle + record[45:] for record in records]
        else:
            texts = [self._decoration(record) + record[45:] for record in records]
        texts.append(b"")
        return b"\n".join(texts)

    def _joined(self, stream: int, records: list[bytes]) -> bytes:
        """As ``_run`` where some records do not end their line: only a line's first piece is decorated."""
        pieces = [self._held.pop(stream, b"")]
        unfinished = self._unfinished[stream]
        line_at = 0
        for record in records:
            if self._decorated and not unfinished:
                pieces.append(self._decoration(record))
            pieces.append(record[45:])
            unfinished = record[43] != 70  # F
            if not unfinished:
                pieces.append(b"\n")
                line_at = len(pieces)
        self._unfinished[stream] = unfinished
        if 0 < sum(map(len, pieces[line_at:])) < self._most_held:
            self._held[stream] = b"".join(pieces[line_at:])
            del pieces[line_at:]
        return b"".join(pieces)

    def _decoration(self, record: bytes) -> bytes:
        return logline.utc_stamp(record) + b" " + self._prefix if self._timestamps else self._prefix
