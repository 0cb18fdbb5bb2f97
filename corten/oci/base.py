"""How OCI values are declared: frozen structs whose JSON is exactly the specification's.

``decode`` turns bytes from an image into a value and any failure into ``InvalidArgument``; unknown keys are ignored,
as the image specification asks of implementations.
"""

from typing import TypeVar

import msgspec

from corten import errors

T = TypeVar("T")

MAX_DOCUMENT = 8 << 20
"""Largest manifest, index or config that is read, in bytes. Registries refuse manifests over 4 MiB."""


class OciValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Base of the values of the image specification. Encode with ``msgspec.json.encode``."""


def decode(data: bytes, kind: type[T], what: str) -> T:
    """Decode *data*; *what* names the document in the error text."""
    if len(data) > MAX_DOCUMENT:
        raise errors.InvalidArgument(f"{what} has {len(data)} bytes; more than {MAX_DOCUMENT} are not accepted")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise errors.InvalidArgument(f"{what} is not valid: {error}") from error
