"""Values of flags: text in, typed value out."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

REPEATED = frozenset(
    [
        "list",
        "map",
        "filter",
        "mount",
        "network",
        "ulimit",
        "gpu-request",
        "weight-device",
        "rate-device",
        "iops-device",
        "attach",
        "env",
        "device-rule",
        "sysctl",
        "add-host",
        "ip-list",
        "label",
    ]
)
NUMBERS = frozenset(("int", "uint", "uint16", "bytes", "duration", "decimal"))

_RICH = REPEATED - {"list", "map", "filter"}
"""Kinds that only containers know; their parsers are loaded when such a flag is given."""


class BadValue(Exception):
    """The text is no value of the wanted kind; the message is docker's."""


def parse(kind: str, text: str) -> Any:
    """``text`` as a value of ``kind``; kinds without a parser of their own stay text."""
    parser = _PARSERS.get(kind)
    if parser:
        return parser(text)
    if kind in _RICH:
        from corten.cli.container import values as rich

        return rich.parse(kind, text)
    return text


def _bool(text: str) -> bool:
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise BadValue(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def _int(text: str) -> int:
    return _number(text, "ParseInt", -(1 << 63), (1 << 63) - 1)


def _uint(text: str) -> int:
    return _number(text, "ParseUint", 0, (1 << 64) - 1)


def _uint16(text: str) -> int:
    return _number(text, "ParseUint", 0, (1 << 16) - 1)


def _number(text: str, function: str, low: int, high: int) -> int:
    try:
        if not text.isascii() or "_" in text or text != text.strip():
            raise ValueError
        value = int(text, 0) if text.lstrip("+-")[:1] != "0" else int(text, 8 if text.lstrip("+-0").isdigit() else 0)
    except ValueError:
        raise BadValue(f'strconv.{function}: parsing "{text}": invalid syntax') from None
    if low == 0 and text.startswith(("+", "-")):
        raise BadValue(f'strconv.{function}: parsing "{text}": invalid syntax')
    if not low <= value <= high:
        raise BadValue(f'strconv.{function}: parsing "{text}": value out of range')
    return value


def _bytes(text: str) -> int:
    return ram_bytes(text)


def _duration(text: str) -> int:
    return duration(text)


def _decimal(text: str) -> int:
    """A number of CPUs, in units of 10^-9."""
    whole, _, fraction = text.partition(".")
    digits = whole.lstrip("+-") + fraction
    if not digits.isascii() or not digits.isdigit():
        raise BadValue("failed to parse " + text + " as a rational number")
    if len(fraction) > 9 and fraction[9:].strip("0"):
        raise BadValue("value is too precise")
    value = int(whole.lstrip("+-") or "0") * 10**9 + int(fraction[:9].ljust(9, "0"))
    return -value if whole.startswith("-") else value


_SUFFIXES = {"": 0, "b": 0, "k": 10, "kb": 10, "kib": 10, "m": 20, "mb": 20, "mib": 20, "g": 30, "gb": 30, "gib": 30}
_SUFFIXES |= {"t": 40, "tb": 40, "tib": 40, "p": 50, "pb": 50, "pib": 50}


def ram_bytes(text: str) -> int:
    """A size as docker reads it: a number with an optional binary suffix (``64m``, ``1.5 GiB``), in bytes."""
    if text == "-1":
        return -1
    end = len(text)
    while end and not (text[end - 1].isdigit() or text[end - 1] in ". "):
        end -= 1
    number, suffix = text[:end].rstrip(" "), text[end:].lower()
    try:
        if not number or not (number[0].isdigit() or number[0] == ".") or suffix not in _SUFFIXES or "_" in number:
            raise ValueError
        return int(float(number) * (1 << _SUFFIXES[suffix]))
    except ValueError:
        raise BadValue(f"invalid size: '{text}'") from None


_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def duration(text: str) -> int:
    """A length of time as Go writes it (``1h30m``, ``1.5s``, ``0``), in nanoseconds."""
    rest = text.lstrip("+-")
    negative = text.startswith("-")
    if not rest or len(text) - len(rest) > 1:
        raise BadValue(f'time: invalid duration "{text}"')
    if rest == "0":
        return 0
    total = 0
    while rest:
        end = 0
        while end < len(rest) and (rest[end].isdigit() or rest[end] == "."):
            end += 1
        number, rest = rest[:end], rest[end:]
        end = 0
        while end < len(rest) and not (rest[end].isdigit() or rest[end] == "."):
            end += 1
        unit, rest = rest[:end], rest[end:]
        if not number.strip(".") or number.count(".") > 1:
            raise BadValue(f'time: invalid duration "{text}"')
        if not unit:
            raise BadValue(f'time: missing unit in duration "{text}"')
        if unit not in _UNITS:
            raise BadValue(f'time: unknown unit "{unit}" in duration "{text}"')
        whole, _, fraction = number.partition(".")
        scale = _UNITS[unit]
        total += int(whole or "0") * scale + int(fraction or "0") * scale // 10 ** len(fraction)
    return -total if negative else total


def _filter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise BadValue("bad format of filter (expected name=value)")
    return name.strip().lower(), value.strip()


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


_PARSERS: dict[str, Callable[[str], Any]] = {
    "bool": _bool,
    "int": _int,
    "uint": _uint,
    "uint16": _uint16,
    "bytes": _bytes,
    "duration": _duration,
    "decimal": _decimal,
    "filter": _filter,
    "map": _pair,
}
