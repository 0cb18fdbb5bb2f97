"""Waiting for a container's log: that its directory changed, that its monitor ended."""

import asyncio
import logging
import os
import select
from typing import Self

from corten.linux.inotify import Inotify
from corten.model.record import RunState

FALLBACK_PAUSE = 0.25
SAFETY_PAUSE = 10.0
"""Even a watched log is looked at this often; some file systems tell nothing."""

log = logging.getLogger(__name__)


class Monitor:
    """A container's conmon, held by a pidfd. Once it has ended, the log is complete."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._changed: asyncio.Event | None = None

    @classmethod
    def of(cls, state: RunState) -> "Monitor | None":
        """The living monitor of a container in *state*; None when there is none."""
        if state.monitor_pid <= 0:
            return None
        try:
            descriptor = os.pidfd_open(state.monitor_pid)
        except OSError:
            return None
        if state.monitor_start_ticks and _start_ticks(state.monitor_pid) != state.monitor_start_ticks:
            os.close(descriptor)
            return None
        return cls(descriptor)

    def tell(self, changed: asyncio.Event) -> None:
        """Set *changed* when the monitor ends."""
        self._changed = changed
        asyncio.get_running_loop().add_reader(self._descriptor, self._ended)

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        if self._changed is not None:
            self._changed.set()

    @property
    def gone(self) -> bool:
        """Whether the monitor has ended."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Let go of the process; may be called twice."""
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


def _start_ticks(pid: int) -> int:
    """Field 22 of /proc/PID/stat (proc(5)); 0 when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


class Watch:
    """One reader's interest in a directory; ``changed`` is set when something in it changed."""

    def __init__(self, owner: "LogWatch", number: int) -> None:
        self._owner = owner
        self.number = number
        self.changed = asyncio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._owner.forget(self)

    async def wait(self, timeout: float = SAFETY_PAUSE) -> None:
        """Return when something may have changed, at the latest after *timeout* seconds."""
        try:
            async with asyncio.timeout(min(timeout, SAFETY_PAUSE if self.number >= 0 else FALLBACK_PAUSE)):
                await self.changed.wait()
        except TimeoutError:
            return
        finally:
            self.changed.clear()


class LogWatch:
    """All watches of the daemon over one inotify instance. Loop thread only."""

    def __init__(self) -> None:
        self._inotify: Inotify | None = None
        self._watches: dict[int, set[Watch]] = {}

    def watch(self, directory: str) -> Watch:
        """Watch *directory*; where the host has no watches left, it is looked at four times a second."""
        watch = Watch(self, self._add(directory))
        if watch.number >= 0:
            self._watches.setdefault(watch.number, set()).add(watch)
        return watch

    def forget(self, watch: Watch) -> None:
        """End a watch; called by the watch itself."""
        others = self._watches.get(watch.number)
        if others is None or self._inotify is None:
            return
        others.discard(watch)
        if not others:
            del self._watches[watch.number]
            self._inotify.remove(watch.number)

    def close(self) -> None:
        """End all watches."""
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.descriptor)
            self._inotify.close()
            self._inotify = None
        self._watches.clear()

    def _add(self, directory: str) -> int:
        try:
            if self._inotify is None:
                self._inotify = Inotify()
                asyncio.get_running_loop().add_reader(self._inotify.descriptor, self._readable)
            return self._inotify.add(directory)
        except OSError as error:
            log.warning("cannot watch %s, looking at it from time to time instead: %s", directory, error)
            return -1

    def _readable(self) -> None:
        if self._inotify is None:
            return
        numbers = self._inotify.changed()
        for number in self._watches if numbers is None else numbers:
            for watch in self._watches.get(number, ()):
                watch.changed.set()
