"""What the client needs of a connection; for type checking only."""

from __future__ import annotations

from typing import Protocol


class Transport(Protocol):
    """A socket, or what stands for one. OSError where the network fails."""

    def recv(self, size: int, flags: int = 0, /) -> bytes: ...

    def sendall(self, data: bytes, /) -> None: ...

    def shutdown(self, how: int, /) -> None: ...

    def setblocking(self, flag: bool, /) -> None: ...

    def close(self) -> None: ...
