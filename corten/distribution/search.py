"""``docker search``: the first registry protocol's ``/v1/search``, which Docker Hub and some others still offer."""

from urllib.parse import urlencode

import msgspec

from corten import errors
from corten.distribution.failure import Answered
from corten.distribution.session import Session
from corten.oci.reference import DEFAULT_DOMAIN

MAX_RESULTS = 100
DEFAULT_RESULTS = 25
MAX_REPLY = 8 << 20


class SearchResult(msgspec.Struct, frozen=True):
    """One found repository, its fields as the index has them."""

    name: str = ""
    description: str = ""
    star_count: int = 0
    is_official: bool = False
    is_automated: bool = False


class _Reply(msgspec.Struct):
    results: list[SearchResult] | None = None


def split(term: str) -> tuple[str, str]:
    """(registry's domain, what to look for): "reg.example.com:5000/web" → ("reg.example.com:5000", "web")."""
    if "://" in term:
        raise errors.InvalidArgument(f"invalid repository name: repository name ({term}) may not contain '://'")
    head, slash, rest = term.partition("/")
    if not slash or not ("." in head or ":" in head or head == "localhost"):
        return DEFAULT_DOMAIN, term
    if head in ("docker.io", "index.docker.io"):
        return DEFAULT_DOMAIN, rest
    return head, rest


def check_limit(limit: int) -> int:
    """0 stands for the default. InvalidArgument outside of 1 to 100."""
    if limit == 0:
        return DEFAULT_RESULTS
    if not 1 <= limit <= MAX_RESULTS:
        raise errors.InvalidArgument(f"limit {limit} is outside the range of [1, {MAX_RESULTS}]")
    return limit


def search(session: Session, term: str, limit: int, filters: dict[str, list[str]]) -> list[SearchResult]:
    """Ask the index and apply *filters* (``is-official``, ``is-automated``, ``stars``)."""
    limit = check_limit(limit)
    wanted = Wanted.parse(filters)
    query = urlencode({"q": term.removeprefix("library/"), "n": limit})
    try:
        answer = session.request("GET", f"/v1/search?{query}", (), headers={"X-Docker-Token": "true"})
    except Answered as error:
        if error.status == 401:
            raise errors.Unauthenticated(str(error)) from error
        raise errors.Unavailable(f"Unexpected status code {error.status}") from error
    data = answer.document(MAX_REPLY, session.config.document_timeout)
    try:
        reply = msgspec.json.decode(data, type=_Reply)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.Unavailable(f"error decoding registry search results: {error}") from error
    return [result for result in reply.results or () if wanted.has(result)]


class Wanted(msgspec.Struct, frozen=True):
    """The filters; None lets everything through."""

    official: bool | None = None
    automated: bool | None = None
    stars: int = 0

    @classmethod
    def parse(cls, filters: dict[str, list[str]]) -> "Wanted":
        stars = 0
        for text in filters.get("stars", []):
            if not (text.isascii() and text.isdigit() and len(text) < 19):
                raise errors.InvalidArgument(f"invalid filter 'stars=[{text}]'")
            stars = max(stars, int(text))
        return cls(_truth(filters, "is-official"), _truth(filters, "is-automated"), stars)

    def has(self, result: SearchResult) -> bool:
        return (
            (self.official is None or result.is_official == self.official)
            and (self.automated is None or result.is_automated == self.automated)
            and result.star_count >= self.stars
        )


def _truth(filters: dict[str, list[str]], name: str) -> bool | None:
    values = filters.get(name, [])
    if not values:
        return None
    if values[0] in ("true", "1", "false", "0") and len(set(values)) == 1:
        return values[0] in ("true", "1")
    raise errors.InvalidArgument(f"invalid filter '{name}={values}'")
