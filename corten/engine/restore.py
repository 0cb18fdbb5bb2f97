"""Taking up the containers of a former daemon, and sweeping away what is half made.

What ran goes on: a container whose conmon lives is adopted as it is. What ended meanwhile has left its exit code and
time with conmon's files. Whatever the records do not know (bundles, snapshots, networks) is garbage; that is the same
rule after a clean stop, a kill -9 and a power cut.
"""

import contextlib
import logging
import os
import shutil
import signal

from msgspec.structs import replace

from corten import errors
from corten.engine import lifecycle
from corten.engine.container import Container
from corten.engine.controls import apply_limits
from corten.engine.launcher import Launcher
from corten.engine.life import Life
from corten.engine.restartpolicy import wants_start_at_boot
from corten.linux import cgroup
from corten.model.record import Record
from corten.runtime.conmon import Exit, Monitor, find_monitors, read_exit
from corten.runtime.process import PREFIX as EXEC_PREFIX
from corten.runtime.spec import cgroup_path

log = logging.getLogger("corten.restore")


class Restore:
    """One pass at the daemon's start, before the first request."""

    def __init__(self, life: Life, launcher: Launcher) -> None:
        self._life = life
        self._launcher = launcher
        self._ended: list[tuple[Container, Exit]] = []

    def take_up(self) -> None:
        """Adopt, collect exits and garbage. Blocking; on the loop's thread."""
        damaged = self._life.shelf.load()
        run_root = self._launcher.paths.run_root
        monitors = find_monitors(run_root)
        live: dict[str, Record] = {}
        for container in self._life.shelf:
            monitor = self._adopt(container, monitors)
            if monitor is not None:
                live[container.id] = container.record
                self._take_over(container, monitor)
            elif container.state.status in lifecycle.ALIVE:
                self._ended.append((container, self._exit_of(container)))
            elif container.state.status == "removing":
                container.enter(lifecycle.dead(container.state, "the daemon ended during the removal"))
        unknown = [container_id for container_id in monitors if container_id in damaged]
        for container_id, conmon_pid in monitors.items():
            if container_id in unknown:
                log.warning("container %s runs and its record cannot be read: it is left alone", container_id[:12])
                continue
            try:
                self._put_down(self._record_or_default(container_id), conmon_pid)
            except (errors.CortenError, OSError) as error:  # no reason to keep all the others without their daemon
                log.error("container %s: %s", container_id[:12], error)
        self._launcher.networks.recover(live, unknown)
        self._launcher.volumes.recover(live.values())
        self._sweep_runs(live, damaged)
        self._launcher.snapshots.clean([*(each.id for each in self._life.shelf), *damaged])
        self._sweep_directories(damaged)

    def resume(self) -> None:
        """Watch what runs, record what ended, start what its policy wants running. Needs the running loop."""
        for container in self._life.shelf:
            if container.monitor is not None:
                self._life.watch(container)
        for container, outcome in self._ended:
            self._life.ended(container, outcome)
        for container in self._life.shelf:
            self._life.resume(container, wants_start_at_boot(container.host_config.restart_policy, container.state))

    def _adopt(self, container: Container, monitors: dict[str, int]) -> Monitor | None:
        """The monitor of a container that runs; what is taken is dropped from *monitors*."""
        conmon_pid = monitors.get(container.id, 0)
        if not conmon_pid or (not container.alive and self._waits_for_start(container)):
            return None
        monitor = Monitor.adopt(container.id, self._launcher.paths.run(container.id), conmon_pid)
        if monitor is not None:
            del monitors[container.id]
        return monitor

    def _waits_for_start(self, container: Container) -> bool:
        """Whether the runtime has created the container and its program was never let go: crun and runc keep a fifo."""
        root = self._launcher.runtimes(container.record.runtime).root
        return os.path.exists(f"{root}/{container.id}/exec.fifo")

    def _put_down(self, record: Record, conmon_pid: int) -> None:
        """End a start that the former daemon did not finish: conmon, the runtime's call, what that has made so far."""
        log.warning("ending the unfinished start of container %s", record.id[:12])
        with contextlib.suppress(ProcessLookupError):
            os.killpg(conmon_pid, signal.SIGKILL)  # conmon leads a session of its own, the runtime's call is in it
        self._launcher.put_down(record)

    def _take_over(self, container: Container, monitor: Monitor) -> None:
        """The former daemon may have died before it recorded the start, a pause or its end."""
        container.monitor = monitor
        if not container.alive:
            state = lifecycle.started(
                container.state, pid=monitor.pid, monitor_pid=monitor.conmon_pid, health=False, by_policy=False,
                now=os.stat(f"{monitor.run_dir}/container.pid").st_mtime_ns,
            )  # fmt: skip
            container.enter(state)
        layout, path = self._launcher.host.cgroups, cgroup_path(container.record)
        frozen = cgroup.frozen(layout, path)
        if frozen and container.state.status == "running":  # a pause nobody was told of, or a commit's
            cgroup.set_frozen(layout, path, False)
        elif not frozen and container.state.status == "paused":
            container.enter(lifecycle.resumed(container.state))
        if container.record.limits_due:
            try:
                apply_limits(self._launcher, container)
                container.record = replace(container.record, limits_due=False)
            except (errors.CortenError, OSError) as error:
                log.error("container %s: its limits are not those of its record: %s", container.id[:12], error)
        self._life.shelf.save(container)

    def _exit_of(self, container: Container) -> Exit:
        outcome = read_exit(self._launcher.paths.run(container.id))
        outcome.time = max(outcome.time, container.state.started_at + 1)  # file times are coarser than ours
        return outcome

    def _sweep_runs(self, live: dict[str, Record], damaged: list[str]) -> None:
        """Delete bundles without a living container; those of ended ones are cleaned with their exit."""
        keep = {*live, *damaged, *(container.id for container, _ in self._ended)}
        for name in os.listdir(self._launcher.paths.run_root):
            if name in keep:
                continue
            log.info("sweeping away the unfinished run %s", name[:12])
            try:
                self._launcher.clean(self._record_or_default(name))
            except (errors.CortenError, OSError) as error:
                log.error("run %s: %s", name[:12], error)

    def _record_or_default(self, container_id: str) -> Record:
        try:
            return self._life.shelf.get(container_id).record
        except errors.NotFound:
            return Record(id=container_id, name="", created=0, runtime="")

    def _sweep_directories(self, damaged: list[str]) -> None:
        """What an exec's start or a container's making left behind."""
        runtimes = f"{self._launcher.paths.exec_root}/runtime"
        for name in os.listdir(runtimes):
            if name.startswith(EXEC_PREFIX):
                shutil.rmtree(os.path.join(runtimes, name), ignore_errors=True)
        known = {*(each.id for each in self._life.shelf), *damaged}
        root = self._launcher.paths.containers
        for name in os.listdir(root):
            if name not in known:
                shutil.rmtree(os.path.join(root, name), ignore_errors=True)
