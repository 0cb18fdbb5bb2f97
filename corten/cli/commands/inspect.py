"""``corten inspect`` and the inspect commands of the groups."""

from __future__ import annotations

import json

from corten.cli.command import Command
from corten.cli.escape import visible_json, visible_values
from corten.cli.failure import Failure, explain
from corten.cli.flags import Flag
from corten.client import query
from corten.client.error import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from corten.cli.app import App
    from corten.cli.flags import Options

    Look = Callable[[str], Any]

_FORMAT = Flag("format", "string", "How to print: 'json' or a Go template", short="f")
_SIZE = Flag("size", help="Show how much containers have written", short="s")
_KINDS = {
    "container": "/containers/{}/json",
    "image": "/images/{}/json",
    "network": "/networks/{}",
    "volume": "/volumes/{}",
}


_ESCAPED = {code: f"\\u{code:04x}" for code in b"<>&"}
"""As Go's encoder writes them."""


def _look(app: App, options: Options, kind: str, name: str) -> Any:
    values: dict[str, str | bool | None] = {}
    if kind == "container" and "size" in options and options.on("size"):
        values["size"] = True
    if kind == "network" and "verbose" in options and options.on("verbose"):
        values["verbose"] = True
    if kind == "image" and "platform" in options and options.text("platform"):
        values["platform"] = platform(options.text("platform"))
    return app.client.get(_KINDS[kind].format(query.quote(name)), values)


def platform(text: str) -> str:
    """``linux/arm64/v8`` as the JSON that the API takes."""
    names = ("os", "architecture", "variant")
    return json.dumps(dict(zip(names, text.split("/"), strict=False)), separators=(",", ":"))


def _any(app: App, options: Options) -> int:
    kind = options.text("type")
    if options.given("type") and kind not in _KINDS:
        raise Failure(f'unknown type: "{kind}": must be one of "container", "image", "network" or "volume"')

    def look(name: str) -> Any:
        if kind:
            return _look(app, options, kind, name)
        for each in _KINDS:
            try:
                return _look(app, options, each, name)
            except ApiError as error:
                if error.status != 404 and not (error.status == 400 and each != "container"):
                    raise
        raise Failure(f"Error: No such object: {name}")

    return _show(app, options, look)


def _one(kind: str) -> Callable[[App, Options], int]:
    return lambda app, options: _show(app, options, lambda name: _look(app, options, kind, name))


def _show(app: App, options: Options, look: Look) -> int:
    """Print what was found as one array, or by the template, then what went wrong."""
    found: list[Any] = []
    problems: list[str] = []
    for name in options.args:
        try:
            found.append(look(name))
        except ApiError as error:
            problems.append(explain(error))
        except Failure as failure:
            problems.append(failure.message)
    template = options.text("format")
    if template in ("", "json"):
        app.print(_document(found, template))
    elif found:
        _templated(app, template, found)
    else:
        app.print("")
    for problem in problems:
        app.warn(problem)
    return 1 if problems else 0


def _document(found: list[Any], template: str) -> str:
    if template == "json":
        text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    else:
        text = json.dumps(found, ensure_ascii=False, indent=4)
    return visible_json(text.translate(_ESCAPED))


def _templated(app: App, template: str, found: list[Any]) -> None:
    from corten.cli.template import Template, TemplateError

    try:
        compiled = Template(template)
        if app.terminal_width() is not None:
            found = [visible_values(document) for document in found]
        for document in found:
            app.print(compiled.execute(document))
    except TemplateError as error:
        app.print("")
        raise Failure(str(error)) from None


INSPECT = Command(
    _any,
    "[OPTIONS] NAME|ID [NAME|ID...]",
    (_FORMAT, _SIZE, Flag("type", "string", "Look only for container, image, network or volume")),
    minimum=1,
)
CONTAINER = Command(_one("container"), "[OPTIONS] CONTAINER [CONTAINER...]", (_FORMAT, _SIZE), minimum=1)
IMAGE = Command(
    _one("image"),
    "[OPTIONS] IMAGE [IMAGE...]",
    (_FORMAT, Flag("platform", "string", "Show this platform of the image, as in linux/arm64")),
    minimum=1,
)
NETWORK = Command(
    _one("network"),
    "[OPTIONS] NETWORK [NETWORK...]",
    (_FORMAT, Flag("verbose", help="Show diagnostic details", short="v")),
    minimum=1,
)
VOLUME = Command(_one("volume"), "[OPTIONS] VOLUME [VOLUME...]", (_FORMAT,), minimum=1)
