"""Garbage collection from time to time, and when somebody asks for it."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import Executor

from corten.engine.garbage import Garbage
from corten.model.gc import Collection, GcPolicy

log = logging.getLogger("corten.gc")


class Collector:
    """``policy`` gives the settings, which a reload may change; ``told`` hears of every run that removed something."""

    def __init__(
        self, garbage: Garbage, policy: Callable[[], GcPolicy], told: Callable[[Collection], None], pool: Executor
    ) -> None:
        self._garbage = garbage
        self._policy = policy
        self._told = told
        self._pool = pool
        self._task: asyncio.Task[None] | None = None
        self._running = asyncio.Lock()

    @property
    def policy(self) -> GcPolicy:
        """The settings as they are now."""
        return self._policy()

    def start(self) -> None:
        """Collect from time to time. Needs the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._repeat())

    async def close(self) -> None:
        """Stop; what is under way ends with the handful of objects that it is at."""
        self._garbage.stopped = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def run(self, policy: GcPolicy, *, dry: bool = False, every: bool = False) -> Collection:
        """Collect now; *dry* only tells what would go, *every* also what stays and why. One run at a time."""
        loop = asyncio.get_running_loop()
        async with self._running:
            result = await loop.run_in_executor(self._pool, self._garbage.collect, policy, dry, every)
        if result.removed and not dry:
            self._told(result)
        return result

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(self._policy().interval)
            policy = self._policy()
            if policy.enabled:
                try:
                    await self.run(policy)
                except Exception:  # the next round may go better, and nobody waits for this one
                    log.exception("garbage collection failed")
