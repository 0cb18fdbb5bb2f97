"""``corten diff``."""

from __future__ import annotations

from corten.cli.attach import container_path
from corten.cli.command import Command
from corten.cli.escape import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.flags import Options

_KINDS = "CAD"


def _run(app: App, options: Options) -> None:
    for change in app.client.get(f"{container_path(options.args[0])}/changes") or []:
        app.print(f"{_KINDS[change['Kind']]} {visible(change['Path'])}")


COMMAND = Command(_run, "CONTAINER", minimum=1, maximum=1)
