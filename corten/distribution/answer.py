"""The answer to one request, read within bounds."""

from contextlib import AbstractContextManager, nullcontext
from http.client import HTTPException

from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from corten import errors
from corten.distribution.connection import Connection
from corten.distribution.failure import Unreachable, describe
from corten.distribution.url import Url

_PART = 64 << 10
LONGEST_READ = 300.0
"""Seconds for one read, however much it asks for: a peer that sends a byte a minute is not waited for."""
DRAINED = 64 << 10
"""An unread rest up to here is read, so that its connection can serve the next request."""


class Answer:
    """Status, headers and a body that is still to be read. ``close`` it, or read it to its end."""

    def __init__(self, method: str, url: Url, response: BaseHTTPResponse) -> None:
        self.method = method
        self.url = url
        self.status = response.status
        self.response = response

    def header(self, name: str) -> str:
        """The value, "" without one; several are joined with commas."""
        return self.response.headers.get(name, "").strip()

    def headers(self, name: str) -> list[str]:
        """Every value of a header that may come more than once."""
        return list(self.response.headers.getlist(name))

    @property
    def length(self) -> int | None:
        """Content-Length, where it is a number."""
        text = self.header("Content-Length")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None

    @property
    def media_type(self) -> str:
        """Content-Type without parameters, in lower case."""
        return self.header("Content-Type").split(";", 1)[0].strip().lower()

    def read(self, size: int) -> bytes:
        """Up to *size* bytes, b"" at the end. Unreachable when the connection breaks or crawls."""
        try:
            with self._limit(LONGEST_READ):
                return self.response.read(size, decode_content=False)
        except (HTTPError, HTTPException, OSError) as error:
            raise Unreachable(self.method, self.url, describe(error, self.url.origin), error) from error

    def document(self, limit: int, seconds: float) -> bytes:
        """The whole body. InvalidArgument over *limit* bytes, Unreachable when it takes longer than *seconds*."""
        if self.length is not None and self.length > limit:
            self.close()
            raise self._too_large(limit)
        found = bytearray()
        try:
            with self._limit(seconds):
                while part := self.read(_PART):
                    found += part
                    if len(found) > limit:
                        raise self._too_large(limit)
        except TimeoutError as error:
            self.close()
            raise Unreachable(self.method, self.url, str(error), error) from error
        except BaseException:
            self.close()
            raise
        self.response.release_conn()
        return bytes(found)

    def _limit(self, seconds: float) -> AbstractContextManager[None]:
        connection: object = self.response.connection
        return connection.limit(seconds) if isinstance(connection, Connection) else nullcontext()

    def _too_large(self, limit: int) -> errors.InvalidArgument:
        return errors.InvalidArgument(f"{self.url.shown} answers with more than {limit} bytes")

    def discard(self) -> None:
        """Done with it: a short rest is skipped, and the connection kept."""
        length = self.length
        if self.method != "HEAD" and (length is None or length > DRAINED):
            self.close()
            return
        try:
            self.document(DRAINED, 5.0)
        except errors.CortenError:
            self.close()

    def close(self) -> None:
        """Done with it, and with its connection."""
        self.response.close()
        self.response.release_conn()

    def abort(self) -> None:
        """From another thread: make the reader stop now."""
        connection: object = self.response.connection
        if isinstance(connection, Connection):
            connection.abort()
