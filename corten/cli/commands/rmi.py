"""``corten rmi``."""

from __future__ import annotations

from corten.cli.command import Command
from corten.cli.commands.inspect import platform
from corten.cli.escape import visible
from corten.cli.failure import explain
from corten.cli.flags import Flag
from corten.client import query
from corten.client.error import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.flags import Options

FLAGS = (
    Flag("force", help="Remove images of stopped containers too, and all names of an image", short="f"),
    Flag("no-prune", help="Keep parents that have no name"),
    Flag("platform", "list", "Remove only this platform of the image, as in linux/arm64"),
)


def _run(app: App, options: Options) -> int:
    force = options.on("force")
    values = {
        "force": True if force else None,
        "noprune": True if options.on("no-prune") else None,
        "platforms": [platform(text) for text in options.texts("platform")],
    }
    code = 0
    for name in options.args:
        try:
            removed = app.client.delete(f"/images/{query.quote(name)}", values)
        except ApiError as error:
            app.warn(explain(error))
            if not (force and error.status == 404):
                code = 1
            continue
        for entry in removed or []:
            for kind in ("Deleted", "Untagged"):
                if kind in entry:
                    app.print(f"{kind}: {visible(entry[kind])}")
    return code


COMMAND = Command(_run, "[OPTIONS] IMAGE [IMAGE...]", FLAGS, minimum=1)
