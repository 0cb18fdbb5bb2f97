"""Filters that every prune understands: label, label! and until."""

import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from corten import errors

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


class PruneFilter:
    """Decides what a prune may take. InvalidArgument for filters outside *known* or malformed times."""

    def __init__(self, filters: Mapping[str, Sequence[str]], known: Sequence[str]) -> None:
        for key in filters:
            if key not in known:
                raise errors.InvalidArgument(f"invalid filter '{key}'")
        until = filters.get("until") or ()
        if len(until) > 1:
            raise errors.InvalidArgument("more than one until filter specified")
        self._until = parse_moment(until[0]) if until else None
        self._wanted = filters.get("label") or ()
        self._unwanted = filters.get("label!") or ()

    def matches(self, labels: Mapping[str, str], created: int) -> bool:
        """Whether an object with these labels, made at *created* (ns), may go."""
        if self._until is not None and created >= self._until:
            return False
        return all(_has(labels, each) for each in self._wanted) and not any(
            _has(labels, each) for each in self._unwanted
        )


def parse_moment(text: str, now: int | None = None) -> int:
    """A moment in ns: a Go duration before now ("1h30m"), unix seconds ("1700000000.5") or RFC 3339."""
    now = time.time_ns() if now is None else now
    if re.fullmatch(r"\d+(\.\d+)?", text):
        seconds, _, fraction = text.partition(".")
        return int(seconds) * 10**9 + int((fraction + "0" * 9)[:9])
    parts = _DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return now - sum(int(float(number) * _UNITS[unit]) for number, unit in parts)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise errors.InvalidArgument(f"invalid time '{text}': want a duration, a unix time or RFC 3339") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1e6) * 1000


def _has(labels: Mapping[str, str], wanted: str) -> bool:
    key, sep, value = wanted.partition("=")
    return key in labels and (not sep or labels[key] == value)
