"""``corten load``."""

from __future__ import annotations

import os

from corten.cli import input_file, progress
from corten.cli.command import Command
from corten.cli.commands.inspect import platform
from corten.cli.failure import Failure
from corten.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.flags import Options

FLAGS = (
    Flag("input", "string", "Read this file, not standard input", short="i"),
    Flag("platform", "list", "Load only this platform of the images, as in linux/arm64"),
    Flag("quiet", help="Do not show progress", short="q"),
)


def _run(app: App, options: Options) -> None:
    path = options.text("input")
    if not path and os.isatty(0):
        raise Failure("requested load from stdin, but stdin is empty")
    quiet = options.on("quiet") or not os.isatty(1)
    values: dict[str, bool | list[str]] = {
        "quiet": quiet,
        "platform": [platform(text) for text in options.texts("platform")],
    }
    archive = input_file.read(path)
    if path:
        archive = progress.counted(archive, f"Reading {os.path.basename(path)}", os.stat(path).st_size)
    response = app.client.upload("POST", "/images/load", values, archive)
    progress.show(app, response.records())


COMMAND = Command(_run, "[OPTIONS]", FLAGS, maximum=0)
