"""Times as the API writes and reads them. Inside they are integer nanoseconds since the epoch, 0 for never."""

import re
import time
from calendar import timegm
from functools import lru_cache

from corten import errors
from corten.oci import timestamp

ZERO = "0001-01-01T00:00:00Z"
_NANO = 1_000_000_000
_UNIX = re.compile(r"(-?\d{1,18})(?:\.(\d{1,9})\d*)?")
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9})\d*)?)?)?)?(?:Z|([+-])(\d\d):(\d\d))?"
)


def rfc3339(nanoseconds: int) -> str:
    """RFC3339Nano in UTC; 0 is never, Go's zero time."""
    return moment(nanoseconds) if nanoseconds else ZERO


@lru_cache(maxsize=4096)
def moment(nanoseconds: int) -> str:
    """RFC3339Nano in UTC, where 0 is the epoch: zeros at the end of the fraction are left out."""
    seconds, fraction = divmod(nanoseconds, _NANO)
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    text = f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}"
    return f"{text}.{fraction:09d}".rstrip("0") + "Z" if fraction else text + "Z"


def parse(text: str, what: str = "time") -> int:
    """A point in time out of a query: unix seconds with an optional fraction, RFC 3339 (whole or shortened), or a
    Go duration ("10m", "1h30m") counted back from now. "" and "0" are 0. Raises InvalidArgument otherwise.
    """
    text = text.strip()
    if not text:
        return 0
    match = _UNIX.fullmatch(text)
    if match is not None:
        return int(match[1]) * _NANO + int((match[2] or "").ljust(9, "0"))
    match = _RFC3339.fullmatch(text)
    if match is not None:
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
        try:
            seconds = timegm((year, month, day, hour, minute, second))
        except ValueError as error:
            raise errors.InvalidArgument(f'invalid value for {what}: "{text}" is not a time') from error
        if match[8]:
            offset = int(match[9]) * 3600 + int(match[10]) * 60
            seconds += offset if match[8] == "-" else -offset
        return seconds * _NANO + int((match[7] or "").ljust(9, "0"))
    ago = timestamp.duration(text)
    if ago is not None:
        return time.time_ns() - ago
    raise errors.InvalidArgument(f'invalid value for {what}: "{text[:100]}" is not a time')
