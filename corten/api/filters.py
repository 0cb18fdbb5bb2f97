"""The ``filters`` query parameter: JSON, {"key": ["value"]} or the older {"key": {"value": true}}."""

from collections.abc import Collection
from typing import Any

import msgspec

from corten import errors

Filters = dict[str, list[str]]

_TRUE = frozenset(("1", "true"))
_FALSE = frozenset(("0", "false"))


def parse(text: str, allowed: Collection[str] | None = None) -> Filters:
    """The filters as a map of lists, {} for "". Raises InvalidArgument for another form or a key not *allowed*."""
    if not text:
        return {}
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise errors.InvalidArgument(f"invalid filter: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise errors.InvalidArgument("invalid filter: expected a JSON object")
    found = {key: _values(key, value) for key, value in document.items()}
    if allowed is not None:
        for key in found:
            if key not in allowed:
                raise errors.InvalidArgument(f"invalid filter '{key}'")
    return found


def _values(key: str, value: Any) -> list[str]:
    if isinstance(value, dict) and all(isinstance(wanted, bool) for wanted in value.values()):
        return [text for text, wanted in value.items() if wanted]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return list(dict.fromkeys(value))
    raise errors.InvalidArgument(f"invalid filter '{key}': expected a list of strings")


def boolean(filters: Filters, key: str, default: bool) -> bool:
    """A filter that is true or false. Raises InvalidArgument for other values, or for both."""
    values = filters.get(key)
    if not values:
        return default
    if len(values) == 1:
        if values[0].lower() in _TRUE:
            return True
        if values[0].lower() in _FALSE:
            return False
    raise errors.InvalidArgument(f"invalid filter '{key}={values}'")


def matches_labels(labels: dict[str, str], wanted: list[str]) -> bool:
    """All of *wanted* ("key" or "key=value") are among *labels*."""
    for item in wanted:
        key, equals, value = item.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True
