"""Requests to one endpoint as its user: authorisation, redirects, retries."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from corten import errors
from corten.distribution import challenge
from corten.distribution import endpoint as endpoints
from corten.distribution.answer import Answer
from corten.distribution.authorizer import Authorizer
from corten.distribution.config import RegistryConfig
from corten.distribution.credential import Credential
from corten.distribution.endpoint import Endpoint
from corten.distribution.failure import Answered, Code, Unreachable, codes_of
from corten.distribution.network import Refused
from corten.distribution.token import Tokens
from corten.distribution.transport import Body, Transport
from corten.distribution.url import Url

MAX_REDIRECTS = 10
MAX_ERROR = 64 << 10
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_PASSING = frozenset((408, 425, 429, 500, 502, 503, 504))
"""Statuses after which the same request may succeed."""

_OAUTH = {
    "invalid_token": ("UNAUTHORIZED", "authentication required"),
    "insufficient_scope": ("DENIED", "requested access to the resource is denied"),
}

Chunks = Callable[[], Iterator[bytes]]


class Session:
    """One user at one endpoint, on behalf of one job; *stop*, when set, ends every wait with Cancelled."""

    def __init__(
        self,
        endpoint: Endpoint,
        credential: Credential,
        transport: Transport,
        tokens: Tokens,
        stop: threading.Event | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.config: RegistryConfig = transport.config
        self.stop = stop or threading.Event()
        self._transport = transport
        self.authorizer = Authorizer(endpoint, credential, transport.config, tokens, self._once)

    def url(self, target: str) -> Url:
        return self.endpoint.origin.url(target)

    def request(
        self,
        method: str,
        target: str | Url,
        scopes: tuple[str, ...],
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        chunks: Chunks | None = None,
        accept: tuple[int, ...] = (200,),
        follow: bool = True,
        attempts: int = 0,
    ) -> Answer:
        """The answer with a status of *accept*; any other is ``Answered``. A body comes as *body*, or as *chunks* with
        a Content-Length header, and is then sent at most as often as the function is called.

        Raises Answered, Unreachable, Forbidden, Cancelled.
        """
        url = self.url(target) if isinstance(target, str) else target
        headers = headers or {}
        left = attempts or self.config.attempts
        pauses = self.pauses()
        while True:
            left -= 1
            try:
                answer = self._attempt(method, url, scopes, headers, body, chunks, follow)
            except Unreachable as error:
                if left <= 0 or error.refused:
                    raise
                self.pause(next(pauses))
                continue
            if answer.status in accept:
                return answer
            wait = self._wait_of(answer, pauses) if answer.status in _PASSING and left > 0 else None
            if wait is None:
                raise self.failure(answer)
            answer.discard()
            self.pause(wait)

    def probe(self, target: str, *, headers: Mapping[str, str] | None = None, attempts: int = 0) -> Answer:
        """A GET that shows nothing but *headers* and follows nothing; whatever the status, once it is lasting."""
        left = attempts or self.config.attempts
        pauses = self.pauses()
        while True:
            left -= 1
            try:
                answer = self._once("GET", self.url(target), headers or {}, None)
            except Unreachable as error:
                if left <= 0 or error.unconnected:
                    raise
                self.pause(next(pauses))
                continue
            wait = self._wait_of(answer, pauses) if answer.status in _PASSING and left > 0 else None
            if wait is None:
                return answer
            answer.discard()
            self.pause(wait)

    def failure(self, answer: Answer) -> Answered:
        """The error that an answer is."""
        try:
            codes, text = codes_of(answer.document(MAX_ERROR, self.config.document_timeout))
        except (errors.InvalidArgument, Unreachable):
            codes, text = [], ""
        bearer = oauth_code(answer) if 400 <= answer.status < 500 else None
        if bearer is not None:
            codes = [bearer, *codes]
        elif answer.status == 401 and not codes:
            codes = [Code("UNAUTHORIZED", text or "authentication required")]
        return Answered(answer.method, answer.url, answer.status, codes, text)

    # waiting

    def pauses(self) -> Iterator[float]:
        """Twice as long each time, up to the bound, and never the same for two clients."""
        pause = self.config.backoff
        while True:
            yield pause * random.uniform(0.5, 1.0)
            pause = min(pause * 2, self.config.longest_pause)

    def pause(self, seconds: float) -> None:
        """Wait; Cancelled when the job is called off."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.stop.wait(min(left, 0.5)) or self._transport.closed:
                raise errors.Cancelled("the request was cancelled")

    def _wait_of(self, answer: Answer, pauses: Iterator[float]) -> float | None:
        """How long to wait before the next attempt; None when the registry wants more patience than we have."""
        own = next(pauses)
        asked = retry_after(answer.header("Retry-After"))
        if asked is None:
            return own
        return None if asked > self.config.longest_pause else max(asked, min(own, 1.0))

    # one attempt

    def _attempt(
        self,
        method: str,
        url: Url,
        scopes: tuple[str, ...],
        headers: Mapping[str, str],
        body: bytes | None,
        chunks: Chunks | None,
        follow: bool,
    ) -> Answer:
        refused = ""
        for last in (False, False, True):
            own = url.origin == self.endpoint.origin
            sent = dict(headers)
            proof = self._proof(method, url, scopes, refused) if own else ""
            if proof:
                sent["Authorization"] = proof
            answer = self._once(method, url, sent, chunks() if chunks else body)
            if answer.status == 401 and own and not last:
                if not self.authorizer.learn(answer):
                    return answer
                if self.authorizer.helpless:
                    answer.discard()
                    raise errors.Unauthenticated(f'{method.capitalize()} "{url.shown}": no basic auth credentials')
                if proof.startswith("Basic ") and self.authorizer.header(scopes) == proof:
                    return answer
                answer.discard()
                refused = proof
                continue
            if answer.status in _REDIRECTS and follow and answer.header("Location"):
                return self._follow(answer, headers, proof, body, chunks)
            return answer
        raise AssertionError("unreachable")

    def _proof(self, method: str, url: Url, scopes: tuple[str, ...], refused: str) -> str:
        """The Authorization header. When there is no token to be had, it is this request that fails for it."""
        try:
            return self.authorizer.header(scopes, refused)
        except Answered as error:
            raise Answered(method, url, error.status, error.codes, error.detail) from error

    def _follow(
        self, answer: Answer, headers: Mapping[str, str], proof: str, body: bytes | None, chunks: Chunks | None
    ) -> Answer:
        """Where a redirect leads. What is sent elsewhere says nothing of who we are, and nothing after that does."""
        method = answer.method
        for _ in range(MAX_REDIRECTS):
            target = answer.url.join(answer.header("Location"), "redirect")
            if answer.status == 303 and method != "HEAD":
                method, body, chunks = "GET", None, None
            answer.discard()
            if target.origin != self.endpoint.origin:
                proof = ""
            sent = {**headers, "Authorization": proof} if proof else headers
            answer = self._once(method, target, sent, chunks() if chunks else body, "redirect")
            if answer.status not in _REDIRECTS or not answer.header("Location"):
                return answer
        answer.close()
        raise errors.Unavailable(f"{self.endpoint.origin.netloc} redirects more than {MAX_REDIRECTS} times")

    def _once(self, method: str, url: Url, headers: Mapping[str, str], body: Body, what: str = "location") -> Answer:
        """One exchange. Where *url* is the registry's word, *what* it is, it stays within what that may reach."""
        if self.stop.is_set():
            raise errors.Cancelled("the request was cancelled")
        source = self.endpoint
        if url.origin != source.origin:
            endpoints.check_pointer(source, url.origin, what, self.config)
        own = url.origin.host == source.origin.host
        reach = source.reach if own else endpoints.beyond(source.reach)
        verify = not (source.insecure if own else endpoints.may_be_plain(url.origin, self.config))
        trusted = (source.origin.netloc, source.domain)
        try:
            return self._transport.exchange(method, url, headers, body, reach=reach, verify=verify, trusted_by=trusted)
        except Refused as error:
            raise Refused(f"{source.origin.netloc} gave a {what} that is not followed: {error}") from error


def oauth_code(answer: Answer) -> Code | None:
    """What a bearer challenge says went wrong (RFC 6750, section 3.1), as the registry's own code."""
    for each in challenge.parse(answer.headers("WWW-Authenticate")):
        if each.scheme == "bearer" and each.error in _OAUTH:
            code, message = _OAUTH[each.error]
            return Code(code, each.error_description or message)
    return None


def retry_after(text: str) -> float | None:
    """Seconds of a Retry-After header, a number or a date; None without one that can be read."""
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - datetime.now(UTC).timestamp())
