"""Signal names as Docker's clients write them."""

import signal

from corten.errors import InvalidArgument

DEFAULT_STOP_SIGNAL = int(signal.SIGTERM)
_RT_MIN, _RT_MAX = 34, 64  # what a C library leaves to programs (signal(7)); the kernel's own minimum is 32

_NAMES = {item.name.removeprefix("SIG"): int(item) for item in signal.Signals} | {
    "CLD": int(signal.SIGCHLD),
    "POLL": int(signal.SIGIO),
    "IOT": int(signal.SIGABRT),
    "STKFLT": 16,
    "RTMIN": _RT_MIN,
    "RTMAX": _RT_MAX,
}
_NAMES |= {f"RTMIN+{offset}": _RT_MIN + offset for offset in range(1, 16)}
_NAMES |= {f"RTMAX-{offset}": _RT_MAX - offset for offset in range(1, 15)}


def parse(text: str) -> int:
    """The number for "SIGTERM", "term", "15" or "SIGRTMIN+3". InvalidArgument in Docker's words for anything else."""
    if text.isascii() and text.isdecimal():
        number = int(text) if len(text) < 4 else 0
        if 0 < number <= _RT_MAX:
            return number
    elif number := _NAMES.get(text.upper().removeprefix("SIG"), 0):
        return number
    raise InvalidArgument(f"invalid signal: {text}")


def stop_signal(text: str) -> int:
    """The signal for a stop; "" is SIGTERM."""
    return parse(text) if text else DEFAULT_STOP_SIGNAL
