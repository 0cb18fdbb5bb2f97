"""``corten stats``."""

from __future__ import annotations

import threading
import time

from corten.cli import listing
from corten.cli.attach import container_path
from corten.cli.command import Command
from corten.cli.commands.ps import FORMAT_HELP
from corten.cli.failure import explain
from corten.cli.flags import Flag
from corten.cli.stats_row import COLUMNS, row
from corten.errors import CortenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corten.cli.app import App
    from corten.cli.flags import Options

FLAGS = (
    Flag("all", help="Show all containers, not only the running ones", short="a"),
    Flag("format", "string", FORMAT_HELP),
    Flag("no-stream", help="Show one sample and leave"),
    Flag("no-trunc", help="Show ids in full"),
)
_REFRESH = 0.5
_HOME, _CLEAR_LINE, _CLEAR_BELOW, _CLEAR_ALL = "\033[H", "\033[K", "\033[J", "\033[2J"


class _Watch:
    """One container's samples, read by a thread of its own."""

    def __init__(self, app: App, name: str, identifier: str, stream: bool) -> None:
        self.name = name
        self.identifier = identifier
        self.sample: dict[str, Any] | None = None
        self.problem: str | None = None
        self.ended = False
        self._client = app.new_client()
        self._stream = stream
        self._first = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            path = f"{container_path(self.identifier)}/stats"
            response = self._client.call("GET", path, {"stream": self._stream})
            for sample in response.records():
                self.sample = sample
                self._first.set()
        except (CortenError, OSError, ValueError) as error:
            self.problem = explain(error)
        finally:
            self.ended = True
            self._first.set()

    def wait(self, seconds: float | None = None) -> None:
        """Until there is a sample or a problem."""
        self._first.wait(seconds)


def _run(app: App, options: Options) -> int:
    app.client.negotiate()
    watches = _watches(app, options)
    if options.on("no-stream"):
        return _once(app, options, watches)
    _live(app, options, watches)
    return 0


def _watches(app: App, options: Options) -> list[_Watch]:
    stream = not options.on("no-stream")
    if options.args:
        return [_Watch(app, name, name, stream) for name in options.args]
    containers = app.client.get("/containers/json", {"all": True if options.on("all") else None})
    return [_Watch(app, container["Id"][:12], container["Id"], stream) for container in containers]


def _rows(options: Options, watches: list[_Watch]) -> list[dict[str, Any]]:
    return [row(watch.name, watch.sample, options.on("no-trunc")) for watch in watches if watch.problem is None]


def _once(app: App, options: Options, watches: list[_Watch]) -> int:
    for watch in watches:
        watch.wait()
    code = 0
    for watch in watches:
        if watch.problem:
            app.warn(watch.problem)
            code = 1
    if code == 0 or not options.args:
        listing.show(app, COLUMNS, _rows(options, watches), app.format(options, "statsFormat"), fit=False)
    return code


def _live(app: App, options: Options, watches: list[_Watch]) -> None:
    """Draw again and again until interrupted; without names, containers that start later join."""
    template = app.format(options, "statsFormat")
    for watch in watches:
        watch.wait(2)
    if options.args and (problems := [watch.problem for watch in watches if watch.problem]):
        for problem in problems:
            app.warn(problem)
        if len(problems) == len(watches):
            return
    terminal = app.terminal_width() is not None
    if terminal:
        app.write(_CLEAR_ALL)
    while True:
        text = listing.render(COLUMNS, _rows(options, watches), template)
        if terminal:
            text = _HOME + text.replace("\n", f"{_CLEAR_LINE}\n") + _CLEAR_BELOW
        app.write(text)
        app.flush()
        if options.args and all(watch.ended for watch in watches):
            return
        time.sleep(_REFRESH)
        if not options.args:
            watches = _refreshed(app, options, watches)


def _refreshed(app: App, options: Options, watches: list[_Watch]) -> list[_Watch]:
    containers = app.client.get("/containers/json", {"all": True if options.on("all") else None})
    known = {watch.identifier: watch for watch in watches if not watch.ended}
    return [
        known.get(container["Id"]) or _Watch(app, container["Id"][:12], container["Id"], True)
        for container in containers
    ]


COMMAND = Command(_run, "[OPTIONS] [CONTAINER...]", FLAGS)
