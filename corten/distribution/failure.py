"""What goes wrong with a registry, in the words that Docker's users know."""

import re
import socket
import ssl
from collections.abc import Sequence
from http.client import BadStatusLine, HTTPException, IncompleteRead

import msgspec
import urllib3.exceptions as exceptions

from corten import errors
from corten.distribution.url import Origin, Url

MAX_TEXT = 1000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class Unreachable(errors.Unavailable):
    """A request that got no whole answer. ``cause`` is what happened, None when it took too long."""

    def __init__(self, method: str, url: Url, text: str, cause: BaseException | None) -> None:
        super().__init__(f'{method.capitalize()} "{url.shown}": {text}')
        self.cause = cause

    @property
    def refused(self) -> bool:
        """Nothing listens there, or there is no such host: asking again at once will not help."""
        return isinstance(_root(self.cause), ConnectionRefusedError | socket.gaierror | ssl.SSLCertVerificationError)

    @property
    def unconnected(self) -> bool:
        """There was no connection to begin with."""
        root = _root(self.cause)
        return self.refused or (isinstance(root, OSError) and isinstance(root.filename, str))


class Code(msgspec.Struct, frozen=True):
    """One entry of a registry's error document (distribution-spec, section Error Codes)."""

    code: str = ""
    message: str = ""

    @property
    def text(self) -> str:
        """As Docker shows it: "manifest unknown: manifest unknown"."""
        name = clean(self.code.lower().replace("_", " "))
        return f"{name}: {clean(self.message)}" if self.message else name


class _Document(msgspec.Struct):
    errors: list[Code] = []
    details: str = ""
    message: str = ""
    code: str = ""


class Answered(errors.CortenError):
    """The registry answered with an error: HTTP *status* and its *codes*. Translated before it leaves the client."""

    def __init__(self, method: str, url: Url, status: int, codes: Sequence[Code], text: str = "") -> None:
        self.status = status
        self.codes = tuple(codes)
        self.detail = self.codes[0].text if self.codes else text or f"unexpected status code {status}"
        super().__init__(f'{method.capitalize()} "{url.shown}": {self.detail}')

    @property
    def code(self) -> str:
        """The first code, made up from the status where the registry gives none."""
        if self.codes:
            return self.codes[0].code
        return {401: "UNAUTHORIZED", 403: "DENIED", 404: "NOT_FOUND", 429: "TOOMANYREQUESTS"}.get(self.status, "")


def codes_of(data: bytes) -> tuple[list[Code], str]:
    """The codes of an error's body and, where it is of another kind, what it says."""
    try:
        document = msgspec.json.decode(data, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [], ""
    found = [code for code in document.errors if code.code]
    if not found and document.code:
        found = [Code(document.code, document.message)]
    return found, clean(document.details or document.message)


def clean(text: str) -> str:
    """Foreign text for a terminal: one line, bounded, without control characters."""
    return _CONTROL.sub(" ", text).strip()[:MAX_TEXT]


def _root(error: BaseException | None) -> BaseException | None:
    """The innermost cause that says something: urllib3 wraps what the system said."""
    seen = 0
    while error is not None and seen < 10:
        seen += 1
        inner = error.__cause__
        for argument in error.args:
            if isinstance(argument, BaseException):
                inner = argument
        reason = getattr(error, "reason", None)
        if isinstance(reason, BaseException):
            inner = reason
        if isinstance(error, TimeoutError | ssl.SSLCertVerificationError) or inner is None or inner is error:
            return error
        error = inner
    return error


def describe(error: BaseException, origin: Origin) -> str:
    """A failed exchange in one line, in the words of Go's network library."""
    root = _root(error)
    through = "proxyconnect tcp: " if isinstance(error, exceptions.ProxyError) else ""
    if isinstance(root, exceptions.ConnectTimeoutError | exceptions.ReadTimeoutError | TimeoutError):
        if isinstance(root, OSError) and root.filename:
            return f"{through}dial tcp {root.filename}: i/o timeout"
        text = str(root) if type(root) is TimeoutError and root.args and root.errno is None else ""
        return through + (clean(text) if text and text != "timed out" else "i/o timeout")
    if isinstance(root, socket.gaierror):
        return f"{through}dial tcp: lookup {origin.host}: {_lookup(root)}"
    if isinstance(root, ssl.SSLCertVerificationError):
        return f"{through}tls: failed to verify certificate: x509: {clean(root.verify_message)}"
    if isinstance(root, ssl.SSLError):
        if root.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
            return f"{through}http: server gave HTTP response to HTTPS client"
        return f"{through}tls: {clean(root.reason or str(root)).lower().replace('_', ' ')}"
    if isinstance(root, OSError) and root.strerror:
        reason = root.strerror[0].lower() + root.strerror[1:]
        if root.filename:
            return f"{through}dial tcp {root.filename}: connect: {reason}"
        return f"{through}{reason}"
    if isinstance(root, IncompleteRead | exceptions.IncompleteRead):
        return f"{through}unexpected EOF"
    if isinstance(root, BadStatusLine):
        return f"{through}EOF" if "closed connection" in str(root) else f"{through}malformed HTTP response"
    if isinstance(root, HTTPException):
        return f"{through}malformed HTTP response: {clean(str(root))}"
    return through + (clean(str(root)) or type(root).__name__)


def _lookup(error: socket.gaierror) -> str:
    if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None)):
        return "no such host"
    return "server misbehaving" if error.errno == socket.EAI_AGAIN else clean(error.strerror or str(error))
