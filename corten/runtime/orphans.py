"""Children that the daemon inherits as a subreaper, and how they are told apart from its own.

A runtime call that fails can leave its half-started process behind as a zombie. Nobody asked for that child's exit
code, but as long as it is not reaped it keeps its pid namespace, and so the whole container, from ending
(pid_namespaces(7)). ``sweep`` reaps exactly those: zombies in a foreign pid namespace that no exec has claimed. A call
in progress may own a zombie it has not claimed yet, so sweep waits until none is in progress.
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterator

PATIENCE = 30.0
"""Seconds for which a dying orphan is waited for."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.002, 0.25


class Orphans:
    """Book of claimed pids and of runtime calls in progress. Thread-safe; one per process."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._calls = 0
        self._sweeping = False
        self._claimed: set[int] = set()
        self._waiter: threading.Thread | None = None

    @contextlib.contextmanager
    def call(self) -> Iterator[None]:
        """Hold this while a runtime call may produce a child, until it is claimed."""
        with self._condition:
            self._condition.wait_for(lambda: not self._sweeping)
            self._calls += 1
        try:
            yield
        finally:
            with self._condition:
                self._calls -= 1
                self._condition.notify_all()

    def claim(self, pid: int) -> None:
        self._claimed.add(pid)

    def release(self, pid: int) -> None:
        """To be called after the pid was reaped."""
        self._claimed.discard(pid)

    def sweep(self) -> int:
        """Reap unclaimed zombies of foreign pid namespaces; returns how many."""
        with self._condition:
            self._condition.wait_for(lambda: not self._sweeping)
            self._sweeping = True
            self._condition.wait_for(lambda: self._calls == 0)
        try:
            return sum(self._reap(pid) for pid in _children() if pid not in self._claimed and _foreign_zombie(pid))
        finally:
            with self._condition:
                self._sweeping = False
                self._condition.notify_all()

    def sweep_after_failure(self) -> None:
        """Sweep now, and go on in the background while a failed call's process has not quite died yet."""
        self.sweep()
        with self._condition:
            if self._suspects() and (self._waiter is None or not self._waiter.is_alive()):
                self._waiter = threading.Thread(target=self._sweep_until_clean, name="orphans", daemon=True)
                self._waiter.start()

    def _sweep_until_clean(self) -> None:
        deadline, pause = time.monotonic() + PATIENCE, _SHORTEST_PAUSE
        while self._suspects() and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            self.sweep()

    def _suspects(self) -> list[int]:
        """Unclaimed children in foreign pid namespaces, but no living inits: those are containers without conmon."""
        found: list[int] = []
        for pid in _children():
            if pid not in self._claimed:
                state, numbers = _state(pid)
                if len(numbers) > 1 and (state == "Z" or numbers[-1] != "1"):
                    found.append(pid)
        return found

    @staticmethod
    def _reap(pid: int) -> bool:
        try:
            return os.waitpid(pid, os.WNOHANG)[0] == pid
        except ChildProcessError:
            return False


def _children() -> list[int]:
    found: list[int] = []
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/self/task/{thread}/children") as file:
            found += map(int, file.read().split())
    return found


def _foreign_zombie(pid: int) -> bool:
    """Whether *pid* is a zombie whose pid namespace is not ours."""
    state, numbers = _state(pid)
    return state == "Z" and len(numbers) > 1


def _state(pid: int) -> tuple[str, list[str]]:
    """(state letter, the process's number in each pid namespace from ours down): State and NSpid of proc(5)."""
    try:
        with open(f"/proc/{pid}/status") as file:
            fields = dict(line.split(":", 1) for line in file if ":" in line)
    except (FileNotFoundError, ProcessLookupError):
        return "", []
    return fields["State"].strip()[:1], fields.get("NSpid", "").split()
