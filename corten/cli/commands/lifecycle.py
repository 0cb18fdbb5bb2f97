"""Commands that change the state of containers: stop, restart, kill, pause, unpause, rm, rename, wait."""

from __future__ import annotations

from corten.cli.attach import container_path, each
from corten.cli.command import Command
from corten.cli.failure import Failure, explain
from corten.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.flags import Options

_MANY = "CONTAINER [CONTAINER...]"
_SIGNAL = Flag("signal", "string", "Signal to send", short="s")
_TIMEOUT = Flag("timeout", "int", "Seconds before the container is killed", short="t", aliases=("time",))


def _ending(verb: str, app: App, options: Options) -> int:
    query = {
        "signal": options.text("signal") or None,
        "t": options.number("timeout") if options.given("timeout") else None,
    }
    return each(app, options.args, lambda name: app.client.post(f"{container_path(name)}/{verb}", query))


def _stop(app: App, options: Options) -> int:
    return _ending("stop", app, options)


def _restart(app: App, options: Options) -> int:
    return _ending("restart", app, options)


def _kill(app: App, options: Options) -> int:
    query = {"signal": options.text("signal") or None}
    return each(app, options.args, lambda name: app.client.post(f"{container_path(name)}/kill", query))


def _pause(app: App, options: Options) -> int:
    return each(app, options.args, lambda name: app.client.post(f"{container_path(name)}/pause"))


def _unpause(app: App, options: Options) -> int:
    return each(app, options.args, lambda name: app.client.post(f"{container_path(name)}/unpause"))


def _rm(app: App, options: Options) -> int:
    from corten.client.error import ApiError

    force = options.on("force")
    query = {
        "force": True if force else None,
        "v": True if options.on("volumes") else None,
        "link": True if options.on("link") else None,
    }

    def remove(name: str) -> bool:
        try:
            app.client.delete(container_path(name.removeprefix("/")), query)
        except ApiError as error:
            if not (force and error.status == 404):
                raise
            app.warn(explain(error))
            return False
        return True

    return each(app, options.args, remove)


def _rename(app: App, options: Options) -> None:
    old, new = options.args
    from corten.client.error import ApiError

    try:
        app.client.post(f"{container_path(old)}/rename", {"name": new})
    except ApiError as error:
        raise Failure(f"{explain(error)}\nError: failed to rename container named {old}") from None


def _wait(app: App, options: Options) -> int:
    from corten.errors import CortenError

    code = 0
    for name in options.args:
        try:
            result = app.client.post(f"{container_path(name)}/wait")
        except CortenError as error:
            app.warn(explain(error))
            code = 1
        else:
            app.print(str(result["StatusCode"]))
            app.flush()
    return code


STOP = Command(_stop, f"[OPTIONS] {_MANY}", (_SIGNAL, _TIMEOUT), minimum=1)
RESTART = Command(_restart, f"[OPTIONS] {_MANY}", (_SIGNAL, _TIMEOUT), minimum=1)
KILL = Command(_kill, f"[OPTIONS] {_MANY}", (_SIGNAL,), minimum=1)
PAUSE = Command(_pause, _MANY, minimum=1)
UNPAUSE = Command(_unpause, _MANY, minimum=1)
RENAME = Command(_rename, "CONTAINER NEW_NAME", minimum=2, maximum=2)
WAIT = Command(_wait, _MANY, minimum=1)
RM = Command(
    _rm,
    f"[OPTIONS] {_MANY}",
    (
        Flag("force", help="Remove running containers too, killing them", short="f"),
        Flag("link", help="Remove the named link, not the container", short="l"),
        Flag("volumes", help="Remove the anonymous volumes of the containers too", short="v"),
    ),
    minimum=1,
)
