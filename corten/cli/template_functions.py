"""The functions of templates: Go's own, and those that docker adds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from corten.cli.escape import visible_json
from corten.cli.listing import json_line


class CallError(Exception):
    """A function refused its arguments."""


class _Nil:
    """A pointer to nothing."""

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return "<nil>"


NIL = _Nil()


def truth(value: Any) -> bool:
    """Go's idea of a true value: not false, zero, nil or empty."""
    return bool(value)


def go_text(value: Any, top: bool = False) -> str:
    """``value`` as Go prints it with ``%v``."""
    if value is None:
        return "<no value>" if top else "<nil>"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{go_text(item)}" for key, item in sorted(value.items())) + "]"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(go_text(item) for item in value) + "]"
    if isinstance(value, float):
        return _float(value)
    return str(value)


def _float(value: float) -> str:
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    if "e" not in text and abs(value) < 1e-4:
        text = f"{value:e}"
        mantissa, _, exponent = text.partition("e")
        return mantissa.rstrip("0").rstrip(".") + "e" + exponent
    return text


def _json(value: Any) -> str:
    if isinstance(value, dict) and any(callable(item) for item in value.values()):
        return json_line(value)
    return visible_json(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=lambda nothing: None))


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else list(text)


def _join(items: Any, separator: str) -> str:
    if items is None:
        return ""
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise CallError("expected []string")
    return separator.join(items)


def _title(text: str) -> str:
    return re.sub(r"(?<![\w'])\w", lambda found: found.group().upper(), text)


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if text else text


def _truncate(text: str, length: int) -> str:
    return text[:length]


def _len(value: Any) -> int:
    if value is None:
        raise CallError("len of nil pointer")
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, (list, dict)):
        return len(value)
    raise CallError(f"len of type {type(value).__name__}")


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if value is None:
            raise CallError("index of untyped nil")
        if isinstance(value, dict):
            value = value.get(str(key), _zero(value))
            continue
        if isinstance(key, bool) or not isinstance(key, int):
            raise CallError(f"cannot index slice/array with type {type(key).__name__}")
        if isinstance(value, str):
            value = list(value.encode())
        if not 0 <= key < len(value):
            raise CallError(f"index out of range: {key}")
        value = value[key]
    return value


def _zero(value: dict[str, Any]) -> Any:
    """What a missing key of a map gives: the zero value of its kind, as far as the other entries tell."""
    kinds = {type(item) for item in value.values()}
    return "" if not kinds or kinds == {str} else None


def _slice(value: Any, *bounds: int) -> Any:
    if any(not 0 <= bound <= len(value) for bound in bounds):
        raise CallError("index out of range")
    return value[slice(*bounds)]


def _println(*items: Any) -> str:
    return " ".join(go_text(item) for item in items) + "\n"


def _print(*items: Any) -> str:
    result = ""
    for position, item in enumerate(items):
        if position and not isinstance(item, str) and not isinstance(items[position - 1], str):
            result += " "
        result += go_text(item)
    return result


_VERB = re.compile(r"%([-+# 0]*)(\d*)(?:\.(\d+))?([a-zA-Z%])")


def _printf(template: str, *items: Any) -> str:
    left = list(items)

    def one(found: re.Match[str]) -> str:
        flags, width, precision, verb = found.groups()
        if verb == "%":
            return "%"
        if not left:
            return f"%!{verb}(MISSING)"
        return _verb(verb, flags, width, precision, left.pop(0))

    return _VERB.sub(one, template)


def _verb(verb: str, flags: str, width: str, precision: str | None, item: Any) -> str:
    places = "" if precision is None else f".{precision}"
    sign = flags.replace("#", "")
    if verb == "q":
        return f"%{sign}{width}s" % json.dumps(go_text(item), ensure_ascii=False)
    if verb in "dxXobc" and isinstance(item, int):
        return f"%{sign}{width}{verb}" % item if verb != "b" else f"{item:b}"
    if verb in "feEgG" and isinstance(item, (int, float)):
        return f"%{sign}{width}{places}{verb}" % item
    if verb in "xX" and isinstance(item, str):
        return item.encode().hex()
    if verb in "svtd":
        return f"%{sign.replace('0', '')}{width}{places if verb == 's' else ''}s" % go_text(item)
    return f"%!{verb}({go_text(item)})"


def _and(*items: Callable[[], Any]) -> Any:
    value: Any = None
    for item in items:
        value = item() if callable(item) else item
        if not truth(value):
            return value
    return value


def _or(*items: Callable[[], Any]) -> Any:
    value: Any = None
    for item in items:
        value = item() if callable(item) else item
        if truth(value):
            return value
    return value


def _eq(first: Any, *others: Any) -> bool:
    if not others:
        raise CallError("missing argument for comparison")
    return any(first == other and isinstance(first, bool) == isinstance(other, bool) for other in others)


def _less(first: Any, second: Any) -> bool:
    if isinstance(first, str) != isinstance(second, str):
        raise CallError("incompatible types for comparison")
    return bool(first < second)


def _html(*items: Any) -> str:
    text = _print(*items)
    for char, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;"), ("'", "&#39;")):
        text = text.replace(char, escaped)
    return text


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "json": _json,
    "split": _split,
    "join": _join,
    "title": _title,
    "lower": lambda text: str(text).lower(),
    "upper": lambda text: str(text).upper(),
    "pad": _pad,
    "truncate": _truncate,
    "len": _len,
    "index": _index,
    "slice": _slice,
    "println": _println,
    "print": _print,
    "printf": _printf,
    "and": _and,
    "or": _or,
    "not": lambda value: not truth(value),
    "eq": _eq,
    "ne": lambda first, second: not _eq(first, second),
    "lt": _less,
    "le": lambda first, second: not _less(second, first),
    "gt": lambda first, second: _less(second, first),
    "ge": lambda first, second: not _less(first, second),
    "html": _html,
    "quote": lambda value: json.dumps(go_text(value), ensure_ascii=False),
}

HEADING_FUNCTIONS = FUNCTIONS | {
    "json": str,
    "title": str,
    "lower": str,
    "upper": str,
    "split": lambda text, separator="": text,
    "join": lambda text, separator="": text,
    "truncate": lambda text, length=0: text,
}
"""For the headings of a table, which are texts whatever the rows' fields are."""
