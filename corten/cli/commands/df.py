"""``corten system df``."""

from __future__ import annotations

import time

from corten.cli import container_row, image_row, listing, table, units
from corten.cli.command import Command
from corten.cli.commands import volume
from corten.cli.commands.ps import FORMAT_HELP
from corten.cli.failure import Failure
from corten.cli.flags import Flag
from corten.cli.listing import Columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corten.cli.app import App
    from corten.cli.flags import Options

FLAGS = (
    Flag("format", "string", FORMAT_HELP),
    Flag("verbose", help="Show every single object", short="v"),
)
_HEADINGS = {
    "Type": "TYPE",
    "TotalCount": "TOTAL",
    "Active": "ACTIVE",
    "Size": "SIZE",
    "Reclaimable": "RECLAIMABLE",
}
_COLUMNS = Columns("diskUsageContext", tuple(_HEADINGS), _HEADINGS)


def _run(app: App, options: Options) -> None:
    usage = app.client.get("/system/df")
    if options.on("verbose"):
        if options.given("format"):
            raise Failure("--format cannot be used with --verbose here")
        _verbose(app, usage)
        return
    rows = [_images(usage), _containers(usage), _volumes(usage), _build_cache(usage)]
    listing.show(app, _COLUMNS, rows, options.text("format"))


def _row(kind: str, count: int, active: int, size: int, reclaimable: int, percent: bool = True) -> dict[str, str]:
    text = units.decimal_size(reclaimable)
    if percent and size > 0:
        text += f" ({reclaimable * 100 // size}%)"
    return {
        "Type": kind,
        "TotalCount": str(count),
        "Active": str(active),
        "Size": units.decimal_size(size),
        "Reclaimable": text,
    }


def _images(usage: dict[str, Any]) -> dict[str, str]:
    images = usage.get("Images") or []
    active = [image for image in images if image.get("Containers", 0) > 0]
    total = usage.get("LayersSize") or 0
    used = sum(
        image["Size"] - image["SharedSize"]
        for image in active
        if image.get("Size", -1) != -1 and image.get("SharedSize", -1) != -1
    )
    return _row("Images", len(images), len(active), total, max(0, total - used))


def _containers(usage: dict[str, Any]) -> dict[str, str]:
    containers = usage.get("Containers") or []
    active = [item for item in containers if item.get("State") in ("running", "paused", "restarting")]
    size = sum(item.get("SizeRw") or 0 for item in containers)
    return _row(
        "Containers", len(containers), len(active), size, size - sum(item.get("SizeRw") or 0 for item in active)
    )


def _volumes(usage: dict[str, Any]) -> dict[str, str]:
    volumes = [item.get("UsageData") or {} for item in usage.get("Volumes") or []]
    sizes = [(max(0, item.get("Size", 0)), item.get("RefCount", 0)) for item in volumes]
    total = sum(size for size, _ in sizes)
    unused = sum(size for size, count in sizes if count == 0)
    return _row("Local Volumes", len(sizes), sum(1 for _, count in sizes if count > 0), total, unused)


def _build_cache(usage: dict[str, Any]) -> dict[str, str]:
    cache = usage.get("BuildCache") or []
    own = [item for item in cache if not item.get("Shared")]
    in_use = sum(1 for item in cache if item.get("InUse"))
    reclaimable = sum(item.get("Size") or 0 for item in own if not item.get("InUse"))
    return _row("Build Cache", len(cache), in_use, sum(item.get("Size") or 0 for item in own), reclaimable, False)


def _verbose(app: App, usage: dict[str, Any]) -> None:
    now = time.time()
    _section(app, "Images space usage:", _image_rows(usage, now))
    _section(app, "\nContainers space usage:", _container_rows(usage, now))
    _section(app, "\nLocal Volumes space usage:", _volume_rows(usage))
    size = sum(item.get("Size") or 0 for item in usage.get("BuildCache") or [] if not item.get("Shared"))
    app.print(f"\nBuild cache usage: {units.decimal_size(size)}\n")
    app.write(table.render(_cache_rows(usage, now)))


def _section(app: App, title: str, rows: list[list[str]]) -> None:
    app.print(f"{title}\n")
    app.write(table.render(rows))


def _image_rows(usage: dict[str, Any], now: float) -> list[list[str]]:
    names = ("Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers")
    rows = [["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"]]
    for image in usage.get("Images") or []:
        row = image_row.rows(image, full=False, digests=False, now=now)[0]
        rows.append([row[name] for name in names])
    return rows


def _container_rows(usage: dict[str, Any], now: float) -> list[list[str]]:
    rows = [["CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES"]]
    for item in usage.get("Containers") or []:
        row = container_row.row(item, full=False, now=now)
        size = units.decimal_size(item.get("SizeRw") or 0, 3)
        cells = [row["ID"], row["Image"], row["Command"], row["LocalVolumes"], size]
        rows.append([*cells, row["RunningFor"], row["Status"], row["Names"]])
    return rows


def _volume_rows(usage: dict[str, Any]) -> list[list[str]]:
    rows = [["VOLUME NAME", "LINKS", "SIZE"]]
    for item in usage.get("Volumes") or []:
        row = volume.row(item)
        rows.append([row["Name"], row["Links"], row["Size"]])
    return rows


def _cache_rows(usage: dict[str, Any], now: float) -> list[list[str]]:
    rows = [["CACHE ID", "CACHE TYPE", "SIZE", "CREATED", "LAST USED", "USAGE", "SHARED"]]
    for item in usage.get("BuildCache") or []:
        created, used = _age(item.get("CreatedAt"), now), _age(item.get("LastUsedAt"), now)
        cells = [item["ID"][:12], item.get("Type", ""), units.decimal_size(item.get("Size") or 0, 3)]
        rows.append([*cells, created, used, str(item.get("UsageCount", 0)), str(bool(item.get("Shared"))).lower()])
    return rows


def _age(text: str | None, now: float) -> str:
    from corten.cli import moment

    try:
        return units.ago(moment.parse(text or "") / 10**9, now)
    except ValueError:
        return ""


COMMAND = Command(_run, "[OPTIONS]", FLAGS, maximum=0)
