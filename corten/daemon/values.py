"""The kinds of option values: from the command line's text and from daemon.json's JSON."""

from collections.abc import Callable
from typing import Any

from corten.model.base import Value
from corten.model.container import Ulimit
from corten.model.gc import policy_from
from corten.model.units import size

REPEATED = frozenset(("list", "map", "switches", "runtime", "ulimit", "pools", "gc"))


class Runtime(Value, frozen=True):
    """A registered OCI runtime: the program and the arguments that go before every command."""

    path: str
    arguments: tuple[str, ...] = ()


class AddressPool(Value, frozen=True):
    """A range that new networks are cut from: *base* in CIDR notation, *size* the prefix length of each."""

    base: str
    size: int


def boolean(text: str) -> bool:
    """As Go reads one; ValueError otherwise."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def integer(text: str) -> int:
    """A decimal number; ValueError otherwise."""
    try:
        return int(text, 10)
    except ValueError:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def pair(text: str) -> tuple[str, str]:
    """KEY=VALUE; ValueError without an equals sign."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError(f"expected KEY=VALUE, got '{text}'")
    return key, value


def ulimit(text: str) -> Ulimit:
    """NAME=SOFT[:HARD]."""
    name, limits = pair(text)
    soft, colon, hard = limits.partition(":")
    low = integer(soft)
    high = integer(hard) if colon else low
    if high not in (-1,) and (low == -1 or low > high):
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {low} > {high}")
    return Ulimit(name=name, soft=low, hard=high)


def address_pool(text: str) -> AddressPool:
    """base=CIDR,size=BITS."""
    parts = dict(pair(part) for part in text.split(","))
    if set(parts) != {"base", "size"}:
        raise ValueError(f"expected base=CIDR,size=BITS, got '{text}'")
    return AddressPool(base=parts["base"], size=integer(parts["size"]))


def from_text(kind: str, text: str) -> Any:
    """The value of one flag; the repeated kinds give a list or map with one entry. ValueError says what is wrong."""
    if kind in ("map", "switches", "runtime"):
        key, value = pair(text)
        return {key: _entry_of(kind, value)}
    if kind == "ulimit":
        limit = ulimit(text)
        return {limit.name: limit}
    if kind == "pools":
        return [address_pool(text)]
    if kind == "gc":
        return _policy_words(dict([pair(text)]))
    if kind == "list":
        return [text]
    plain: dict[str, Callable[[str], Any]] = {"text": str, "bool": boolean, "int": integer, "size": size}
    return plain[kind](text)


def _entry_of(kind: str, text: str) -> Any:
    if kind == "switches":
        return boolean(text)
    if kind == "runtime":
        return Runtime(path=text)
    return text


def from_json(kind: str, value: Any) -> Any:
    """The value of one key of daemon.json. ValueError says what was expected."""
    if kind in ("text", "bool", "int"):
        wanted = {"text": str, "bool": bool, "int": int}[kind]
        if type(value) is not wanted:
            raise ValueError(
                f"expected {'a text' if kind == 'text' else 'true or false' if kind == 'bool' else 'a number'}"
            )
        return value
    if kind == "size":
        return value if type(value) is int else size(_text(value))
    if kind == "list":
        return [_text(entry) for entry in _list(value)]
    if kind == "pools":
        return [_pool(entry) for entry in _list(value)]
    entries = _object(value)
    if kind == "gc":
        return _policy_words(entries)
    if kind == "runtime":
        return {name: _runtime(entry) for name, entry in entries.items()}
    if kind == "ulimit":
        return {name: _ulimit(name, entry) for name, entry in entries.items()}
    if kind == "switches":
        return {name: from_json("bool", entry) for name, entry in entries.items()}
    return {name: _text(entry) for name, entry in entries.items()}


def _policy_words(words: dict[str, Any]) -> dict[str, Any]:
    """As they are, once they are known to make a policy."""
    policy_from(words)
    return words


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a text")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("expected a list")
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("expected an object")
    return value


def _runtime(value: Any) -> Runtime:
    entry = _object(value)
    if "runtimeType" in entry or "options" in entry:
        raise ValueError("runtimes with a runtimeType need containerd; give a path")
    if set(entry) - {"path", "runtimeArgs"} or not entry.get("path"):
        raise ValueError("expected an object with path and, if wanted, runtimeArgs")
    return Runtime(path=_text(entry["path"]), arguments=tuple(from_json("list", entry.get("runtimeArgs") or [])))


def _ulimit(name: str, value: Any) -> Ulimit:
    entry = {key.lower(): limit for key, limit in _object(value).items()}
    if _text(entry.get("name", name)) != name:
        raise ValueError(f"the entry {name} names another ulimit")
    return Ulimit(name=name, soft=from_json("int", entry.get("soft", 0)), hard=from_json("int", entry.get("hard", 0)))


def _pool(value: Any) -> AddressPool:
    entry = _object(value)
    return AddressPool(base=_text(entry.get("base")), size=from_json("int", entry.get("size")))
