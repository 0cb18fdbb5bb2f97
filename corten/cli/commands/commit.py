"""``corten commit``."""

from __future__ import annotations

from corten.cli.command import Command
from corten.cli.flags import Flag
from corten.cli.image_row import split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.flags import Options

FLAGS = (
    Flag("author", "string", "Author, as in 'Ann Smith <ann@example.org>'", short="a"),
    Flag("change", "list", "Apply a Dockerfile instruction to the image", short="c"),
    Flag("message", "string", "Note to keep with the image", short="m"),
    Flag("pause", help="Pause the container meanwhile", short="p", default=True),
)


def _run(app: App, options: Options) -> None:
    container, *reference = options.args
    repository, tag = split(reference[0]) if reference else ("", "")
    values = {
        "container": container,
        "repo": repository or None,
        "tag": tag or None,
        "comment": options.text("message") or None,
        "author": options.text("author") or None,
        "changes": options.texts("change"),
        "pause": options.on("pause"),
    }
    app.print(app.client.post("/commit", values, {})["Id"])


COMMAND = Command(_run, "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]", FLAGS, minimum=1, maximum=2)
