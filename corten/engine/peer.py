"""The client's end of an attached stream, as attach and exec see it.

The door (HTTP hijack, websocket) implements it and frames the bytes; the engine only moves them.
"""

from typing import Protocol

STDIN = 0
STDOUT = 1
STDERR = 2


class Peer(Protocol):
    """A client connection that carries stdio. All methods belong to the loop's thread."""

    def write(self, stream: int, data: bytes) -> None:
        """Send *data* as stream 1 (stdout) or 2 (stderr). Never blocks; follow it by ``drain``. Ignored when closed."""

    async def drain(self) -> None:
        """Return once the client has taken enough of what was written, or has gone."""

    async def read(self) -> bytes:
        """Some of the client's bytes; b"" once it has closed its sending side (end of stdin) or has gone."""

    def close(self) -> None:
        """Send what is buffered, then close. Idempotent."""

    @property
    def closed(self) -> bool:
        """True once ``close`` was called or the client has gone entirely."""

    async def wait_closed(self) -> None:
        """Return once ``closed`` is true."""
