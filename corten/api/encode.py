"""The values of ``corten.model`` to Docker's JSON; compiled once per type from its fields.

Every key of ``corten.api.keys`` is present but for those in ``OMIT_EMPTY``; None is null, an empty list or map stays
empty.
"""

import types
from collections.abc import Callable
from operator import attrgetter
from typing import Any, Union, get_args, get_origin, get_type_hints

from corten.api.keys import HIDDEN, key_of
from corten.model import container as model
from corten.model.base import Value

OMIT_EMPTY: dict[type[Value], frozenset[str]] = {
    model.ContainerConfig: frozenset(
        (
            "exposed_ports",
            "healthcheck",
            "args_escaped",
            "network_disabled",
            "mac_address",
            "on_build",
            "stop_signal",
            "stop_timeout",
            "shell",
        )
    ),
    model.HostConfig: frozenset(("annotations", "storage_opt", "tmpfs", "sysctls", "runtime", "mounts", "init")),
    model.Healthcheck: frozenset(model.Healthcheck.__struct_fields__),
    model.MountSpec: frozenset(model.MountSpec.__struct_fields__),
    model.BindOptions: frozenset(model.BindOptions.__struct_fields__),
    model.VolumeOptions: frozenset(model.VolumeOptions.__struct_fields__),
    model.DriverConfig: frozenset(model.DriverConfig.__struct_fields__),
    model.ImageOptions: frozenset(model.ImageOptions.__struct_fields__),
    model.TmpfsOptions: frozenset(model.TmpfsOptions.__struct_fields__),
    model.EndpointIPAMConfig: frozenset(model.EndpointIPAMConfig.__struct_fields__),
    model.MountPoint: frozenset(("type", "name", "driver")),
}
"""Keys that are left out when empty (false, 0, "", null, [] and {}); a bool or int that may be null only when null."""

Encode = Callable[[Any], Any]


def encode(value: Value) -> dict[str, Any]:
    """*value* as Docker's JSON object."""
    document: dict[str, Any] = _encoder(type(value))(value)
    return document


_encoders: dict[type[Value], Encode] = {}


def _encoder(kind: type[Value]) -> Encode:
    found = _encoders.get(kind)
    if found is not None:
        return found
    hints = get_type_hints(kind)
    hidden = HIDDEN.get(kind, frozenset())
    omit = OMIT_EMPTY.get(kind, frozenset())
    fields = [field for field in kind.__struct_fields__ if field not in hidden]
    keys = [key_of(field) for field in fields]
    getter = attrgetter(*fields) if len(fields) > 1 else _single(fields[0])
    special: list[tuple[str, Encode]] = []
    optional: list[tuple[str, bool]] = []
    for field, key in zip(fields, keys, strict=True):
        nested = _nested(hints[field])
        if nested is not None:
            special.append((key, nested))
        if field in omit:
            arguments = get_args(hints[field])
            optional.append((key, type(None) in arguments and (bool in arguments or int in arguments)))

    def convert(value: Any) -> Any:
        document = dict(zip(keys, getter(value), strict=True))
        for key, nested in special:
            if document[key] is not None:
                document[key] = nested(document[key])
        for key, only_null in optional:
            if document[key] is None or (not only_null and not document[key]):
                del document[key]
        return document

    _encoders[kind] = convert
    return convert


def _single(field: str) -> Callable[[Any], tuple[Any]]:
    def getter(value: Any) -> tuple[Any]:
        return (getattr(value, field),)

    return getter


def _nested(hint: Any) -> Encode | None:
    """How to write a value that holds structs; None for what JSON takes as it is."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _nested(next(argument for argument in arguments if argument is not type(None)))
    if origin is list:
        item = _nested(arguments[0])
        return None if item is None else lambda value: [item(entry) for entry in value]
    if origin is dict:
        entry = _nested(arguments[1])
        if entry is None:
            return None
        return lambda value: {key: None if part is None else entry(part) for key, part in value.items()}
    if isinstance(hint, type) and issubclass(hint, Value):
        return _encoder(hint)
    return None
