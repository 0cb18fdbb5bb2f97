"""``corten start``."""

from __future__ import annotations

from corten.cli import attach, terminal
from corten.cli.attach import Attachment, Waiter, container_path
from corten.cli.command import Command
from corten.cli.failure import Failure, explain
from corten.cli.flags import Flag
from corten.errors import CortenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.flags import Options

FLAGS = (
    Flag("attach", help="Show the container's output and pass signals on", short="a"),
    Flag("checkpoint", "string", "Start from this checkpoint"),
    Flag("checkpoint-dir", "string", "Where that checkpoint is"),
    Flag("detach-keys", "string", "Keys that detach from the container", shown=terminal.DEFAULT_KEYS),
    Flag("interactive", help="Connect standard input to the container", short="i"),
)


def _run(app: App, options: Options) -> int:
    if options.on("attach") or options.on("interactive"):
        if len(options.args) > 1:
            raise Failure("you cannot start and attach multiple containers at once")
        return _attached(app, options, options.args[0])
    failed: list[str] = []
    query = {"checkpoint": options.text("checkpoint") or None, "checkpoint-dir": options.text("checkpoint-dir") or None}
    for name in options.args:
        try:
            app.client.post(f"{container_path(name)}/start", query)
        except CortenError as error:
            app.warn(explain(error))
            failed.append(name)
        else:
            app.print(name)
    if failed:
        if len(failed) == len(options.args) == 1:
            app.warn(f"Error: failed to start containers: {failed[0]}")
        else:
            app.warn(f"Error: failed to start containers: {', '.join(failed)}")
        return 1
    return 0


def _attached(app: App, options: Options, name: str) -> int:
    container = app.client.get(f"{container_path(name)}/json")
    tty = bool(container["Config"].get("Tty"))
    stdin = options.on("interactive") and bool(container["Config"].get("OpenStdin"))
    attach.check_tty(stdin, tty)
    streams = ["stdout", "stderr", *(["stdin"] if stdin else [])]
    keys = attach.detach_keys(app, options)
    identifier = container["Id"]
    attachment = Attachment(app, identifier, streams=streams, tty=tty, keys=keys, sig_proxy=not tty)
    removed = (container.get("HostConfig") or {}).get("AutoRemove")
    waiter = Waiter(app, identifier, "removed" if removed else "next-exit")
    try:
        app.client.post(f"/containers/{identifier}/start")
    except CortenError:
        attachment.close()
        raise
    return attachment.run(waiter)


COMMAND = Command(_run, "[OPTIONS] CONTAINER [CONTAINER...]", FLAGS, minimum=1)
