"""What the filters of lists and prunes mean for volumes."""

from corten import errors
from corten.model.volume import Volume
from corten.wire.regex import Regex


def has_labels(volume: Volume, wanted: list[str]) -> bool:
    """Whether every one of *wanted* ("key" or "key=value") is among the labels."""
    labels = volume.labels or {}
    return all(
        key in labels and (not equals or labels[key] == value)
        for key, equals, value in (text.partition("=") for text in wanted)
    )


def check(filters: dict[str, list[str]], known: tuple[str, ...]) -> None:
    """``InvalidArgument`` for a filter that is not among *known*."""
    for key in filters:
        if key not in known:
            raise errors.InvalidArgument(f"invalid filter '{key}'")


def boolean(key: str, values: list[str]) -> bool:
    """The one value of a filter that is true or false. ``InvalidArgument``."""
    if len(values) == 1 and values[0].lower() in ("1", "t", "true"):
        return True
    if len(values) == 1 and values[0].lower() in ("0", "f", "false"):
        return False
    raise errors.InvalidArgument(f"invalid filter '{key}={values}'")


def matches(pattern: str, name: str) -> bool:
    """Whether the regular expression is found in *name*; what is none is a plain part of it."""
    try:
        return Regex(pattern).search(name)
    except errors.InvalidArgument:
        return pattern in name
