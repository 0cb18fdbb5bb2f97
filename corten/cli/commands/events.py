"""``corten events``."""

from __future__ import annotations

import json
import time

from corten.cli import listing, moment
from corten.cli.command import Command
from corten.cli.escape import visible, visible_json
from corten.cli.failure import Failure
from corten.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from corten.cli.app import App
    from corten.cli.flags import Options

FLAGS = (
    Flag("filter", "filter", "Show only what fits, as in type=container", short="f"),
    Flag("format", "string", "How to print: 'json' or a Go template"),
    Flag("since", "string", "Begin with what happened after a time, or since a while (42m)"),
    Flag("until", "string", "End at a time, or a while ago"),
)


def _run(app: App, options: Options) -> None:
    line = _formatter(options.text("format"))
    query = {
        "since": moment.stamp(options.text("since")) or None,
        "until": moment.stamp(options.text("until")) or None,
        "filters": listing.filters(options.value("filter")),
    }
    for event in app.client.call("GET", "/events", query).records():
        app.print(line(event))
        app.flush()


def _formatter(template: str) -> Callable[[dict[str, Any]], str]:
    if not template:
        return _line
    if template == "json":
        return lambda event: visible_json(json.dumps(event, ensure_ascii=False, separators=(",", ":")))
    from corten.cli.template import Template, TemplateError

    compiled = Template(template.replace("\\t", "\t").replace("\\n", "\n"))

    def templated(event: dict[str, Any]) -> str:
        try:
            return compiled.execute(event)
        except TemplateError as error:
            raise Failure(str(error)) from None

    return templated


def _line(event: dict[str, Any]) -> str:
    actor = event.get("Actor") or {}
    text = f"{_time(event)} {event.get('Type', '')} {event.get('Action', '')} {actor.get('ID', '')}"
    attributes = actor.get("Attributes") or {}
    if attributes:
        text += " (" + ", ".join(f"{name}={attributes[name]}" for name in sorted(attributes)) + ")"
    return visible(text)


def _time(event: dict[str, Any]) -> str:
    nanoseconds = event.get("timeNano") or (event.get("time") or 0) * 10**9
    seconds, rest = divmod(nanoseconds, 10**9)
    local = time.localtime(seconds)
    zone = time.strftime("%z", local)
    shown = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{rest:09d}{shown}"


COMMAND = Command(_run, "[OPTIONS]", FLAGS, maximum=0)
