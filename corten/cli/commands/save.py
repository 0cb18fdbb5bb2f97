"""``corten save``."""

from __future__ import annotations

from corten.cli import output_file
from corten.cli.command import Command
from corten.cli.commands.inspect import platform
from corten.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.flags import Options

FLAGS = (
    Flag("output", "string", "Write to this file, not to standard output", short="o"),
    Flag("platform", "list", "Write only this platform of the images, as in linux/arm64"),
)


def _run(app: App, options: Options) -> None:
    path = options.text("output")
    output_file.check(path, "save", "image")
    platforms = [platform(text) for text in options.texts("platform")]
    output_file.save(path, app.client.call("GET", "/images/get", {"names": options.args, "platform": platforms}))


COMMAND = Command(_run, "[OPTIONS] IMAGE [IMAGE...]", FLAGS, minimum=1)
