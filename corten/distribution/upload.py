"""A blob on its way to a registry: POST opens an upload, one PUT brings the bytes and closes it (distribution-spec,
Pushing, "POST then PUT"). What a broken PUT has left there is gone on with by a PATCH and closed by an empty PUT.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from corten import errors
from corten.distribution.answer import Answer
from corten.distribution.failure import Answered, Unreachable
from corten.distribution.session import Session
from corten.distribution.url import Url
from corten.oci.manifest import Descriptor

Chunks = Callable[[], Iterator[bytes]]
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,19})")


def send(
    session: Session,
    path: str,
    scopes: tuple[str, ...],
    descriptor: Descriptor,
    chunks: Chunks,
    progress: Callable[[int], None],
) -> None:
    """Upload; a connection that breaks is taken up where the registry says it has got to, or from the start."""
    location: Url | None = None
    offset = 0
    pauses = session.pauses()
    for left in reversed(range(session.config.attempts)):
        try:
            if location is None:
                location, offset = begin(session, path, scopes), 0
            _stream(session, scopes, location, descriptor, chunks, offset, progress)
            return
        except (Unreachable, Answered) as error:
            again = isinstance(error, Unreachable) or error.status in (404, 416, 500, 502, 503, 504)
            if not left or not again or (isinstance(error, Unreachable) and error.refused):
                raise
            session.pause(next(pauses))
            location, offset = _state(session, scopes, location, descriptor)


def begin(session: Session, path: str, scopes: tuple[str, ...]) -> Url:
    """Open an upload; gives where its bytes go."""
    answer = session.request("POST", f"{path}/blobs/uploads/", scopes, body=b"", accept=(202,), follow=False)
    answer.discard()
    return location_of(answer)


def location_of(answer: Answer) -> Url:
    text = answer.header("Location")
    if not text:
        raise errors.InvalidArgument(f"{answer.url.origin.netloc} opened an upload and did not say where")
    return answer.url.join(text, "upload location")


def _stream(
    session: Session,
    scopes: tuple[str, ...],
    location: Url,
    descriptor: Descriptor,
    chunks: Chunks,
    offset: int,
    progress: Callable[[int], None],
) -> None:
    """The bytes from *offset* on, and the end."""

    def rest() -> Iterator[bytes]:
        position = 0
        for chunk in chunks():
            if session.stop.is_set():
                raise errors.Cancelled("the upload was cancelled")
            start = max(0, offset - position)
            position += len(chunk)
            if start < len(chunk):
                yield chunk[start:] if start else chunk
                progress(position)
        if position != descriptor.size:
            raise errors.DataLoss(f"{descriptor.digest} has {position} bytes, its descriptor says {descriptor.size}")

    size = descriptor.size - offset
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    body: dict[str, Any] = {"headers": headers, "chunks": rest}
    if offset:
        if size:
            headers["Content-Range"] = f"{offset}-{descriptor.size - 1}"
            answer = session.request(
                "PATCH", location, scopes, **body, accept=(202, 204, 201), follow=False, attempts=1
            )
            answer.discard()
            location = location_of(answer)
        body = {"body": b""}
    mark = "&" if "?" in location.target else "?"
    closing = Url(location.origin, f"{location.target}{mark}digest={quote(descriptor.digest, safe='')}")
    answer = session.request("PUT", closing, scopes, **body, accept=(201, 204, 202, 200), follow=False, attempts=1)
    told = answer.header("Docker-Content-Digest")
    answer.discard()
    if told.startswith(descriptor.digest.split(":")[0] + ":") and told != descriptor.digest:
        raise errors.DataLoss(f"the registry stored {told} where {descriptor.digest} was sent")


def _state(
    session: Session, scopes: tuple[str, ...], location: Url | None, descriptor: Descriptor
) -> tuple[Url | None, int]:
    """Where a broken upload stands: (where to go on, bytes that arrived), or (None, 0) to begin anew."""
    if location is None:
        return None, 0
    try:
        answer = session.request("GET", location, scopes, accept=(204, 200), follow=False, attempts=1)
    except (Answered, Unreachable):
        return None, 0
    answer.discard()
    match = _RANGE.fullmatch(answer.header("Range"))
    arrived = int(match[1]) + 1 if match else 0
    if match is None or arrived <= 1 or arrived > descriptor.size or not answer.header("Location"):
        cancel(session, answer, scopes)
        return None, 0
    return location_of(answer), arrived


def cancel(session: Session, answer: Answer, scopes: tuple[str, ...]) -> None:
    """Give an upload that *answer* tells of back; where that is not known it ends by itself."""
    try:
        session.request("DELETE", location_of(answer), scopes, accept=(204, 202, 200), attempts=1).discard()
    except errors.CortenError:
        return
