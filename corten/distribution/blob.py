"""A blob on its way from a registry."""

import re
from types import TracebackType

from corten import errors
from corten.distribution.answer import Answer
from corten.distribution.failure import Unreachable
from corten.oci.manifest import Descriptor

_RANGE = re.compile(r"[0-9]{1,18}-[0-9]{1,18}/([0-9]{1,18}|\*)")


class BlobStream:
    """Bytes of one blob from ``offset`` to its end; a context manager. Their digest is the reader's to check.

    ``offset`` is 0 where the server ignored the range that was asked for.
    """

    def __init__(self, answer: Answer, descriptor: Descriptor, offset: int) -> None:
        self.offset = offset
        self.descriptor = descriptor
        self._answer = answer
        self._left = descriptor.size - offset

    @property
    def left(self) -> int:
        """Bytes that are still to come."""
        return self._left

    def read(self, size: int) -> bytes:
        """Up to *size* bytes, as many as that until the last; b"" at the end.

        Raises Unreachable when the stream breaks off or crawls, DataLoss when it goes on after the blob's end.
        """
        if not self._left:
            self._finish()
            return b""
        data = self._answer.read(min(size, self._left))
        if not data:
            text = f"unexpected EOF: {self._left} of {self.descriptor.size} bytes are missing"
            raise Unreachable(self._answer.method, self._answer.url, text, None)
        self._left -= len(data)
        return data

    def _finish(self) -> None:
        if not self._answer.response.closed and self._answer.read(1):
            self._answer.close()
            raise errors.DataLoss(
                f"{self.descriptor.digest}: the registry sends more than {self.descriptor.size} bytes"
            )
        self.close()

    def abort(self) -> None:
        """From any thread: the reader's ``read`` fails now."""
        self._answer.abort()

    def close(self) -> None:
        """The connection is kept for the next request when everything was read."""
        if self._left:
            self._answer.close()
        else:
            self._answer.discard()

    def __enter__(self) -> "BlobStream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def opened(answer: Answer, descriptor: Descriptor, offset: int) -> BlobStream:
    """The stream of an answer to a request for the bytes from *offset*. DataLoss when the answer is about another
    blob than *descriptor*'s: its length, or the range's total, says so."""
    try:
        start = _start(answer, descriptor, offset)
        expected = descriptor.size - start
        if answer.length is not None and answer.length != expected and not answer.header("Content-Encoding"):
            raise errors.DataLoss(
                f"{descriptor.digest}: the registry has {answer.length} bytes where {expected} were expected"
            )
        if answer.header("Content-Encoding") not in ("", "identity"):
            raise errors.DataLoss(f"{descriptor.digest}: the registry sends an encoded body that nobody asked for")
    except BaseException:
        answer.close()
        raise
    return BlobStream(answer, descriptor, start)


def _start(answer: Answer, descriptor: Descriptor, offset: int) -> int:
    if answer.status == 200:
        return 0
    unit, _, rest = answer.header("Content-Range").partition(" ")
    positions, _, total = rest.partition("/")
    first, _, last = positions.partition("-")
    if unit.lower() != "bytes" or not _RANGE.fullmatch(rest):
        raise errors.DataLoss(f"{descriptor.digest}: the registry gave a partial answer without a valid range")
    whole = descriptor.size if total == "*" else int(total)
    if int(first) != offset or int(last) != descriptor.size - 1 or whole != descriptor.size:
        raise errors.DataLoss(
            f"{descriptor.digest}: asked for the bytes from {offset} of {descriptor.size}, the registry gave {rest}"
        )
    return offset
