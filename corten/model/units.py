"""Sizes and spans of time as people write them."""

import re

_SIZES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?) ?([kmgtp]?)(?:i?b)?\Z", re.IGNORECASE)
_SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SPAN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd])")


def size(text: str) -> int:
    """A number of bytes with an optional unit (64m, 1.5GiB), units are powers of 1024. ValueError."""
    match = _SIZE.match(text.strip())
    if match is None:
        raise ValueError(f"invalid size: '{text}'")
    return int(float(match[1]) * _SIZES[match[2].lower()])


def seconds(text: str) -> float:
    """A span of time (90s, 1h30m, 7d) in seconds; "0" is none. ValueError."""
    if text.strip() == "0":
        return 0
    if not re.fullmatch(rf"(?:{_SPAN.pattern})+", text.strip()):
        raise ValueError(f"invalid duration: '{text}', expected a number with a unit of s, m, h or d")
    return sum(float(number) * _SPANS[unit] for number, unit in _SPAN.findall(text))
