"""What a log line's source is called: tags and attributes."""

import re
import socket
from collections.abc import Mapping

import msgspec

from corten import errors
from corten.model.base import Value
from corten.model.record import Record
from corten.wire.regex import Regex

DEFAULT_TAG = "{{.ID}}"
_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
_FIELDS = ("ID", "FullID", "Name", "ImageID", "ImageFullID", "ImageName", "DaemonName", "Hostname", "Command")


class Source(Value, frozen=True):
    """The container that lines come from, as templates and attributes see it."""

    id: str
    name: str
    image_id: str = ""
    image_name: str = ""
    command: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    env: list[str] = msgspec.field(default_factory=list)

    @classmethod
    def of(cls, record: Record) -> "Source":
        """The source that a container's record describes."""
        return cls(
            id=record.id,
            name=record.name.removeprefix("/"),
            image_id=record.image,
            image_name=record.config.image,
            command=" ".join([record.path, *record.args]),
            labels=dict(record.config.labels or {}),
            env=list(record.config.env or []),
        )


def check_tag(template: str) -> None:
    """Refuse a template that names anything but a field of the source. InvalidArgument."""
    for action in _ACTION.findall(template):
        if action.removeprefix(".") not in _FIELDS or not action.startswith("."):
            raise errors.InvalidArgument(
                f"invalid tag template: {{{{{action}}}}} is not supported; fields are "
                + ", ".join(f".{name}" for name in _FIELDS)
            )
    if "{{" in _ACTION.sub("", template):
        raise errors.InvalidArgument(f"invalid tag template: unclosed action in {template}")


def render_tag(options: Mapping[str, str], source: Source) -> str:
    """The tag of a source's lines: the option's template, by default the short id."""
    values = {
        "ID": source.id[:12],
        "FullID": source.id,
        "Name": source.name,
        "ImageID": source.image_id.removeprefix("sha256:")[:12],
        "ImageFullID": source.image_id,
        "ImageName": source.image_name,
        "DaemonName": "docker",
        "Hostname": socket.gethostname(),
        "Command": source.command,
    }
    template = options.get("tag") or DEFAULT_TAG
    return _ACTION.sub(lambda match: values.get(match[1].removeprefix("."), ""), template)


def attributes(options: Mapping[str, str], source: Source) -> dict[str, str]:
    """What the options ``labels``, ``labels-regex``, ``env`` and ``env-regex`` pick from the source."""
    result = _picked(options.get("labels", ""), options.get("labels-regex", ""), source.labels)
    environment = dict(entry.partition("=")[::2] for entry in source.env)
    result.update(_picked(options.get("env", ""), options.get("env-regex", ""), environment))
    return result


def _picked(names: str, expression: str, values: Mapping[str, str]) -> dict[str, str]:
    result = {name: values[name] for name in names.split(",") if name in values}
    if expression:
        pattern = Regex(expression)
        result.update({name: value for name, value in values.items() if pattern.search(name)})
    return result
