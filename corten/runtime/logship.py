"""Shipping a container's lines from the local file to where a remote driver sends them.

The place up to which lines have been sent is kept in a file beside the log, so that a new daemon goes on there. It is
written after a batch was handed over: after a crash a few lines may be sent twice, none is left out. Over TCP and TLS
what the kernel still held when the other side broke the connection is lost, as with any syslog client.
"""

import logging
import os
import threading

import msgspec

from corten.runtime.logdrivers.registry import LogPlan, Sender
from corten.runtime.logdrivers.tag import Source
from corten.runtime.logformat import LogQuery
from corten.runtime.logs import Position, RecordStream
from corten.wire import logline
from corten.wire.logline import LogLine

MAX_LINE = 16 * 1024
"""Longer lines are sent in pieces, as Docker does."""

log = logging.getLogger(__name__)


class LineJoiner:
    """Puts the pieces of lines together again, up to ``MAX_LINE`` bytes."""

    def __init__(self) -> None:
        self._open: dict[int, LogLine] = {}

    @property
    def empty(self) -> bool:
        """Whether no line is unfinished."""
        return not self._open

    def lines(self, records: list[bytes]) -> list[LogLine]:
        """The lines that *records* finish; damaged records are left out."""
        result = []
        for record in records:
            try:
                piece = logline.parse(record)
            except ValueError:
                log.warning("a damaged record in a log is not shipped")
                continue
            before = self._open.pop(piece.stream, None)
            if before is not None:
                piece = before._replace(full=piece.full, text=before.text + piece.text)
            if piece.full or len(piece.text) >= MAX_LINE:
                result.append(piece)
            else:
                self._open[piece.stream] = piece
        return result

    def rest(self) -> list[LogLine]:
        """What is unfinished, at the end."""
        lines = sorted(self._open.values())
        self._open.clear()
        return lines


class Shipper:
    """Ships one container's log. Plain blocking code; ``close`` waits for a step in another thread."""

    def __init__(self, path: str, plan: LogPlan, source: Source) -> None:
        self._lock = threading.Lock()
        self._position_path = f"{path}.position"
        self._plan = plan
        self._source = source
        self._sender: Sender | None = None
        self._joiner = LineJoiner()
        self._unsent: list[LogLine] = []
        self._saved = load_position(self._position_path)
        self._stream = RecordStream(path, LogQuery(), follow=True, start=self._saved)

    def step(self) -> bool:
        """Send the next batch; False when everything written so far has been sent. OSError: try again later."""
        with self._lock:
            if not self._unsent:
                records = self._stream.next_block()
                if not records:
                    return False
                self._unsent = self._joiner.lines(records)
            self._send()
            return True

    def finish(self) -> None:
        """Send what is left of an unfinished line. OSError as ``step``."""
        with self._lock:
            if not self._unsent:
                self._unsent = self._joiner.rest()
            self._send()

    def close(self) -> None:
        """Close connection and files; may be called twice."""
        with self._lock:
            self._disconnect()
            self._stream.close()

    def _send(self) -> None:
        if self._unsent:
            try:
                if self._sender is None:
                    self._sender = self._plan.connect(self._source)
                self._sender.send(self._unsent)
            except OSError:
                self._disconnect()
                raise
            self._unsent = []
        if self._joiner.empty and self._stream.position != self._saved:
            self._saved = self._stream.position
            save_position(self._position_path, self._saved)

    def _disconnect(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.close()


def load_position(path: str) -> Position | None:
    """The saved place; None (start at the beginning) when there is none or it is damaged."""
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(4096), type=Position)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        log.warning("%s is damaged, the log is shipped from its beginning: %s", path, error)
        return None


def save_position(path: str, position: Position) -> None:
    """Replace the saved place; a container that is being removed has no directory for it any more."""
    temporary = f"{path}.tmp"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError:
        return
    try:
        os.write(descriptor, msgspec.json.encode(position))
    finally:
        os.close(descriptor)
    try:
        os.rename(temporary, path)
    except FileNotFoundError:
        return
