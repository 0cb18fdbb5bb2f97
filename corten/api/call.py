"""One request, as handlers see it."""

import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from corten import errors
from corten.api.errors import TooLarge
from corten.api.versions import Version

if TYPE_CHECKING:
    from corten.api.backend import Backend
    from corten.api.connection import Connection, Stream
    from corten.api.hijack import HijackedPeer

MAX_JSON = 8 << 20
"""Bound of a JSON body in bytes; container configurations are a few KiB."""
MAX_QUERY_FIELDS = 1000
_FALSE = frozenset(("", "0", "no", "false", "none"))
_INTEGER = re.compile(r"[+-]?[0-9]{1,25}")
_INT64 = 1 << 63
_decode = msgspec.json.Decoder().decode


class Call:
    """A request with its path parameters in ``params`` and the wanted API ``version``."""

    __slots__ = (
        "_body",
        "_query",
        "backend",
        "connection",
        "headers",
        "method",
        "params",
        "path",
        "raw_query",
        "version",
    )

    def __init__(
        self,
        connection: "Connection",
        backend: "Backend",
        method: str,
        path: str,
        raw_query: str,
        headers: list[tuple[bytes, bytes]],
        version: Version,
        params: dict[str, str],
    ) -> None:
        self.connection = connection
        self.backend = backend
        self.method = method
        self.path = path
        self.raw_query = raw_query
        self.headers = headers
        self.version = version
        self.params = params
        self._query: dict[str, list[str]] | None = None
        self._body: bytes | None = None

    # headers

    def header(self, name: bytes) -> str:
        """The value of header *name* (lower case), "" without it; refused when it came more than once."""
        values = [value for key, value in self.headers if key == name]
        if len(values) > 1:
            raise errors.InvalidArgument(f"header {name.decode()} given more than once")
        return values[0].decode("latin-1") if values else ""

    # query

    @property
    def query(self) -> dict[str, list[str]]:
        found = self._query
        if found is None:
            found = self._query = {}
            if self.raw_query:
                try:
                    pairs = parse_qsl(self.raw_query, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
                except ValueError as error:
                    raise errors.InvalidArgument(f"invalid query: {error}") from error
                for key, value in pairs:
                    found.setdefault(key, []).append(value)
        return found

    def text(self, name: str, default: str = "") -> str:
        """The first value of query parameter *name*."""
        if not self.raw_query:
            return default
        values = self.query.get(name)
        return values[0] if values else default

    def texts(self, name: str) -> list[str]:
        return self.query.get(name, []) if self.raw_query else []

    def flag(self, name: str, default: bool = False) -> bool:
        """Docker's truth: everything but "", 0, no, false and none."""
        if not self.raw_query:
            return default
        values = self.query.get(name)
        return default if values is None else values[0].strip().lower() not in _FALSE

    def number(self, name: str, default: int | None = None) -> int | None:
        """An integer parameter of 64 bits; *default* when absent or empty."""
        text = self.text(name).strip()
        if not text:
            return default
        if not _INTEGER.fullmatch(text) or not -_INT64 <= (number := int(text)) < _INT64:
            raise errors.InvalidArgument(f'invalid value for {name}: "{text[:40]}" is not an integer of 64 bits')
        return number

    # body

    async def json(self) -> dict[str, Any] | None:
        """The body as a JSON object, None when there is no body (or it is null).

        Raises InvalidArgument for another content type, for what is no object and for anything after it.
        """
        value = await self.json_value()
        if value is None or isinstance(value, dict):
            return value
        raise errors.InvalidArgument("invalid JSON: the body must be an object")

    async def json_value(self) -> Any:
        content_type = self.header(b"content-type")
        body = await self.body(MAX_JSON)
        if content_type or body:
            media = content_type.split(";", 1)[0].strip().lower()
            if media != "application/json" and (body or self.connection.has_body):
                raise errors.InvalidArgument(
                    f"unsupported Content-Type header ({content_type}): must be 'application/json'"
                )
        if not body.strip():
            return None
        try:
            return _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            text = str(error)
            if "trailing characters" in text:
                raise errors.InvalidArgument("unexpected content after JSON") from error
            raise errors.InvalidArgument(f"invalid JSON: {text}") from error
        except RecursionError as error:
            raise errors.InvalidArgument("invalid JSON: nested too deeply") from error

    async def body(self, limit: int) -> bytes:
        """The whole body, also when asked for again; raises TooLarge (413) over *limit* bytes."""
        if self._body is None:
            self._body = await self._read_body(limit)
        if len(self._body) > limit:
            raise TooLarge(f"request body is larger than {limit} bytes")
        return self._body

    async def read(self) -> None:
        """Take in the body of a JSON request, whatever is in it. Raises TooLarge and Malformed."""
        await self.body(MAX_JSON)

    async def _read_body(self, limit: int) -> bytes:
        connection = self.connection
        if not connection.has_body:
            return b""
        parts: list[bytes] = []
        size = 0
        while data := await connection.read_body():
            size += len(data)
            if size > limit:
                raise TooLarge(f"request body is larger than {limit} bytes")
            parts.append(data)
        return b"".join(parts) if len(parts) != 1 else parts[0]

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, with back-pressure. Raises Malformed when the client breaks off."""
        while data := await self.connection.read_body():
            yield data

    # answers in parts

    def stream(self, content_type: str, headers: dict[str, str] | None = None, status: int = 200) -> "Stream":
        """Send the head of a chunked answer now; the caller writes the parts and the server ends it."""
        return self.connection.start_stream(status, content_type, headers)

    async def hijack(self, multiplexed: bool, content_type: str) -> "HijackedPeer":
        """Take the connection over for raw bytes. Answers 101 to a client that asked to upgrade, else 200."""
        await self.body(MAX_JSON)
        return self.connection.hijack(multiplexed, content_type, bool(self.header(b"upgrade")))
