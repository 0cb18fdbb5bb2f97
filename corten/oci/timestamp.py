"""RFC 3339 texts of the documents against integer nanoseconds since the epoch."""

import re
import time
from calendar import timegm

from corten import errors

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9})\d*)?(?:([Zz])|([+-])(\d\d):(\d\d))"
)
_BILLION = 1_000_000_000


def parse(text: str | None) -> int:
    """Nanoseconds since the epoch; 0 for None, an empty or an unreadable text and for times before 1970."""
    match = _RFC3339.fullmatch(text) if text else None
    if match is None:
        return 0
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    try:
        seconds = timegm((year, month, day, hour, minute, second, 0, 0, 0))
    except ValueError:  # no such year or month
        return 0
    if match[9]:
        offset = int(match[10]) * 3600 + int(match[11]) * 60
        seconds += -offset if match[9] == "+" else offset
    fraction = int((match[7] or "0").ljust(9, "0"))
    return max(seconds * _BILLION + fraction, 0)


def render(nanoseconds: int) -> str:
    """RFC3339Nano in UTC, as Go prints it: no trailing zeros in the fraction."""
    seconds, fraction = divmod(nanoseconds, _BILLION)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    if fraction:
        text += "." + f"{fraction:09d}".rstrip("0")
    return text + "Z"


_DURATION = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(ns|us|µs|ms|s|m|h)")
_DURATIONS = re.compile(rf"(?:{_DURATION.pattern}){{1,16}}")
_LONGEST = (1 << 63) - 1  # Go's
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": _BILLION, "m": 60 * _BILLION, "h": 3600 * _BILLION}
_UNIX = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,9})[0-9]{0,9})?")
_LOCAL = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d")


def duration(text: str) -> int | None:
    """Nanoseconds of a Go duration such as "1h30m"; None when it is none, or longer than 292 years."""
    if not _DURATIONS.fullmatch(text):
        return None
    total = int(sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text)))
    return total if total <= _LONGEST else None


def moment(text: str, now: int) -> int:
    """A filter's point in time in nanoseconds: RFC 3339, a date, unix seconds, or a duration before *now*.

    ``InvalidArgument`` for anything else.
    """
    ago = duration(text)
    if ago is not None:
        return now - ago
    unix = _UNIX.fullmatch(text)
    if unix:
        return int(unix[1]) * _BILLION + int((unix[2] or "0").ljust(9, "0"))
    if _RFC3339.fullmatch(text):
        return parse(text)
    for form in _LOCAL:
        try:
            return timegm(time.strptime(text.removesuffix("Z"), form)) * _BILLION
        except ValueError:
            continue
    raise errors.InvalidArgument(f"failed to parse {text[:100]!r} as a time or duration")
