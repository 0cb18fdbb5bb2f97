"""Text from the daemon made safe to show: a name or label must not steer the user's terminal."""

from __future__ import annotations

_CONTROL = {code: f"\\x{code:02x}" for code in [*range(32), *range(127, 160)]}
_CONTROL |= {code: f"\\u{code:04x}" for code in [0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]}
"""Line separators, and the marks that turn the direction of writing round."""
_CONTROL |= {9: "\\t", 10: "\\n", 13: "\\r"}
_JSON = {code: f"\\u{code:04x}" for code in _CONTROL if code >= 127}
"""What JSON may hold as it is and a terminal obeys."""


def visible(text: str) -> str:
    """``text`` with its control characters written as escapes."""
    return text if text.isprintable() else text.translate(_CONTROL)


def visible_values(value: object) -> object:
    """JSON values with all their texts made visible; what is callable gives visible text."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {key: visible_values(item) for key, item in value.items()}
    if isinstance(value, list):
        return [visible_values(item) for item in value]
    if callable(value):
        return lambda *args: visible_values(value(*args))
    return value


def visible_json(text: str) -> str:
    """The JSON document ``text`` with the same meaning and without control characters."""
    return text if text.isascii() and "\x7f" not in text else text.translate(_JSON)


def visible_lines(text: str) -> str:
    """Like ``visible``, but line ends and tabs stay."""
    return "\n".join("\t".join(map(visible, line.split("\t"))) for line in text.split("\n"))
