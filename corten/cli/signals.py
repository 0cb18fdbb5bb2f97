"""Signals of this process passed on to a container, and changes of the terminal's size."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time

from corten.cli import terminal
from corten.client.error import ApiError
from corten.errors import CortenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

    from corten.cli.app import App

_KEPT = frozenset(
    ("SIGCHLD", "SIGCONT", "SIGPIPE", "SIGURG", "SIGWINCH", "SIGTTIN", "SIGTTOU", "SIGTSTP", "SIGKILL", "SIGSTOP")
)
_FORCE = 3


class Relay:
    """Handlers only put into a queue; a thread with its own connections does the calls.

    ``path`` is the object (``/containers/ID`` or ``/exec/ID``) that is resized, and killed when signals are passed on.
    """

    def __init__(self, app: App, path: str) -> None:
        self._app = app
        self._path = path
        self._queue: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._ends = 0
        threading.Thread(target=self._work, daemon=True).start()

    def pass_on(self) -> None:
        """Send every signal that can be caught to the container from now on."""
        for number in signal.valid_signals():
            name = signal.Signals(number).name if number in _NAMED else ""
            if name and name not in _KEPT and not name.startswith("SIGRT"):
                signal.signal(number, self._caught)

    def follow_size(self) -> None:
        """Keep the container's terminal as large as ours, beginning now."""
        signal.signal(signal.SIGWINCH, self._caught)
        self._queue.put(signal.SIGWINCH)

    def _caught(self, number: int, frame: FrameType | None) -> None:
        if number in (signal.SIGINT, signal.SIGTERM):
            self._ends += 1
            if self._ends >= _FORCE:
                sys.stderr.write(f"got {_FORCE} SIGTERM/SIGINTs, forcefully exiting\n")
                sys.stderr.flush()
                os._exit(1)
        self._queue.put(number)

    def _work(self) -> None:
        client = self._app.new_client()
        while True:
            number = self._queue.get()
            try:
                if number == signal.SIGWINCH:
                    self._resize()
                else:
                    client.post(f"{self._path}/kill", {"signal": str(int(number))})
            except (CortenError, OSError):
                continue  # the container has ended meanwhile

    def _resize(self) -> None:
        height, width = terminal.size()
        if not (height and width):
            return
        client = self._app.new_client()
        for attempt in range(10):
            try:
                client.post(f"{self._path}/resize", {"h": height, "w": width})
                return
            except ApiError:
                time.sleep(0.01 * (attempt + 1))  # the process may not have its terminal yet


_NAMED = frozenset(int(item) for item in signal.Signals)
