"""Docker's JSON to the values of ``corten.model``; compiled once per type from its fields.

Keys come from ``corten.api.keys``, in any letter case; unknown ones are ignored. Null leaves a field's default, and a
value of another type is refused with the field's path.
"""

import types
from collections.abc import Callable
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from corten import errors
from corten.api.keys import HIDDEN, key_of
from corten.model import container as model
from corten.model.base import Value

V = TypeVar("V", bound=Value)
Convert = Callable[[Any, str], Any]

TEXT_OR_LIST = frozenset(((model.ContainerConfig, "cmd"), (model.ContainerConfig, "entrypoint")))
"""Lists for which clients may send one string."""

_INT_MIN, _INT_MAX = -(1 << 63), (1 << 63) - 1
_NAMES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "list", dict: "object"}


def decode(kind: type[V], document: Any, path: str = "") -> V:
    """*document* (out of JSON) as a *kind*. Raises InvalidArgument that names the field."""
    value: V = _struct(kind)(document, path or kind.__name__)
    return value


def sent_fields(kind: type[Value], document: dict[str, Any]) -> set[str]:
    """The fields of *kind* that *document* has a key for, null or not."""
    table = _fields(kind)
    found = (table.get(key.lower()) for key in document)
    return {field[0] for field in found if field is not None}


def _refuse(value: Any, wanted: str, path: str) -> errors.InvalidArgument:
    got = "null" if value is None else _NAMES.get(type(value), type(value).__name__)
    return errors.InvalidArgument(f"invalid JSON: {path}: expected {wanted}, got {got}")


def _text(value: Any, path: str) -> Any:
    if type(value) is str:
        return value
    if value is None:
        return ""
    raise _refuse(value, "string", path)


def _integer(value: Any, path: str) -> Any:
    if type(value) is int:
        if _INT_MIN <= value <= _INT_MAX:
            return value
        raise errors.InvalidArgument(f"invalid JSON: {path}: {value} does not fit 64 bits")
    if value is None:
        return 0
    raise _refuse(value, "integer", path)


def _boolean(value: Any, path: str) -> Any:
    if type(value) is bool:
        return value
    if value is None:
        return False
    raise _refuse(value, "boolean", path)


def _anything(value: Any, path: str) -> Any:
    return value


def _optional(inner: Convert) -> Convert:
    def convert(value: Any, path: str) -> Any:
        return None if value is None else inner(value, path)

    return convert


def _list(item: Convert) -> Convert:
    def convert(value: Any, path: str) -> Any:
        if type(value) is not list:
            raise _refuse(value, "list", path)
        return [item(entry, f"{path}[{index}]") for index, entry in enumerate(value)]

    return convert


def _map(item: Convert) -> Convert:
    def convert(value: Any, path: str) -> Any:
        if type(value) is not dict:
            raise _refuse(value, "object", path)
        return {key: item(entry, f"{path}.{key}") for key, entry in value.items()}

    return convert


def _text_or_list(value: Any, path: str) -> Any:
    return [value] if type(value) is str else _lines(value, path)


_lines = _list(_text)
_compiled: dict[type[Value], Convert] = {}
_tables: dict[type[Value], dict[str, tuple[str, str, Convert, bool]]] = {}
_PLAIN: dict[Any, Convert] = {str: _text, int: _integer, bool: _boolean, Any: _anything}


def _converter(hint: Any) -> Convert:
    """The converter of one type hint: plain types, Value structs, lists, maps, and any of these or None."""
    plain = _PLAIN.get(hint)
    if plain is not None:
        return plain
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = next(argument for argument in arguments if argument is not type(None))
        return _optional(_converter(inner))
    if origin is list:
        return _list(_converter(arguments[0]))
    if origin is dict:
        return _map(_converter(arguments[1]))
    return _struct(hint)


def _fields(kind: type[Value]) -> dict[str, tuple[str, str, Convert, bool]]:
    """Lower-case key → field, key, converter, and whether null leaves the default."""
    table = _tables.get(kind)
    if table is None:
        hints = get_type_hints(kind)
        hidden = HIDDEN.get(kind, frozenset())
        table = {}
        for field in kind.__struct_fields__:
            if field in hidden:
                continue
            convert = _optional(_text_or_list) if (kind, field) in TEXT_OR_LIST else _converter(hints[field])
            key = key_of(field)
            nullable = type(None) in get_args(hints[field])
            table[key.lower()] = (field, key, convert, not nullable)
        _tables[kind] = table
    return table


def _struct(kind: type[Value]) -> Convert:
    found = _compiled.get(kind)
    if found is not None:
        return found
    table = _fields(kind)
    exact = {key: (field, key, convert, skip_null) for field, key, convert, skip_null in table.values()}

    def convert(value: Any, path: str) -> Any:
        if type(value) is not dict:
            if value is None:
                return kind()
            raise _refuse(value, "object", path)
        found: dict[str, Any] = {}
        for key, entry in value.items():
            known = exact.get(key) or table.get(key.lower())
            if known is None or (entry is None and known[3]):
                continue
            found[known[0]] = known[2](entry, f"{path}.{known[1]}")
        return kind(**found)

    _compiled[kind] = convert
    return convert
