"""Attaching to a container and waiting for its end, as run, start and attach do it."""

from __future__ import annotations

import os

from corten.cli import terminal
from corten.cli.failure import Failure, explain
from corten.cli.pump import Pump
from corten.cli.signals import Relay
from corten.client import query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from corten.cli.app import App
    from corten.cli.flags import Options
    from corten.client.response import Response
    from corten.client.stream import Stream


def container_path(name: str) -> str:
    """The API path of a container given by name or id."""
    return f"/containers/{query.quote(name)}"


def detach_keys(app: App, options: Options) -> str:
    """The detach sequence of the flag, the configuration, or the usual one. Failure when it makes no sense."""
    keys = options.text("detach-keys") or str(app.config.get("detachKeys") or terminal.DEFAULT_KEYS)
    terminal.parse_keys(keys)
    return keys


def check_tty(stdin: bool, tty: bool) -> None:
    """Failure when a terminal is asked for whose input is none."""
    if stdin and tty and not os.isatty(0):
        raise Failure("the input device is not a TTY")


class Attachment:
    """A container's streams and its end. Made before the container starts, so that nothing is missed."""

    def __init__(
        self,
        app: App,
        container: str,
        *,
        streams: Collection[str],
        tty: bool,
        keys: str,
        sig_proxy: bool,
        logs: bool = False,
    ) -> None:
        self._app = app
        self._path = container_path(container)
        self._tty = tty
        self._stdin = "stdin" in streams
        self._sig_proxy = sig_proxy
        stream = app.client.hijack(
            f"{self._path}/attach",
            {
                "stream": True,
                **{name: True for name in ("stdin", "stdout", "stderr") if name in streams},
                "logs": True if logs else None,
                "detachKeys": keys,
            },
        )
        self._stream: Stream = stream
        self._pump = Pump(
            stream,
            tty=tty,
            stdin=self._stdin,
            keys=terminal.parse_keys(keys),
            out="stdout" in streams,
            err="stderr" in streams,
        )

    def close(self) -> None:
        self._stream.close()

    def run(self, waiter: Waiter) -> int:
        """Copy until the end, and return the container's exit code; 0 when the user detached."""
        relay = Relay(self._app, self._path)
        if self._tty:
            relay.follow_size()
        if self._sig_proxy:
            relay.pass_on()
        elif self._tty:
            terminal.leave_on_signals()
        self._pump.run()
        if self._pump.detached:
            return 0
        return waiter.code()

    @property
    def detached(self) -> bool:
        """Whether the user left the container running."""
        return self._pump.detached


class Waiter:
    """A wait for a container's end, asked for before it is needed (the daemon answers its head at once)."""

    def __init__(self, app: App, container: str, condition: str) -> None:
        client = app.new_client()
        self._response: Response = client.call("POST", f"{container_path(container)}/wait", {"condition": condition})

    def code(self) -> int:
        """The exit code. Failure (125) when the daemon says that it cannot know."""
        result = self._response.json()
        error = (result.get("Error") or {}).get("Message")
        if error:
            raise Failure(f"error waiting for container: {error}", 125)
        return int(result.get("StatusCode", 0))


def start_code(message: str) -> int:
    """Docker's exit code for a container that could not be started, from the daemon's message."""
    if "executable file not found" in message or "no such file or directory" in message:
        return 127
    if "permission denied" in message or "is a directory" in message:
        return 126
    return 125


def each(app: App, names: list[str], action: Callable[[str], object]) -> int:
    """Do ``action`` for every name and print the names that went well; the exit code is 1 when one did not.

    An action that returns False did nothing, which is no failure, but the name is not printed.
    """
    from corten.errors import CortenError

    code = 0
    for name in names:
        try:
            done = action(name)
        except CortenError as error:
            app.warn(explain(error))
            code = 1
        else:
            if done is not False:
                app.print(name)
    return code
