"""``corten import``."""

from __future__ import annotations

from corten.cli import input_file, progress
from corten.cli.command import Command
from corten.cli.flags import Flag
from corten.cli.image_row import split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.flags import Options

FLAGS = (
    Flag("change", "list", "Apply a Dockerfile instruction to the image", short="c"),
    Flag("message", "string", "Note to keep with the image", short="m"),
    Flag("platform", "string", "Platform of the image, as in linux/arm64"),
)


def _run(app: App, options: Options) -> None:
    source, *reference = options.args
    repository, tag = split(reference[0]) if reference else ("", "")
    remote = source.startswith(("http://", "https://"))
    values = {
        "fromSrc": source if remote else "-",
        "repo": repository or None,
        "tag": tag or None,
        "message": options.text("message") or None,
        "changes": options.texts("change"),
        "platform": options.text("platform") or None,
    }
    body = iter(()) if remote else input_file.read("" if source == "-" else source)
    response = app.client.upload("POST", "/images/create", values, body)
    progress.show(app, response.records())


COMMAND = Command(_run, "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]", FLAGS, minimum=1, maximum=2)
