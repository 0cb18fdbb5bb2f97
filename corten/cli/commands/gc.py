"""``corten system gc``: remove what nothing needs, or tell what would go and why."""

from __future__ import annotations

from corten.cli import table, units
from corten.cli.command import Command
from corten.cli.failure import Failure
from corten.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corten.cli.app import App
    from corten.cli.flags import Options

_LIMITS = ("max-age", "keep-storage", "min-free-space", "partial-max-age")
FLAGS = (
    Flag("all", help="Show what stays too, and who needs it", short="a"),
    Flag("dry-run", help="Remove nothing, only tell what would go"),
    Flag("format", "string", '"table" or "json"', shown="table"),
    Flag("keep-storage", "string", "Remove unused images until content takes no more than this (10GB)"),
    Flag("max-age", "string", "Remove unused images that came in or were named longer ago than this (720h)"),
    Flag("min-free-space", "string", "Remove unused images until the file system has this much left (5GB)"),
    Flag("partial-max-age", "string", "Remove downloads that broke off longer ago than this (168h)"),
    Flag("tagged", help="Count images that have a name among the unused ones"),
)
ABOUT = """Removes blobs and layers that no image, container or lease needs, and downloads that broke off long ago.
Images go only by the limits, and those with a name only with --tagged; what is not given here is as the daemon's
configuration says (gc in daemon.json)."""


def _run(app: App, options: Options) -> int:
    form = options.text("format") or "table"
    if form not in ("table", "json"):
        raise Failure(f'invalid format "{form}": table or json')
    query: dict[str, Any] = {name: options.text(name) for name in _LIMITS if options.given(name)}
    query |= {name: True for name in ("all", "dry-run", "tagged") if options.on(name)}
    answer = app.client.post("/corten/gc", query)
    if form == "json":
        import json

        app.print(json.dumps(answer, indent=2))
        return 0
    dry = options.on("dry-run")
    rows = [_row("would go" if dry else "removed", item) for item in answer["Removed"] or ()]
    rows += [_row("stays", item) for item in answer["Kept"] or ()]
    if rows:
        app.write(table.render([["WHAT", "KIND", "ID", "SIZE", "REASON"], *rows]))
    if answer["Held"]:
        app.print(f"Nothing else was looked at: {answer['Held']}")
    size = units.decimal_size(answer["SpaceReclaimed"])
    app.print(f"{'Reclaimable' if dry else 'Total reclaimed'} space: {size}")
    return 0


def _row(what: str, item: dict[str, Any]) -> list[str]:
    name = (item["Names"] or [item["ID"].removeprefix("sha256:")[:12]])[0]
    return [what, item["Kind"], name, units.decimal_size(item["Size"]), item["Reason"]]


COMMAND = Command(_run, "[OPTIONS]", FLAGS, maximum=0, about=ABOUT)
