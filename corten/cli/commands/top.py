"""``corten top``."""

from __future__ import annotations

from corten.cli import table
from corten.cli.attach import container_path
from corten.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.flags import Options

_WIDTH = 20


def _run(app: App, options: Options) -> None:
    container, *arguments = options.args
    result = app.client.get(f"{container_path(container)}/top", {"ps_args": " ".join(arguments) or None})
    app.write(table.render([result["Titles"], *(result.get("Processes") or [])], minimum=_WIDTH))


COMMAND = Command(_run, "CONTAINER [ps OPTIONS]", minimum=1, interspersed=False)
