"""Heads of requests and answers: what is accepted, what is written. No I/O."""

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote

import h11

from corten.api.errors import Malformed

_BROWSER_HEADERS = frozenset((b"origin", b"sec-fetch-site", b"sec-fetch-mode"))
_FOREIGN_PAGES = frozenset((b"cross-site", b"same-site"))
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class RequestHead(NamedTuple):
    """``path`` is decoded, ``query`` as sent. ``keep_alive``: whether the client would send another request."""

    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    has_body: bool
    keep_alive: bool
    http10: bool


def accept(event: h11.Request, browsers: bool) -> RequestHead:
    """A parsed head, checked for what h11 lets through. Raises Malformed.

    Without *browsers*, requests that look like a web page's are refused: the address is all that protects the API. A
    page of another site is refused everywhere: its browser adds the user's client certificate by itself, and ways to
    forward a unix socket to a port are common (Fetch Metadata, "Sec-Fetch-Site").
    """
    transfer = length = close = False
    for name, value in event.headers:
        if name == b"content-length":
            length = value != b"0"
        elif name == b"transfer-encoding":
            transfer = True
        elif name == b"connection":
            close = close or b"close" in value.lower()
        elif not browsers and (name in _BROWSER_HEADERS or value.startswith(b"Mozilla/")):
            raise Malformed("requests from web browsers are not accepted on this address")
        elif name == b"sec-fetch-site" and value in _FOREIGN_PAGES:
            raise Malformed("requests of a web page from another site are not accepted")
    if transfer and length:
        raise Malformed("both Content-Length and Transfer-Encoding given")
    if event.http_version not in (b"1.0", b"1.1"):
        raise Malformed("only HTTP/1.1 is spoken here")
    http10 = event.http_version == b"1.0"
    path, _, query = _origin_form(event.target.decode("ascii")).partition("?")
    return RequestHead(
        method=event.method.decode("ascii"),
        path=unquote(path) if "%" in path else path,
        query=query,
        headers=list(event.headers),
        has_body=length or transfer,
        keep_alive=not http10 and not close,
        http10=http10,
    )


def _origin_form(target: str) -> str:
    """ "/path?query" also out of an absolute form (RFC 9112, 3.2.2); OPTIONS also has "*", which is "/" here."""
    if target.startswith("/"):
        return target
    scheme, mark, rest = target.partition("://")
    return "/" + rest.partition("/")[2] if mark and scheme.lower() in ("http", "https") else "/"


def answer_head(status: int, common: str, content_type: str, headers: dict[str, str] | None, framing: str) -> bytes:
    """The whole head; *common* and *framing* are lines with their ends."""
    extra = "".join([f"{name}: {_one_line(value)}\r\n" for name, value in headers.items()]) if headers else ""
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    text = f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\n{common}{kind}{extra}Date: {_date()}\r\n{framing}\r\n"
    return text.encode("latin-1", "replace")


def _one_line(value: str) -> str:
    """A value that cannot end its header line."""
    return value.replace("\r", " ").replace("\n", " ")


_date_cache = (0, "")


def _date() -> str:
    global _date_cache
    now = int(time.time())
    if _date_cache[0] != now:
        _date_cache = (now, formatdate(now, usegmt=True))
    return _date_cache[1]
