"""A container as the running daemon knows it: the durable record plus what lives only as long as the daemon."""

import asyncio
from typing import TYPE_CHECKING

from msgspec.structs import replace

from corten.engine import lifecycle
from corten.model.container import ContainerConfig, HostConfig
from corten.model.record import Record, RunState
from corten.runtime.conmon import Monitor

if TYPE_CHECKING:
    from corten.engine.attach import Session


Waiters = set[asyncio.Future[tuple[int, str]]]
"""Of (exit code, error text)."""


class Container:
    """Live side of one container. Belongs to the loop's thread; ``record`` is replaced, never changed."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.lock = asyncio.Lock()
        """Held by start, stop, restart, pause, remove, update: one at a time per container."""
        self.committing = asyncio.Lock()
        """Held by commit, and by remove before ``lock``: an image is not made of a tree that is half deleted."""
        self.monitor: Monitor | None = None
        self.exec_ids: list[str] = []
        self.sessions: set[Session] = set()
        self.cleanup: asyncio.Task[None] | None = None
        """Giving back what the last run held; start and remove wait for it."""
        self.held: Record | None = None
        """The record of the last run for as long as not everything that it held is given back."""
        self.restart: asyncio.Task[None] | None = None
        self.probe: asyncio.Task[None] | None = None
        self.exit_waiters: Waiters = set()
        self.removal_waiters: Waiters = set()
        self.began = 0
        """When its run began, on the monotonic clock in ns: how long it runs must not depend on a clock that is set."""
        self.restart_delay = 0.0
        self.starting: asyncio.Future[None] | None = None
        """Done when the start that is under way has ended, well or not."""
        self.stopping = False
        """A stop or kill is under way, so the restart policy must not act on the exit."""
        self.condemned = 0
        """How many forced removals wait for the lock: no stop that holds it, or gets it before them, is patient."""
        self.passing = False
        """It is paused for as long as a commit takes; nobody asked for that, so it is not to be remembered."""
        self.kept = False
        """A restart or removal is under way, so the exit must not remove it by itself."""

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def name(self) -> str:
        """Without the leading slash."""
        return self.record.name

    @property
    def state(self) -> RunState:
        return self.record.state

    @property
    def config(self) -> ContainerConfig:
        return self.record.config

    @property
    def host_config(self) -> HostConfig:
        return self.record.host_config

    @property
    def alive(self) -> bool:
        """Whether it has a process (running or paused)."""
        return self.record.state.status in lifecycle.ALIVE

    @property
    def active(self) -> bool:
        """Running in the API's sense: also while paused or waiting for a restart."""
        return self.record.state.status in lifecycle.ACTIVE

    @property
    def over(self) -> bool:
        """Whether its run has ended, also when the exit has not been handled yet. Any thread."""
        monitor = self.monitor
        return monitor is None or monitor.ended()

    @property
    def cleaning(self) -> bool:
        """Whether the last run is still giving back what it held."""
        return self.cleanup is not None and not self.cleanup.done()

    @property
    def lasting(self) -> Record:
        """The record as the next daemon is to find it."""
        if self.passing and self.state.status == "paused":
            return replace(self.record, state=lifecycle.resumed(self.state))
        return self.record

    def enter(self, state: RunState) -> None:
        """Take over a state derived by ``corten.engine.lifecycle``."""
        self.record = replace(self.record, state=state)

    def attributes(self) -> dict[str, str]:
        """What every event of this container carries: labels, image, name."""
        return {**(self.config.labels or {}), "image": self.config.image, "name": self.name}

    async def started(self) -> None:
        """Wait for a start that is under way: its program may have spoken before the start was recorded, and whoever
        heard it must find it running."""
        if self.starting is not None:
            await asyncio.wait({self.starting})
