"""``cortend`` that writes to its log, at SIGUSR2, what every task and thread of it is waiting for."""

import asyncio
import faulthandler
import signal
import sys
from types import FrameType
from typing import Any

from corten.daemon.main import main


def places(awaited: Any) -> list[str]:
    """Where a chain of coroutines stands, outermost first."""
    found = []
    while awaited is not None:
        frame: FrameType | None = getattr(awaited, "cr_frame", None) or getattr(awaited, "ag_frame", None)
        if frame is None:
            return [*found, repr(awaited)[:200]]
        found.append(f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno} {frame.f_code.co_qualname}")
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "ag_await", None)
    return found


def tell(*_: object) -> None:
    for task in list(asyncio.tasks._all_tasks):  # the loop is this thread's, and stands still meanwhile
        if not task.done():
            print(f"TASK {task.get_name()}: {' > '.join(places(task.get_coro()))}", file=sys.stderr)
    sys.stderr.flush()
    faulthandler.dump_traceback(sys.stderr)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, tell)
    sys.exit(main())
