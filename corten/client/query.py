"""Query strings for the Engine API, without the weight of urllib."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Value = str | int | bool | Sequence[str] | None

_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def quote(text: str, safe: str = "") -> str:
    """Percent-encode ``text`` as UTF-8; characters of ``safe`` stay as they are (RFC 3986, section 2)."""
    data = text.encode("utf-8", "surrogateescape")
    keep = _SAFE.union(safe.encode())
    return "".join([chr(byte) if byte in keep else f"%{byte:02X}" for byte in data])


def encode(values: Mapping[str, Value]) -> str:
    """The query for ``values``: booleans become 1 or 0, a sequence repeats its key, None is left out."""
    pairs: list[str] = []
    for key, value in values.items():
        if value is None:
            continue
        if value is True or value is False:
            pairs.append(f"{quote(key)}={int(value)}")
        elif isinstance(value, (str, int)):
            pairs.append(f"{quote(key)}={quote(str(value))}")
        else:
            pairs.extend(f"{quote(key)}={quote(item)}" for item in value)
    return "&".join(pairs)
