"""Moments in time as the Engine API and its users write them."""

from __future__ import annotations

import calendar
import time

from corten.cli import values
from corten.cli.failure import Failure

ZERO = "0001-01-01T00:00:00Z"


def parse(text: str) -> int:
    """An RFC 3339 time (``2026-11-21T06:59:56.41569981Z``) in nanoseconds since the epoch. ValueError if it is none."""
    date, rest = text[:19], text[19:]
    seconds = calendar.timegm(time.strptime(date, "%Y-%m-%dT%H:%M:%S"))
    nanoseconds = 0
    if rest.startswith("."):
        digits = 1
        while digits < len(rest) and rest[digits].isdigit():
            digits += 1
        nanoseconds = int(rest[1:digits][:9].ljust(9, "0"))
        rest = rest[digits:]
    return (seconds - _offset(rest)) * 10**9 + nanoseconds


def _offset(zone: str) -> int:
    if zone in ("Z", "z"):
        return 0
    if len(zone) != 6 or zone[0] not in "+-" or zone[3] != ":":
        raise ValueError(f"unknown time zone {zone!r}")
    seconds = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
    return -seconds if zone[0] == "-" else seconds


_LAYOUTS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d")


def stamp(text: str) -> str:
    """What ``--since`` and ``--until`` mean, as ``seconds.nanoseconds`` for the API.

    A number stays as it is, a duration (``42m``) counts back from now, a date or time without a zone is local.
    """
    if not text or text.replace(".", "", 1).isdigit():
        return text
    try:
        return _format(time.time_ns() - values.duration(text))
    except values.BadValue:
        pass
    try:
        return _format(parse(text))
    except ValueError:
        pass
    base, dot, fraction = text.partition(".")
    for layout in _LAYOUTS:
        try:
            local = int(time.mktime(time.strptime(base, layout)))
        except ValueError:
            continue
        return f"{local}.{fraction[:9].ljust(9, '0')}" if dot and fraction.isdigit() else f"{local}.000000000"
    raise Failure(f'invalid value "{text}": neither a time nor a duration')


def _format(nanoseconds: int) -> str:
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09d}"
