"""Use cases that run to their end even when the client that asked for them goes away.

A handler is cancelled when its connection closes. A start or a removal that were cut off between two steps would leave
a container in a state that nobody recorded, so the work is a task of the engine's and the caller only waits for it.
"""

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("corten.engine")
_running: set[asyncio.Task[Any]] = set()


def uninterrupted(use_case: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Decorator for coroutine functions; errors still reach a caller that waits."""

    @functools.wraps(use_case)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        task = asyncio.get_running_loop().create_task(use_case(*args, **kwargs))
        _running.add(task)
        task.add_done_callback(_running.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                task.add_done_callback(functools.partial(_report, use_case.__qualname__))
            raise

    return wrapper


async def settle(timeout: float) -> None:
    """Wait until what is under way has ended, for the daemon's stop."""
    if _running:
        await asyncio.wait(set(_running), timeout=timeout)


def _report(name: str, task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.info("%s, whose client had gone, ended with: %s", name, error)
