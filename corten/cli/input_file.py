"""Archives that come from a file or from standard input."""

from __future__ import annotations

import os

from corten.cli.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = 1024 * 1024


def read(path: str) -> Iterator[bytes]:
    """The bytes of ``path``, or of standard input when that is empty. Failure at once if the file cannot be opened."""
    if not path:
        return blocks(0)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Failure(f"open {path}: {(error.strerror or '').lower()}") from None
    return _closing(descriptor)


def _closing(descriptor: int) -> Iterator[bytes]:
    try:
        yield from blocks(descriptor)
    finally:
        os.close(descriptor)


def blocks(descriptor: int) -> Iterator[bytes]:
    """What can be read from ``descriptor``, block by block."""
    while data := os.read(descriptor, _BLOCK):
        yield data
