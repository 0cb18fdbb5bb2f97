"""Waiting for the kernel ahead of time: the first move of a process into a cgroup.

A write to cgroup.procs takes a per-CPU rw-semaphore for writing. When nobody has done that for a few milliseconds, it
waits for an RCU grace period first (kernel/rcu/sync.c, kernel/locking/percpu-rwsem.c): 4 to 10 ms on an idle host,
which every start of a container and every exec would pay inside the runtime. Writes that follow at once do not wait.
So the daemon makes one that changes nothing, itself into the cgroup where it is, as soon as it knows that a start or
an exec is coming; the grace period then passes while the rest is prepared.
"""

import logging
import os
import threading
import time

from corten.linux.cgroup import CgroupLayout

log = logging.getLogger("corten.cgroup")

WARM = 0.002
"""Seconds during which another announcement would gain nothing."""


class Migrations:
    """Announces moves between cgroups. ``announce`` returns at once; a thread of its own does the waiting."""

    def __init__(self, layout: CgroupLayout) -> None:
        self._path = _own_procs(layout)
        self._wanted = threading.Event()
        self._closed = False
        self._last = 0.0
        self._thread = threading.Thread(target=self._run, name="cgroup-migrations", daemon=True)
        self._thread.start()

    def announce(self) -> None:
        """A process is going to be moved soon. Any thread."""
        if time.monotonic() - self._last > WARM:
            self._wanted.set()

    def close(self) -> None:
        self._closed = True
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._closed or not self._path:
                return
            try:
                fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
                try:
                    os.write(fd, b"0")
                finally:
                    os.close(fd)
            except OSError as error:  # refused, say by a cgroup for inner nodes only: the wait is over all the same
                log.debug("%s: %s", self._path, error)
            self._last = time.monotonic()


def _own_procs(layout: CgroupLayout) -> str:
    """cgroup.procs of the cgroup that this process is in, in any one hierarchy; "" when none is found."""
    with open("/proc/self/cgroup") as file:
        for line in file:
            number, controllers, path = line.rstrip("\n").split(":", 2)
            top = (
                layout.unified if number == "0" else layout.v1.get(controllers.split(",")[0].removeprefix("name="), "")
            )
            candidate = f"{top}{path.rstrip('/')}/cgroup.procs"
            if top and os.access(candidate, os.W_OK):
                return candidate
    return ""
