"""``corten update``."""

from __future__ import annotations

from corten.cli.attach import container_path, each
from corten.cli.command import Command
from corten.cli.container import request
from corten.cli.container.flags import RESOURCES
from corten.cli.failure import Failure
from corten.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.flags import Options

FLAGS = (*RESOURCES, Flag("restart", "string", "When to restart: no, always, unless-stopped or on-failure[:N]"))


def _run(app: App, options: Options) -> int:
    if not any(options.given(flag.name) for flag in FLAGS):
        raise Failure("you must provide one or more flags when using this command")
    body = request.resources(options)
    if options.given("restart"):
        try:
            body["RestartPolicy"] = request.restart_policy(options.text("restart"))
        except Failure as failure:
            raise Failure(failure.message) from None
    warnings: list[str] = []

    def change(name: str) -> None:
        answer = app.client.post(f"{container_path(name)}/update", None, body)
        warnings.extend((answer or {}).get("Warnings") or [])

    code = each(app, options.args, change)
    for warning in warnings:
        app.warn(warning)
    return code


COMMAND = Command(_run, "[OPTIONS] CONTAINER [CONTAINER...]", FLAGS, minimum=1)
