"""A check while the daemon serves: the same checks over its own parts, in a thread, beside everything else."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from corten import errors
from corten.engine.fsck.check import check
from corten.engine.fsck.subject import Options, Subject
from corten.model.finding import Finding, Progress


class Checks:
    """``subject`` is the daemon's own store; one check at a time."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._busy = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="fsck")

    def close(self) -> None:
        """Wait for the step that is under way, which may be a repair. Blocking."""
        self._pool.shutdown(cancel_futures=True)

    async def run(self, options: Options) -> AsyncGenerator[Finding | Progress, None]:
        """What is wrong, as it is found. ``Conflict`` while another check runs."""
        if self._busy:
            raise errors.Conflict("a check of the store is running already")
        self._busy = True
        loop = asyncio.get_running_loop()
        findings = check(replace(self._subject, options=options))
        try:
            while (found := await loop.run_in_executor(self._pool, next, findings, None)) is not None:
                yield found
        finally:
            with contextlib.suppress(RuntimeError):  # closed
                self._pool.submit(findings.close)
            self._busy = False
