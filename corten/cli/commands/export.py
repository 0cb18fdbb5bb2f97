"""``corten export``."""

from __future__ import annotations

from corten.cli import output_file
from corten.cli.attach import container_path
from corten.cli.command import Command
from corten.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.flags import Options


def _run(app: App, options: Options) -> None:
    path = options.text("output")
    output_file.check(path, "export", "container")
    output_file.save(path, app.client.call("GET", f"{container_path(options.args[0])}/export"))


COMMAND = Command(
    _run,
    "[OPTIONS] CONTAINER",
    (Flag("output", "string", "Write to this file, not to standard output", short="o"),),
    minimum=1,
    maximum=1,
)
