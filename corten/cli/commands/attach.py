"""``corten attach``."""

from __future__ import annotations

from corten.cli import attach, terminal
from corten.cli.attach import Attachment, Waiter, container_path
from corten.cli.command import Command
from corten.cli.failure import Failure
from corten.cli.flags import Flag
from corten.client.error import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.flags import Options

FLAGS = (
    Flag("detach-keys", "string", "Keys that detach from the container", shown=terminal.DEFAULT_KEYS),
    Flag("no-stdin", help="Do not connect standard input"),
    Flag("sig-proxy", help="Pass signals on to the container", default=True),
)


def _run(app: App, options: Options) -> int:
    container = app.client.get(f"{container_path(options.args[0])}/json")
    state = container["State"]
    if not state.get("Running"):
        raise Failure("cannot attach to a stopped container, start it first")
    if state.get("Paused"):
        raise Failure("cannot attach to a paused container, unpause it first")
    if state.get("Restarting"):
        raise Failure("cannot attach to a restarting container, wait until it is running")
    tty = bool(container["Config"].get("Tty"))
    stdin = not options.on("no-stdin") and bool(container["Config"].get("OpenStdin"))
    attach.check_tty(stdin, tty)
    streams = ["stdout", "stderr", *(["stdin"] if stdin else [])]
    waiter = Waiter(app, container["Id"], "not-running")
    attachment = Attachment(
        app,
        container["Id"],
        streams=streams,
        tty=tty,
        keys=attach.detach_keys(app, options),
        sig_proxy=options.on("sig-proxy") and not tty,
    )
    if tty:
        _redraw(app, container["Id"])
    code = attachment.run(waiter)
    if attachment.detached:
        raise Failure("read escape sequence")
    return code


def _redraw(app: App, identifier: str) -> None:
    """Make the program draw its screen again: its terminal becomes a little larger, then gets its right size."""
    height, width = terminal.size()
    if height and width:
        try:
            app.client.post(f"/containers/{identifier}/resize", {"h": height + 1, "w": width + 1})
        except ApiError:
            return  # it has just ended; the attachment will tell


COMMAND = Command(_run, "[OPTIONS] CONTAINER", FLAGS, minimum=1, maximum=1)
