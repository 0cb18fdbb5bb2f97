"""``corten exec``."""

from __future__ import annotations

import os

from corten.cli import attach, terminal
from corten.cli.attach import container_path
from corten.cli.command import Command
from corten.cli.container import envfile
from corten.cli.failure import Failure
from corten.cli.flags import Flag
from corten.cli.pump import Pump
from corten.cli.signals import Relay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.flags import Options

FLAGS = (
    Flag("detach", help="Leave the command in the background", short="d"),
    Flag("detach-keys", "string", "Keys that detach from the command", shown=terminal.DEFAULT_KEYS),
    Flag("env", "env", "Set an environment variable (NAME=VALUE, or NAME to pass it on)", short="e"),
    Flag("env-file", "list", "Read environment variables from a file"),
    Flag("interactive", help="Connect standard input", short="i"),
    Flag("privileged", help="Give the command the host's full rights"),
    Flag("tty", help="Give the command a terminal", short="t"),
    Flag("user", "string", "User of the command (NAME|UID[:GROUP|GID])", short="u"),
    Flag("workdir", "string", "Working directory of the command", short="w"),
)


def _run(app: App, options: Options) -> int:
    container, *command = options.args
    tty, detach = options.on("tty"), options.on("detach")
    stdin = options.on("interactive") and not detach
    environment = [line for path in options.texts("env-file") for line in envfile.read(path, os.environ.get)]
    environment += options.texts("env")
    attach.check_tty(stdin, tty)
    size = terminal.size() if tty and not detach else None
    keys = options.text("detach-keys") or str(app.config.get("detachKeys") or "")
    body = {
        "User": options.text("user"),
        "Privileged": options.on("privileged"),
        "Tty": tty,
        "ConsoleSize": size,
        "AttachStdin": stdin,
        "AttachStdout": not detach,
        "AttachStderr": not detach,
        "DetachKeys": keys,
        "Env": environment,
        "WorkingDir": options.text("workdir"),
        "Cmd": command,
    }
    identifier = app.client.post(f"{container_path(container)}/exec", None, body)["Id"]
    path = f"/exec/{identifier}"
    start = {"Detach": detach, "Tty": tty, "ConsoleSize": size}
    if detach:
        app.client.post(f"{path}/start", None, start)
        return 0
    stream = app.client.hijack(f"{path}/start", None, start)
    if tty:
        Relay(app, path).follow_size()
        terminal.leave_on_signals()
    watched = terminal.parse_keys(keys or terminal.DEFAULT_KEYS)
    pump = Pump(stream, tty=tty, stdin=stdin, keys=watched)
    pump.run()
    if pump.detached:
        raise Failure("read escape sequence")
    return int(app.client.get(f"{path}/json").get("ExitCode") or 0)


COMMAND = Command(_run, "[OPTIONS] CONTAINER COMMAND [ARG...]", FLAGS, minimum=2, interspersed=False)
