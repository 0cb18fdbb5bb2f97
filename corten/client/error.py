"""What can go wrong between a client and its daemon."""

from __future__ import annotations

from corten.errors import CortenError, Unavailable


class ApiError(CortenError):
    """The daemon answered with an error; ``status`` is the HTTP status, the text is the daemon's own message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ConnectFailed(Unavailable):
    """No daemon answers at the address."""


class ProtocolError(CortenError):
    """The peer does not speak HTTP/1.1 as it should, or hung up in the middle of an answer."""
