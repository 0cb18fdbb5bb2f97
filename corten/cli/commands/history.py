"""``corten history``."""

from __future__ import annotations

import time

from corten.cli import listing, units
from corten.cli.command import Command
from corten.cli.commands.inspect import platform
from corten.cli.commands.ps import FORMAT_HELP
from corten.cli.flags import Flag
from corten.cli.listing import Columns
from corten.client import query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corten.cli.app import App
    from corten.cli.flags import Options

FLAGS = (
    Flag("format", "string", FORMAT_HELP),
    Flag("human", help="Show sizes and dates as people read them", short="H", default=True),
    Flag("no-trunc", help="Show everything in full"),
    Flag("platform", "string", "Show this platform of the image, as in linux/arm64"),
    Flag("quiet", help="Show only ids", short="q"),
)
_HEADINGS = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}


def _run(app: App, options: Options) -> None:
    wanted = platform(options.text("platform")) if options.given("platform") else None
    layers = app.client.get(f"/images/{query.quote(options.args[0])}/history", {"platform": wanted})
    human, full = options.on("human"), options.on("no-trunc")
    rows = [_row(layer, human, full) for layer in layers]
    template = options.text("format")
    if options.on("quiet"):
        if template in ("", "table"):
            app.write("".join(f"{row['ID']}\n" for row in rows))
            return
        template = "{{.ID}}"
    created = "CreatedSince" if human else "CreatedAt"
    columns = Columns("HistoryContext", ("ID", created, "CreatedBy", "Size", "Comment"), _HEADINGS)
    listing.show(app, columns, rows, template, fit=not full)


def _row(layer: dict[str, Any], human: bool, full: bool) -> dict[str, Any]:
    by = layer["CreatedBy"].replace("\t", " ")
    created = layer["Created"]
    return {
        "ID": layer["Id"] if full else units.short_id(layer["Id"]),
        "CreatedSince": units.ago(created) if created > 0 else "N/A",
        "CreatedAt": ""
        if created <= 0
        else time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(created)) + _zone(created),
        "CreatedBy": by if full else units.ellipsis(by, 45),
        "Size": units.decimal_size(layer["Size"], 3) if human else str(layer["Size"]),
        "Comment": layer["Comment"],
    }


def _zone(moment: int) -> str:
    offset = time.strftime("%z", time.localtime(moment))
    return "Z" if offset == "+0000" else f"{offset[:3]}:{offset[3:]}"


COMMAND = Command(_run, "[OPTIONS] IMAGE", FLAGS, minimum=1, maximum=1)
