"""``--mount`` and ``--volume``."""

from __future__ import annotations

import os

from corten.cli import values
from corten.cli.container.values import fields
from corten.cli.values import BadValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TYPE_OF_PREFIX = {"volume-": "volume", "bind-": "bind", "tmpfs-": "tmpfs", "image-": "image"}


def parse(text: str) -> dict[str, Any]:
    """A value of ``--mount`` as a Mount of the API. BadValue with docker's words."""
    mount: dict[str, Any] = {"Type": "volume"}
    options: dict[str, dict[str, Any]] = {}
    for field in fields(text):
        key, equals, value = field.partition("=")
        key = key.strip().lower()
        if not equals:
            if key not in _BARE:
                raise BadValue(f"invalid field '{field}' must be a key=value pair")
            value = "true"
        _set(mount, options, key, value, field)
    _check(mount, options)
    for kind, section in options.items():
        mount[f"{kind.capitalize()}Options"] = section
    return mount


_BARE = frozenset(("readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-mountpoint"))
_RECURSION: dict[str, dict[str, bool]] = {
    "enabled": {},
    "disabled": {"NonRecursive": True},
    "writable": {"ReadOnlyNonRecursive": True},
    "readonly": {"ReadOnlyForceRecursive": True},
}


def _set(mount: dict[str, Any], options: dict[str, dict[str, Any]], key: str, value: str, field: str) -> None:
    if key == "type":
        mount["Type"] = value.lower()
    elif key in ("source", "src"):
        mount["Source"] = os.path.abspath(value) if value == "." or value.startswith(("./", "../")) else value
    elif key in ("target", "dst", "destination"):
        mount["Target"] = value
    elif key in ("readonly", "ro"):
        mount["ReadOnly"] = _bool(key, value)
    elif key == "consistency":
        mount["Consistency"] = value.lower()
    elif key.startswith("bind-"):
        _set_bind(options.setdefault("bind", {}), key, value, field)
    elif key.startswith("volume-"):
        _set_volume(options.setdefault("volume", {}), key, value, field)
    elif key == "image-subpath":
        options.setdefault("image", {})["Subpath"] = value
    elif key == "tmpfs-size":
        options.setdefault("tmpfs", {})["SizeBytes"] = _checked(key, value, lambda: values.ram_bytes(value))
    elif key == "tmpfs-mode":
        options.setdefault("tmpfs", {})["Mode"] = _checked(key, value, lambda: int(value, 8))
    else:
        raise BadValue(f"unexpected key '{key}' in '{field}'")


def _set_bind(section: dict[str, Any], key: str, value: str, field: str) -> None:
    if key == "bind-propagation":
        section["Propagation"] = value.lower()
    elif key == "bind-nonrecursive":
        section["NonRecursive"] = _bool(key, value)
    elif key == "bind-create-mountpoint":
        section["CreateMountpoint"] = _bool(key, value)
    elif key == "bind-recursive":
        if value not in _RECURSION:
            raise BadValue(
                f'invalid value for {key}: {value} (must be "enabled", "disabled", "writable", or "readonly")'
            )
        section.update(_RECURSION[value])
    else:
        raise BadValue(f"unexpected key '{key}' in '{field}'")


def _set_volume(section: dict[str, Any], key: str, value: str, field: str) -> None:
    if key == "volume-nocopy":
        section["NoCopy"] = _bool(key, value)
    elif key == "volume-subpath":
        section["Subpath"] = value
    elif key == "volume-label":
        name, _, text = value.partition("=")
        section.setdefault("Labels", {})[name] = text
    elif key == "volume-driver":
        section.setdefault("DriverConfig", {})["Name"] = value
    elif key == "volume-opt":
        name, _, text = value.partition("=")
        section.setdefault("DriverConfig", {}).setdefault("Options", {})[name] = text
    else:
        raise BadValue(f"unexpected key '{key}' in '{field}'")


def _bool(key: str, value: str) -> bool:
    try:
        return bool(values.parse("bool", value))
    except BadValue:
        raise BadValue(f"invalid value for {key}: {value}") from None


def _checked(key: str, value: str, convert: Any) -> Any:
    try:
        return convert()
    except (BadValue, ValueError):
        raise BadValue(f"invalid value for {key}: {value}") from None


def _check(mount: dict[str, Any], options: dict[str, dict[str, Any]]) -> None:
    kind = mount["Type"]
    if not kind:
        raise BadValue("type is required")
    if not mount.get("Target"):
        raise BadValue("target is required")
    for prefix, owner in _TYPE_OF_PREFIX.items():
        if owner in options and kind != owner:
            raise BadValue(f"cannot mix '{prefix}*' options with mount type '{kind}'")
    bind = options.get("bind", {})
    if bind.get("ReadOnlyNonRecursive") and not mount.get("ReadOnly"):
        raise BadValue("option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction")
    if bind.get("ReadOnlyForceRecursive"):
        if not mount.get("ReadOnly"):
            raise BadValue("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction")
        if bind.get("Propagation") != "rprivate":
            raise BadValue(
                "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction"
            )


def volumes(specs: list[str]) -> tuple[list[str], dict[str, dict[str, str]]]:
    """``--volume`` values as the API's Binds, with relative sources made absolute, and its anonymous Volumes."""
    binds: list[str] = []
    anonymous: dict[str, dict[str, str]] = {}
    for spec in specs:
        source, colon, rest = spec.partition(":")
        if not colon:
            anonymous[spec] = {}
            continue
        if source.startswith("~/") or source in (".", ".."):
            source = os.path.abspath(os.path.expanduser(source))
        elif source.startswith(("./", "../")):
            source = os.path.abspath(source)
        binds.append(f"{source}:{rest}")
    return binds, anonymous


def tmpfs(specs: list[str]) -> dict[str, str]:
    """``--tmpfs`` values by path."""
    return {path: options for path, _, options in (spec.partition(":") for spec in specs)}
