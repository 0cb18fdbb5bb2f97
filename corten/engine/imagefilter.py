"""The filters of the image list and of prune."""

import re
import time
from collections.abc import Mapping, Sequence

from corten import errors
from corten.engine.imageindex import ImageIndex
from corten.engine.imagescan import StoredImage
from corten.oci import timestamp
from corten.oci.reference import Reference
from corten.wire.regex import Regex

LIST_FILTERS = frozenset({"before", "since", "dangling", "label", "label!", "reference", "until"})
PRUNE_FILTERS = frozenset({"dangling", "label", "label!", "until"})
_TRUE, _FALSE = frozenset({"1", "true", "True", "TRUE", "t"}), frozenset({"0", "false", "False", "FALSE", "f"})

Filters = Mapping[str, Sequence[str]]


class ImageFilter:
    """A request's filters, checked; ``InvalidArgument`` for what is unknown or malformed."""

    def __init__(self, filters: Filters, allowed: frozenset[str], index: ImageIndex) -> None:
        for name in filters:
            if name not in allowed:
                raise errors.InvalidArgument(f"invalid filter '{name}'")
        self.dangling = _boolean(filters, "dangling")
        self._labels = [_label(text) for text in filters.get("label", ())]
        self._without = [_label(text) for text in filters.get("label!", ())]
        self._patterns = [_glob(pattern) for pattern in filters.get("reference", ())]
        now = time.time_ns()
        before = [timestamp.moment(text, now) for text in filters.get("until", ())]
        before += [created_at(index.find(text)[0]) for text in filters.get("before", ())]
        self._before = min(before, default=None)
        self._after = max((created_at(index.find(text)[0]) for text in filters.get("since", ())), default=None)

    def matches(self, image: StoredImage, created: int, labels: Mapping[str, str], *, named: bool) -> bool:
        """Whether the image passes everything but the reference patterns."""
        if self.dangling is not None and self.dangling == named:
            return False
        if self._before is not None and created >= self._before:
            return False
        if self._after is not None and created <= self._after:
            return False
        if any(_has_label(labels, key, value) for key, value in self._without):
            return False
        return all(_has_label(labels, key, value) for key, value in self._labels)

    @property
    def by_name(self) -> bool:
        """Whether there are reference patterns."""
        return bool(self._patterns)

    def name_matches(self, reference: Reference) -> bool:
        """Whether a name passes the reference patterns."""
        if not self._patterns:
            return True
        texts = (reference.familiar(), reference.familiar_name())
        return any(pattern.fullmatch(text) for pattern in self._patterns for text in texts)


def created_at(image: StoredImage) -> int:
    """When the image was made, by its config; nanoseconds."""
    return max((manifest.created for manifest in image.manifests), default=0)


def _boolean(filters: Filters, name: str) -> bool | None:
    values = list(filters.get(name, ()))
    if not values:
        return None
    if set(values) <= _TRUE:
        return True
    if set(values) <= _FALSE:
        return False
    raise errors.InvalidArgument(f"invalid filter '{name}=[{' '.join(values)}]'")


def _label(text: str) -> tuple[str, str | None]:
    key, equals, value = text.partition("=")
    return key, value if equals else None


def _has_label(labels: Mapping[str, str], key: str, value: str | None) -> bool:
    return key in labels and (value is None or labels[key] == value)


def _glob(pattern: str) -> Regex:
    """Go's path.Match: "*" and "?" do not cross "/", sets with "^" for not."""
    result: list[str] = []
    position = 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == "*":
            result.append("[^/]*")
        elif char == "?":
            result.append("[^/]")
        elif char == "\\" and position < len(pattern):
            result.append(re.escape(pattern[position]))
            position += 1
        elif char == "[":
            end = pattern.find("]", position + 1)
            if end < 0:
                raise errors.InvalidArgument(f"invalid filter 'reference=[{pattern}]': syntax error in pattern")
            body = pattern[position:end].replace("\\", "\\\\").replace("[", "\\[").replace("&", "\\&")
            result.append(f"[{body}]")
            position = end + 1
        else:
            result.append(re.escape(char))
    try:
        return Regex("".join(result))
    except errors.InvalidArgument as error:
        raise errors.InvalidArgument(f"invalid filter 'reference=[{pattern}]': syntax error in pattern") from error
