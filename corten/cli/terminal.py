"""The user's terminal: raw mode, size, and the keys that detach from a container."""

from __future__ import annotations

import os

from corten.cli.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

DEFAULT_KEYS = "ctrl-p,ctrl-q"


class RawMode:
    """While it lasts, the terminal on standard input passes every key on as it is. Nothing happens without one."""

    def __init__(self, wanted: bool = True) -> None:
        self._wanted = wanted and os.isatty(0)
        self._saved: list[Any] | None = None

    def __enter__(self) -> RawMode:
        if self._wanted:
            import termios
            import tty

            self._saved = termios.tcgetattr(0)
            tty.setraw(0, termios.TCSANOW)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._saved is not None:
            import termios

            termios.tcsetattr(0, termios.TCSADRAIN, self._saved)
            self._saved = None


def leave_on_signals() -> None:
    """Let SIGTERM and SIGHUP end the program by way of its ``with`` blocks, so that raw mode does not outlive it."""
    import signal

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def size() -> tuple[int, int]:
    """Height and width of the terminal on standard output, zeros when there is none."""
    for descriptor in (1, 0):
        try:
            columns, lines = os.get_terminal_size(descriptor)
        except OSError:
            continue
        return lines, columns
    return 0, 0


def parse_keys(text: str) -> bytes:
    """The bytes of a sequence such as ``ctrl-p,ctrl-q`` or ``a,b``. Failure when it names no keys."""
    result = bytearray()
    for key in text.split(","):
        if len(key) == 1 and key.isascii():
            result += key.encode()
            continue
        name = key.lower().removeprefix("ctrl-")
        if key == name or len(name) != 1 or name not in "abcdefghijklmnopqrstuvwxyz@[\\]^_":
            raise Failure(f"invalid detach keys ({text}): Unknown character: '{key}'")
        result.append(ord(name.upper()) - 64)
    return bytes(result)
