"""What a daemon uses and says while it is fuzzed."""

import os
import re
import threading
import time
from dataclasses import dataclass

from tests.support.daemon import Daemon
from tests.support.http import Api

BAD_LINES = re.compile(
    r"Traceback|Task was destroyed|never retrieved|Exception in callback|Unhandled|was never awaited|"
    r"Fatal error|ResourceWarning|Exception ignored"
)


@dataclass(frozen=True)
class Usage:
    """Bytes and counts."""

    memory: int
    descriptors: int
    threads: int
    tasks: int

    @staticmethod
    def of(daemon: Daemon) -> "Usage":
        with open(f"/proc/{daemon.pid}/smaps_rollup") as file:
            memory = sum(int(line.split()[1]) for line in file if line.startswith("Private_")) * 1024
        descriptors = len(os.listdir(f"/proc/{daemon.pid}/fd"))
        threads = len(os.listdir(f"/proc/{daemon.pid}/task"))
        return Usage(memory, descriptors, threads, daemon.api("GET", "/info").json()["NGoroutines"])


def files(daemon: Daemon) -> set[str]:
    """Everything below the data root but the database's own files."""
    found = set()
    for folder, folders, names in os.walk(daemon.data_root):
        for name in folders + names:
            if not name.startswith("state.db"):
                found.add(os.path.relpath(os.path.join(folder, name), daemon.data_root))
    return found


def bad_lines(log: str) -> list[str]:
    """Lines of the daemon's log that only a defect writes, each with what follows it."""
    lines = log.splitlines()
    return ["\n".join(lines[max(0, at - 1) : at + 25]) for at, line in enumerate(lines) if BAD_LINES.search(line)]


class Heartbeat(threading.Thread):
    """Pings all the time; ``worst`` is the longest wait in seconds, ``failure`` what went wrong."""

    def __init__(self, socket_path: str, limit: float) -> None:
        super().__init__(daemon=True)
        self.api = Api(socket_path, timeout=limit)
        self.worst = 0.0
        self.failure = ""
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.1):
            start = time.monotonic()
            try:
                if self.api("GET", "/_ping").status != 200:
                    self.failure = "a ping is refused"
            except OSError as error:
                self.failure = f"a ping fails after {time.monotonic() - start:.1f} s: {error!r}"
            self.worst = max(self.worst, time.monotonic() - start)

    def end(self) -> None:
        self.over.set()
        self.join()
