"""What is changed on the processes of a running container: frozen or not, and their limits. Blocking, any thread."""

import time

from corten import errors, faultpoint
from corten.engine.container import Container
from corten.engine.launcher import Launcher
from corten.linux import cgroup
from corten.runtime import resources
from corten.runtime.spec import cgroup_path

FREEZE_WAIT = 10.0


def freeze(launcher: Launcher, container: Container, value: bool) -> None:
    """Through the cgroup's freezer and not the runtime's command: no process, and the same for every runtime.

    Conflict when the container has ended, System when the kernel does not get it done in time.
    """
    layout, path = launcher.host.cgroups, cgroup_path(container.record)
    deadline = time.monotonic() + FREEZE_WAIT
    try:
        cgroup.set_frozen(layout, path, value)
        while cgroup.frozen(layout, path) is not value and not container.over:
            if time.monotonic() > deadline:
                if value:
                    cgroup.set_frozen(layout, path, False)  # not half of it
                raise errors.System(f"container {container.id} did not {'freeze' if value else 'thaw'} in time")
            time.sleep(0.001)
    except OSError:
        if not container.over:
            raise
    if container.over:  # killed at this very moment, and its exit waits for the lock that we hold
        raise errors.Conflict(f"container {container.id} is not running")
    if value:
        try:
            faultpoint.reach("pause.frozen")
        except OSError:
            cgroup.set_frozen(layout, path, False)
            raise


def apply_limits(launcher: Launcher, container: Container) -> None:
    """Give the processes of a running container the limits of its record. One that ends just now needs none."""
    record = container.record
    try:
        launcher.runtimes(record.runtime).update(record.id, resources.for_host(record.host_config, launcher.host))
    except errors.System:
        if not container.over:
            raise
    faultpoint.reach("update.applied")
