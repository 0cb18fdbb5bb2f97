"""``corten tag``."""

from __future__ import annotations

from corten.cli.command import Command
from corten.cli.image_row import split
from corten.client import query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.flags import Options


def _run(app: App, options: Options) -> None:
    source, target = options.args
    repository, tag = split(target)
    app.client.post(f"/images/{query.quote(source)}/tag", {"repo": repository, "tag": tag})


COMMAND = Command(_run, "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", minimum=2, maximum=2)
