"""``corten ps``: the list of containers."""

from __future__ import annotations

import time

from corten.cli import container_row, listing
from corten.cli.command import Command
from corten.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.flags import Options

FORMAT_HELP = "How to print: 'table' with columns (default), 'table TEMPLATE', 'json', or a Go template for every line"

FLAGS = (
    Flag("all", help="Show all containers, not only the running ones", short="a"),
    Flag("filter", "filter", "Show only what fits, as in status=exited", short="f"),
    Flag("format", "string", FORMAT_HELP),
    Flag("last", "int", "Show the last N created containers in any state", short="n", default=-1),
    Flag("latest", help="Show the last created container in any state", short="l"),
    Flag("no-trunc", help="Show ids and commands in full"),
    Flag("quiet", help="Show only ids", short="q"),
    Flag("size", help="Show how much the containers have written", short="s"),
)


def _run(app: App, options: Options) -> None:
    template = app.format(options, "psFormat")
    quiet = options.on("quiet")
    size = options.on("size") or (not quiet and ".Size" in template)
    limit = 1 if options.on("latest") else options.number("last")
    containers = app.client.get(
        "/containers/json",
        {
            "all": True if options.on("all") else None,
            "limit": limit if limit > 0 else None,
            "size": True if size else None,
            "filters": listing.filters(options.value("filter")),
        },
    )
    full = options.on("no-trunc")
    if quiet and template in ("", "table"):
        for container in containers:
            app.print(container["Id"] if full else container["Id"][:12])
        return
    now = time.time()
    rows = [container_row.row(container, full=full, now=now) for container in containers]
    if quiet:
        template = "{{.ID}}"
    listing.show(app, container_row.columns(size), rows, template, fit=not full)


COMMAND = Command(_run, "[OPTIONS]", FLAGS, maximum=0)
