"""Errors → HTTP statuses, in this one place."""

import logging
import os

from corten import errors
from corten.api.response import Response, json_response

log = logging.getLogger("corten.api")

_STATUS: dict[type[BaseException], int] = {
    errors.InvalidArgument: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.NotModified: 304,
    errors.NotSupported: 501,
    errors.Unavailable: 503,
    errors.Cancelled: 400,  # the request broke off; who closed only the sending side still reads this
}


class PageNotFound(errors.NotFound):
    """No route has this method and path."""

    def __init__(self) -> None:
        super().__init__("page not found")


class TooLarge(errors.CortenError):
    """A request body over its bound (413)."""


_STATUS[TooLarge] = 413


class Malformed(errors.InvalidArgument):
    """The bytes are not an HTTP request that we accept; the connection is closed after the answer."""


def status_of(error: BaseException) -> int:
    """HTTP status of *error*: the first class of its MRO that the table knows, else 500.

    A program that is not there (127) or cannot be executed (126) is the request's fault, as with dockerd.
    """
    if isinstance(error, errors.StartFailed) and error.exit_code in (126, 127):
        return 400
    for cls in type(error).__mro__:
        status = _STATUS.get(cls)
        if status is not None:
            return status
    return 500


def error_response(error: BaseException, what: str) -> Response:
    """The answer to a failed request; *what* names it in the log when the fault is ours."""
    status = status_of(error)
    if status == 304:
        return Response(304)
    if status == 500:
        expected = isinstance(error, errors.CortenError)
        log.error("%s: %s", what, error, exc_info=None if expected else error)
    return json_response({"message": text_of(error)}, status)


def text_of(error: BaseException) -> str:
    """What the client reads; errors of the system as Docker words them, "PATH: no space left on device"."""
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror[0].lower() + error.strerror[1:]
        return f"{os.fsdecode(error.filename)}: {reason}" if isinstance(error.filename, str | bytes) else reason
    if isinstance(error, MemoryError):
        return "cannot allocate memory"
    return str(error) or type(error).__name__
