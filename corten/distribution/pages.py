"""Lists that come in pages: ``Link: <URL>; rel="next"`` (distribution-spec, section Listing Tags)."""

import re
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from corten import errors
from corten.distribution.session import Session
from corten.distribution.url import Url

T = TypeVar("T")

MAX_PAGES = 10_000
MAX_PAGE = 8 << 20
_LINK = re.compile(r'<([^<>]*)>\s*;[^,<]*\brel="?next"?', re.IGNORECASE)


def read(session: Session, path: str, scopes: tuple[str, ...]) -> Iterator[bytes]:
    """The pages' bytes. A page of another server than the registry is refused: it would be asked in our name."""
    url: Url | None = session.url(path)
    for _ in range(MAX_PAGES):
        assert url is not None
        answer = session.request("GET", url, scopes)
        link = _LINK.search(answer.header("Link"))
        yield answer.document(MAX_PAGE, session.config.document_timeout)
        if link is None:
            return
        following = url.join(link[1], "next page")
        if following.origin != url.origin:
            raise errors.Forbidden(
                f"{url.origin.netloc} gave a next page at {following.origin.netloc}, which is another server: refused"
            )
        if following == url:
            return
        url = following
    raise errors.Exhausted(f"{session.endpoint.origin.netloc} lists more than {MAX_PAGES} pages")


def decode(data: bytes, kind: type[T], session: Session) -> T:
    """One page's document."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.InvalidArgument(f"{session.endpoint.origin.netloc} gave an invalid list: {error}") from error
