"""What a document has that its value does not: fields of a newer daemon, which an older one must give back as they are.

Fields are added to values with a default that means what was so before they came, so a daemon that does not know them
may leave them aside; but it writes the document anew when anything else changes.
"""

from functools import cache
from typing import Any

import msgspec

Fields = dict[str, Any]
"""Unknown fields by name; below the name of a known field, what is unknown inside of it."""


def unknown(document: Fields, value: msgspec.Struct) -> Fields:
    """The fields of *document*, from which *value* was decoded, that *value*'s type does not have."""
    names = _names(type(value))
    found: Fields = {}
    for key, item in document.items():
        if key not in names:
            found[key] = item
        elif isinstance(item, dict) and isinstance(inner := getattr(value, names[key]), msgspec.Struct):
            found[key] = unknown(item, inner)
    return {key: item for key, item in found.items() if item != {} or key not in names}


@cache
def _names(kind: type[msgspec.Struct]) -> dict[str, str]:
    """In documents -> in values."""
    return dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))


def put_back(document: Fields, found: Fields) -> None:
    """Add to *document* what ``unknown`` found."""
    for key, item in found.items():
        present = document.setdefault(key, {} if isinstance(item, dict) else item)
        if isinstance(present, dict) and isinstance(item, dict):
            put_back(present, item)
