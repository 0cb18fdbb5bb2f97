"""Named steps of what must survive an end at any moment; a test makes the daemon die or fail at one of them.

Nothing happens unless the environment variable ``CORTEN_FAULTS`` named a directory when the process started. Then every
step that is reached is appended to ``trace`` there, a line each, and the file ``armed`` says what is to happen, as
``STEP ACTION [COUNT]``: at the COUNT-th time (1 by default) that STEP is reached, the process kills itself (``kill``),
the step raises ``OSError`` (an errno's name such as ``ENOSPC``), or it waits until the file is gone (``wait``).

Steps are named ``<use case>.<what has just happened>``: ``create.recorded``, ``layer.renamed``.
"""

import errno
import os
import signal
import threading
import time

_DIRECTORY = os.environ.get("CORTEN_FAULTS", "")
_lock = threading.Lock()
_reached: dict[tuple[str, str], int] = {}


def reach(step: str) -> None:
    """Say that *step* has been reached. ``OSError`` when a test asked for that."""
    if _DIRECTORY:
        _reach(step)


def _reach(step: str) -> None:
    armed = f"{_DIRECTORY}/armed"
    with _lock:
        with open(f"{_DIRECTORY}/trace", "a", encoding="ascii") as trace:
            trace.write(f"{step}\n")
        try:
            with open(armed, encoding="ascii") as file:
                order = file.read()
        except FileNotFoundError:
            return
        wanted, action, *rest = order.split()
        if wanted != step:
            return
        count = _reached[step, order] = _reached.get((step, order), 0) + 1
        if count != int(rest[0] if rest else 1):
            return
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "wait":
        while os.path.exists(armed):
            time.sleep(0.005)
    else:
        raise OSError(getattr(errno, action), os.strerror(getattr(errno, action)), step)
