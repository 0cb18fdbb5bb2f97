"""Health checks: one task per running container that has one.

starting --success--> healthy; ``retries`` failures in a row --> unhealthy; a success makes it healthy again. Failures
within the start period do not count until the first success (docs of HEALTHCHECK in the Dockerfile reference).
"""

import asyncio
import time

from msgspec.structs import replace

from corten import errors
from corten.engine import lifecycle
from corten.engine.container import Container
from corten.engine.events import Events
from corten.engine.execs import Execs
from corten.engine.life import Life, has_health
from corten.model.container import Healthcheck
from corten.model.record import HealthResult, HealthState

DEFAULT_INTERVAL = 30_000_000_000
DEFAULT_TIMEOUT = 30_000_000_000
DEFAULT_START_INTERVAL = 5_000_000_000
DEFAULT_RETRIES = 3
OUTPUT_LIMIT = 4096
KEPT_RESULTS = 5


class HealthChecks:
    """Starts and ends the probing of containers as they start and end."""

    def __init__(self, life: Life, execs: Execs, events: Events) -> None:
        self._life = life
        self._execs = execs
        self._events = events
        life.on_start.append(self.begin)
        life.on_stop.append(self.end)

    def begin(self, container: Container) -> None:
        if has_health(container.config):
            container.probe = asyncio.get_running_loop().create_task(self._watch(container))

    def end(self, container: Container) -> None:
        if container.probe is not None:
            container.probe.cancel()
            container.probe = None

    async def _watch(self, container: Container) -> None:
        check = container.config.healthcheck
        assert check is not None
        while True:
            await asyncio.sleep(self._pause(container, check) / 1e9)
            if container.state.status != "running":
                continue  # paused
            within_start = _runs_for(container) < check.start_period
            result = await self._probe(container, check)
            if not container.alive:
                return
            self._take(container, check, result, within_start)

    @staticmethod
    def _pause(container: Container, check: Healthcheck) -> int:
        health = container.state.health
        starting = health is not None and health.status == "starting"
        if starting and _runs_for(container) < check.start_period:
            return min(check.start_interval or DEFAULT_START_INTERVAL, check.interval or DEFAULT_INTERVAL)
        return check.interval or DEFAULT_INTERVAL

    async def _probe(self, container: Container, check: Healthcheck) -> HealthResult:
        test = check.test or []
        command = test[1:] if test[0] == "CMD" else [*(container.config.shell or ["/bin/sh", "-c"]), *test[1:]]
        start, began = time.time_ns(), time.monotonic_ns()
        try:
            timeout = (check.timeout or DEFAULT_TIMEOUT) / 1e9
            code, output = await self._execs.probe(container, command, timeout, OUTPUT_LIMIT)
        except (errors.CortenError, OSError) as error:
            code, output = -1, str(error)
        return HealthResult(start=start, end=start + time.monotonic_ns() - began, exit_code=code, output=output)

    def _take(self, container: Container, check: Healthcheck, result: HealthResult, within_start: bool) -> None:
        before = container.state.health or HealthState()
        after = judge(before, check, result, within_start=within_start)
        container.enter(lifecycle.probed(container.state, after))
        if after.status != before.status:
            self._life.shelf.save(container)
            self._events.emit("container", f"health_status: {after.status}", container.id, container.attributes())

    async def close(self) -> None:
        probes = [container.probe for container in self._life.shelf if container.probe is not None]
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)


def _runs_for(container: Container) -> int:
    """Nanoseconds."""
    return time.monotonic_ns() - container.began


def judge(before: HealthState, check: Healthcheck, result: HealthResult, *, within_start: bool) -> HealthState:
    """The health after *result*."""
    kept = [*before.log, result][-KEPT_RESULTS:]
    if result.exit_code == 0:
        return replace(before, status="healthy", failing_streak=0, log=kept)
    if before.status == "starting" and within_start:
        return replace(before, log=kept)
    streak = before.failing_streak + 1
    status = "unhealthy" if streak >= (check.retries or DEFAULT_RETRIES) else before.status
    return replace(before, status=status, failing_streak=streak, log=kept)
