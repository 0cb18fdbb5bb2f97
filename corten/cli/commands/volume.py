"""``corten volume``: create, ls, rm."""

from __future__ import annotations

from corten.cli import listing
from corten.cli.command import Command
from corten.cli.commands.ps import FORMAT_HELP
from corten.cli.failure import explain
from corten.cli.flags import Flag
from corten.cli.listing import Columns
from corten.client import query
from corten.client.error import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corten.cli.app import App
    from corten.cli.flags import Options

_HEADINGS = {
    "Driver": "DRIVER",
    "Name": "VOLUME NAME",
    "Scope": "SCOPE",
    "Mountpoint": "MOUNTPOINT",
    "Labels": "LABELS",
    "Links": "LINKS",
    "Size": "SIZE",
    "Group": "GROUP",
    "Availability": "AVAILABILITY",
    "Status": "STATUS",
}


def _create(app: App, options: Options) -> None:
    name = options.args[0] if options.args else ""
    body = {
        "Name": name,
        "Driver": options.text("driver"),
        "DriverOpts": dict(options.value("opt")),
        "Labels": dict(options.value("label")),
    }
    app.print(app.client.post("/volumes/create", None, body)["Name"])


def row(volume: dict[str, Any]) -> dict[str, Any]:
    """The fields of one volume."""
    labels = volume.get("Labels") or {}
    usage = volume.get("UsageData") or {}
    return {
        "Driver": volume["Driver"],
        "Name": volume["Name"],
        "Scope": volume.get("Scope", ""),
        "Mountpoint": volume.get("Mountpoint", ""),
        "Labels": listing.labels(labels),
        "Label": lambda name: labels.get(name, ""),
        "Links": str(usage["RefCount"]) if usage else "N/A",
        "Size": _size(usage),
        "Group": "N/A",
        "Availability": "N/A",
        "Status": "N/A",
    }


def _size(usage: dict[str, Any]) -> str:
    from corten.cli import units

    return units.decimal_size(usage["Size"]) if usage else "N/A"


def _ls(app: App, options: Options) -> None:
    answer = app.client.get("/volumes", {"filters": listing.filters(options.value("filter"))})
    volumes = sorted(answer.get("Volumes") or [], key=lambda volume: listing.sort_key(volume["Name"]))
    template = app.format(options, "volumesFormat")
    if options.on("quiet"):
        if template in ("", "table"):
            app.write("".join(f"{volume['Name']}\n" for volume in volumes))
            return
        template = "{{.Name}}"
    columns = Columns("volumeContext", ("Driver", "Name"), _HEADINGS, {"name": "Name", "driver": "Driver"})
    listing.show(app, columns, [row(volume) for volume in volumes], template)


def _rm(app: App, options: Options) -> int:
    code = 0
    for name in options.args:
        try:
            app.client.delete(f"/volumes/{query.quote(name)}", {"force": True if options.on("force") else None})
        except ApiError as error:
            app.warn(explain(error))
            code = 1
        else:
            app.print(name)
    return code


CREATE = Command(
    _create,
    "[OPTIONS] [VOLUME]",
    (
        Flag("driver", "string", "Driver of the volume", short="d", default="local"),
        Flag("label", "label", "Set a label (NAME=VALUE)"),
        Flag("opt", "map", "Option of the driver (NAME=VALUE)", short="o"),
    ),
    maximum=1,
)
LS = Command(
    _ls,
    "[OPTIONS]",
    (
        Flag("filter", "filter", "Show only what fits, as in dangling=true", short="f"),
        Flag("format", "string", FORMAT_HELP),
        Flag("quiet", help="Show only names", short="q"),
    ),
    maximum=0,
)
RM = Command(
    _rm,
    "[OPTIONS] VOLUME [VOLUME...]",
    (Flag("force", help="Do not mind volumes that do not exist", short="f"),),
    minimum=1,
)
