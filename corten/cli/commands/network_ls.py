"""``corten network ls``."""

from __future__ import annotations

from corten.cli import listing, moment, units
from corten.cli.command import Command
from corten.cli.commands.ps import FORMAT_HELP
from corten.cli.flags import Flag
from corten.cli.listing import Columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corten.cli.app import App
    from corten.cli.flags import Options

FLAGS = (
    Flag("filter", "filter", "Show only what fits, as in driver=bridge", short="f"),
    Flag("format", "string", FORMAT_HELP),
    Flag("no-trunc", help="Show ids in full"),
    Flag("quiet", help="Show only ids", short="q"),
)
_HEADINGS = {
    "ID": "NETWORK ID",
    "Name": "NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "IPv4": "IPV4",
    "IPv6": "IPV6",
    "Internal": "INTERNAL",
    "Labels": "LABELS",
    "CreatedAt": "CREATED AT",
}


def _run(app: App, options: Options) -> None:
    networks = app.client.get("/networks", {"filters": listing.filters(options.value("filter"))})
    networks.sort(key=lambda network: listing.sort_key(network["Name"]))
    full = options.on("no-trunc")
    rows = [_row(network, full) for network in networks]
    template = app.format(options, "networksFormat")
    if options.on("quiet"):
        if template in ("", "table"):
            app.write("".join(f"{row['ID']}\n" for row in rows))
            return
        template = "{{.ID}}"
    raw = {"network_id": "ID", "name": "Name", "driver": "Driver", "scope": "Scope"}
    columns = Columns("networkContext", ("ID", "Name", "Driver", "Scope"), _HEADINGS, raw)
    listing.show(app, columns, rows, template, fit=not full)


def _row(network: dict[str, Any], full: bool) -> dict[str, Any]:
    labels = network.get("Labels") or {}
    return {
        "ID": network["Id"] if full else units.short_id(network["Id"]),
        "Name": network["Name"],
        "Driver": network["Driver"],
        "Scope": network["Scope"],
        "IPv4": str(bool(network.get("EnableIPv4"))).lower(),
        "IPv6": str(bool(network.get("EnableIPv6"))).lower(),
        "Internal": str(bool(network.get("Internal"))).lower(),
        "Labels": listing.labels(labels),
        "Label": lambda name: labels.get(name, ""),
        "CreatedAt": _created(network.get("Created", "")),
    }


def _created(text: str) -> str:
    try:
        seconds, nanoseconds = divmod(moment.parse(text), 10**9)
    except ValueError:
        return text
    base = units.local_time(seconds)
    fraction = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
    return base[:19] + fraction + base[19:]


COMMAND = Command(_run, "[OPTIONS]", FLAGS, maximum=0)
