"""``corten logs``."""

from __future__ import annotations

from corten.cli import moment
from corten.cli.attach import container_path
from corten.cli.command import Command
from corten.cli.flags import Flag
from corten.cli.pump import write
from corten.client import demux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.flags import Options

FLAGS = (
    Flag("details", help="Show the attributes that the log driver added"),
    Flag("follow", help="Go on with what is written from now on", short="f"),
    Flag("since", "string", "Show what was written after a time (2026-01-02T13:23:37Z) or since a while (42m)"),
    Flag("tail", "string", "Show only this many lines of the end", short="n", default="all"),
    Flag("timestamps", help="Show when each line was written", short="t"),
    Flag("until", "string", "Show what was written before a time, or before a while (42m)"),
)


def _run(app: App, options: Options) -> None:
    path = container_path(options.args[0])
    container = app.client.get(f"{path}/json")
    query = {
        "stdout": True,
        "stderr": True,
        "follow": True if options.on("follow") else None,
        "timestamps": True if options.on("timestamps") else None,
        "details": True if options.on("details") else None,
        "since": moment.stamp(options.text("since")) or None,
        "until": moment.stamp(options.text("until")) or None,
        "tail": options.text("tail"),
    }
    response = app.client.call("GET", f"{path}/logs", query)
    if container["Config"].get("Tty"):
        for data in response:
            write(1, data)
    else:
        demux.copy(response, lambda data: write(1, data), lambda data: write(2, data))


COMMAND = Command(_run, "[OPTIONS] CONTAINER", FLAGS, minimum=1, maximum=1)
