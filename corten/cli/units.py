"""Sizes, spans of time and identifiers as people read them."""

from __future__ import annotations

import time

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def decimal_size(size: float, digits: int = 4) -> str:
    """Bytes in powers of 1000: ``1.98MB``."""
    return _size(size, 1000, _DECIMAL, digits)


def binary_size(size: float, digits: int = 4) -> str:
    """Bytes in powers of 1024: ``584KiB``."""
    return _size(size, 1024, _BINARY, digits)


def _size(size: float, base: int, names: tuple[str, ...], digits: int) -> str:
    step = 0
    while size >= base and step < len(names) - 1:
        size /= base
        step += 1
    return f"{size:.{digits}g}{names[step]}"


def span(seconds: float) -> str:
    """A length of time in rough words: ``About an hour``, ``3 days``."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole < 60:
        return "1 second" if whole == 1 else f"{whole} seconds"
    minutes = whole // 60
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for limit, unit, name in ((24 * 14, 24, "days"), (24 * 60, 168, "weeks"), (24 * 730, 720, "months")):
        if hours < limit:
            return f"{hours // unit} {name}"
    return f"{int(seconds / 3600) // (24 * 365)} years"


def ago(created: float, now: float | None = None) -> str:
    """How long ago ``created`` (seconds since the epoch) was."""
    return span((time.time() if now is None else now) - created) + " ago"


def local_time(seconds: float) -> str:
    """A moment in the local zone: ``2026-11-21 06:59:56 +0000 UTC``."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(seconds))


def short_id(identifier: str) -> str:
    """The first twelve characters of an id, without its algorithm."""
    return identifier.rpartition(":")[2][:12] if ":" in identifier else identifier[:12]


def ellipsis(text: str, width: int) -> str:
    """``text`` cut to ``width`` characters, the last of them a mark that something is missing."""
    return text if len(text) <= width else text[: width - 1] + "…"
