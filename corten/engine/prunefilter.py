"""Filters that every prune understands: label, label! and until."""

import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from corten import errors
from corten.oci import timestamp


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
    if re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,18})?", text):
        seconds, _, fraction = text.partition(".")
        return int(seconds) * 10**9 + int((fraction + "0" * 9)[:9])
    ago = timestamp.duration(text)
    if ago is not None:
        return now - ago
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1e6) * 1000
    except (ValueError, OverflowError) as error:
        raise errors.InvalidArgument(f"invalid time '{text}': want a duration, a unix time or RFC 3339") from error


def _has(labels: Mapping[str, str], wanted: str) -> bool:
    key, sep, value = wanted.partition("=")
    return key in labels and (not sep or labels[key] == value)
