"""Lists of things: the table, JSON lines, or the user's template."""

from __future__ import annotations

import json
import sys

from corten.cli import table
from corten.cli.escape import visible, visible_json, visible_values
from corten.cli.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from corten.cli.app import App
    from corten.cli.template import Template

    Row = Mapping[str, Any]


class Columns:
    """What a list can show. ``headings`` has every field's heading, ``default`` the fields of the plain table.

    ``kind`` is what messages about templates call a row. A field whose value is callable is a method (``.Label "x"``)
    and is left out of JSON. ``raw`` has the labels and fields of the format of that name, where there is one.
    """

    __slots__ = ("default", "headings", "kind", "raw")

    def __init__(
        self, kind: str, default: Sequence[str], headings: Mapping[str, str], raw: Mapping[str, str] | None = None
    ) -> None:
        self.kind = kind
        self.default = tuple(default)
        self.headings = headings
        self.raw = raw


def show(app: App, columns: Columns, rows: Sequence[Row], template: str = "", *, fit: bool = True) -> None:
    """Print ``rows`` as ``--format`` asks: empty or ``table``, ``table TEMPLATE``, ``json`` or a template."""
    terminal = app.terminal_width()
    if terminal is not None and template not in ("", "table", "json"):
        rows = [{name: visible_values(value) for name, value in row.items()} for row in rows]
    app.write(render(columns, rows, template, terminal if fit else None))


def render(columns: Columns, rows: Sequence[Row], template: str, terminal: int | None = None) -> str:
    """The text that ``show`` prints."""
    if template in ("", "table"):
        heading = [columns.headings[name] for name in columns.default]
        body = [[str(row[name]) for name in columns.default] for row in rows]
        return table.render([heading, *body], terminal)
    if template == "json":
        return "".join([json_line(row) + "\n" for row in rows])
    if template == "raw" and columns.raw is not None:
        return "".join([_raw(columns.raw, row) for row in rows])
    return _templated(columns, rows, template, terminal)


def _raw(fields: Mapping[str, str], row: Row) -> str:
    lines = [f"{label}: {visible(str(row[name]))}".rstrip() + "\n" for label, name in fields.items()]
    return "".join(lines) + "\n"


def _templated(columns: Columns, rows: Sequence[Row], template: str, terminal: int | None) -> str:
    from corten.cli.template import Template, TemplateError

    as_table = template.startswith("table")
    text = template.removeprefix("table") if as_table else template
    try:
        compiled = Template(text.strip(" ").replace("\\t", "\t").replace("\\n", "\n"), columns.kind)
        heading = {**columns.headings, "Label": _label_heading}
        if not as_table:
            if not rows:
                _check_fields(compiled, heading)
            return "".join([compiled.execute(row) + "\n" for row in rows])
        lines = [compiled.headings(heading), *[compiled.execute(row) for row in rows]]
    except TemplateError as error:
        raise Failure(str(error)) from None
    split = [line.split("\t") for text in lines for line in text.split("\n")]
    most = max(map(len, split))
    return table.render([[*cells, *[""] * (most - len(cells))] for cells in split], terminal)


def _check_fields(compiled: Template, heading: Row) -> None:
    """An unknown field is an error even where there is no row to show it."""
    from corten.cli.template import TemplateError

    try:
        compiled.headings(heading)
    except TemplateError as error:
        if " in type *formatter." in str(error):
            raise


def _label_heading(name: str) -> str:
    return name.rpartition(".")[2].replace("-", " ").replace("_", " ")


def json_line(row: Row) -> str:
    """A row as one line of JSON with sorted names."""
    shown = {name: row[name] for name in sorted(row) if not callable(row[name])}
    text = json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
    for char, escaped in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(char, escaped)
    return visible_json(text)


def labels(values: Mapping[str, str] | None) -> str:
    """Labels as one text, sorted: ``a=b,c=d``."""
    return ",".join([f"{name}={value}" for name, value in sorted((values or {}).items())])


def sort_key(text: str) -> tuple[object, ...]:
    """Sorts as people expect: ``web2`` before ``web10``."""
    parts: list[object] = []
    digits = ""
    for char in text + "\0":
        if char.isdigit():
            digits += char
            continue
        if digits:
            parts.append((0, int(digits), ""))
            digits = ""
        parts.append((1, 0, char))
    return tuple(parts)


def filters(pairs: Sequence[tuple[str, str]]) -> str | None:
    """``--filter`` values as the API wants them: ``{"name": {"value": true}}`` in JSON, None when there are none."""
    result: dict[str, dict[str, bool]] = {}
    for name, value in pairs:
        result.setdefault(name, {})[value] = True
    return json.dumps(result, separators=(",", ":")) if result else None


def warn(text: str) -> None:
    """A line on standard error."""
    sys.stderr.write(text + "\n")
