"""One run of a container, from mount to running program, and giving back what it held. Plain code, any thread.

``launch`` works in a rollback scope: whatever fails, nothing of the run is left. ``clean`` gives back what a run held;
it is the same code after an exit, after a crash of the daemon and before a removal, so each step bears repetition.
"""

import contextlib
import logging
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from corten import errors, faultpoint
from corten.engine.paths import Paths
from corten.linux import cgroup, mount
from corten.linux.host import Host
from corten.linux.migration import Migrations
from corten.model.record import KNOWN, Record
from corten.network.networks import Networks
from corten.network.record import Attachment
from corten.runtime import cdi
from corten.runtime.conmon import Monitor
from corten.runtime.ociruntime import OCIRuntime, start_failure
from corten.runtime.spec import SpecInput, build_spec, cgroup_path
from corten.store.snapshot import Snapshots
from corten.volume.store import Volumes

log = logging.getLogger("corten.launcher")

DEFAULT_SHM_SIZE = 64 << 20

PUT_DOWN_WAIT = 10.0
"""Seconds for the processes of an unfinished start to die."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchDefaults:
    """The daemon's own settings that reach every container."""

    conmon: str
    init_path: str = ""
    init: bool = False
    ulimits: Mapping[str, tuple[int, int]] | None = None
    seccomp: str = ""
    cgroupns: str = ""
    shm_size: int = DEFAULT_SHM_SIZE
    cgroup_parent: str = ""
    cdi_directories: Sequence[str] = cdi.DIRECTORIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Namespaces of other containers, by paths of descriptors held here until ``close``; "" where not joined."""

    pid_ns: str = ""
    ipc_ns: str = ""
    uts_ns: str = ""
    netns: str = ""
    shm_source: str = ""
    hostname: str = ""
    files_of: str = ""
    """The container whose hosts, hostname and resolv.conf are shared (network mode container:ID)."""
    fds: tuple[int, ...] = ()

    def close(self) -> None:
        """The container has them now, or never will."""
        for fd in self.fds:
            os.close(fd)


@dataclass(frozen=True, slots=True)
class Launched:
    """A container whose program runs. ``record`` carries the endpoints and ports that it got.

    ``started_at`` is taken before the program is let go, since it may have ended before anybody looks at a clock again.
    """

    monitor: Monitor
    record: Record
    started_at: int


class Launcher:
    """Makes and unmakes runs."""

    def __init__(
        self,
        paths: Paths,
        host: Host,
        snapshots: Snapshots,
        networks: Networks,
        volumes: Volumes,
        runtimes: Callable[[str], OCIRuntime],
        defaults: LaunchDefaults,
        migrations: Migrations,
    ) -> None:
        self.paths = paths
        self.host = host
        self.snapshots = snapshots
        self.networks = networks
        self.volumes = volumes
        self.runtimes = runtimes
        self.defaults = defaults
        self.migrations = migrations

    def launch(self, record: Record, joined: Joined, created: Callable[[Monitor, Record], None]) -> Launched:
        """Start *record*'s program; *created* is called when the container exists and nothing of it runs yet, with the
        record that carries its endpoints and ports. *joined* is closed.

        Raises StartFailed with the exit code to record, or another CortenError for what went wrong before.
        """
        self.migrations.announce()
        run_dir, rootfs = self.paths.run(record.id), self.paths.rootfs(record.id)
        with contextlib.closing(joined), contextlib.ExitStack() as undo:
            check_known(record)
            runtime = self.runtimes(record.runtime)
            self._fresh_run_dir(run_dir)
            undo.callback(self._remove_run_dir, run_dir)
            faultpoint.reach("start.directory")
            self.snapshots.mount(record.id, rootfs)
            undo.callback(self.snapshots.unmount, rootfs)
            faultpoint.reach("start.mounted")
            attachment = self._attach_network(record, joined, undo)
            record = replace(record, endpoints=attachment.endpoints or record.endpoints, ports=attachment.ports)
            faultpoint.reach("start.attached")
            hosts, hostname, resolv_conf = self._write_network_files(record, attachment, joined)
            undo.callback(self.volumes.release, record)
            mounts = self.volumes.realise(record, rootfs)
            faultpoint.reach("start.volumes")
            result = build_spec(
                SpecInput(
                    record=record,
                    rootfs=rootfs,
                    host=self.host,
                    mounts=mounts,
                    netns=joined.netns or attachment.netns,
                    pid_ns=joined.pid_ns,
                    ipc_ns=joined.ipc_ns,
                    uts_ns=joined.uts_ns,
                    hostname=joined.hostname,
                    shm_source=joined.shm_source or self._shareable_shm(record, run_dir, undo),
                    hosts_file=hosts,
                    hostname_file=hostname,
                    resolv_conf=resolv_conf,
                    init_path=self.defaults.init_path,
                    default_init=self.defaults.init,
                    default_ulimits=self.defaults.ulimits or {},
                    default_seccomp=self.defaults.seccomp,
                    default_cgroupns=self.defaults.cgroupns,
                    cdi_directories=self.defaults.cdi_directories,
                )
            )
            for warning in result.warnings:
                log.warning("container %s: %s", record.id[:12], warning)
            with open(f"{run_dir}/config.json", "wb") as file:
                file.write(result.encode())
            faultpoint.reach("start.configured")
            monitor = self._create(runtime, record, run_dir)
            undo.callback(self._destroy, runtime, monitor)
            faultpoint.reach("start.created")
            created(monitor, record)
            faultpoint.reach("start.noted")
            started_at = time.time_ns()
            runtime.start(record.id, hooks="hooks" in result.spec)
            faultpoint.reach("start.started")
            undo.pop_all()
        return Launched(monitor, record, started_at)

    def clean(self, record: Record) -> None:
        """Give back everything that a run of *record* held; what it does not hold is passed over."""
        with contextlib.ExitStack() as steps:  # all are tried, the first error is raised at the end
            steps.callback(self._remove_run_dir, self.paths.run(record.id))
            steps.callback(faultpoint.reach, "clean.unmounted")
            steps.callback(self.volumes.release, record)
            steps.callback(self.snapshots.unmount, self.paths.rootfs(record.id))
            steps.callback(self._unmount_shm, record)
            steps.callback(faultpoint.reach, "clean.detached")
            steps.callback(self.networks.detach, record.id)
            steps.callback(faultpoint.reach, "clean.forgotten")
            steps.callback(self._forget, self.runtimes(record.runtime), record)

    # steps

    def _fresh_run_dir(self, run_dir: str) -> None:
        if os.path.exists(run_dir):
            self._remove_run_dir(run_dir)
        os.makedirs(f"{run_dir}/rootfs", mode=0o711)

    def _remove_run_dir(self, run_dir: str) -> None:
        if os.path.ismount(f"{run_dir}/rootfs"):
            raise errors.System(f"{run_dir}/rootfs is still mounted")
        shutil.rmtree(run_dir, ignore_errors=True)

    def _attach_network(self, record: Record, joined: Joined, undo: contextlib.ExitStack) -> Attachment:
        if joined.netns:
            return Attachment(netns=joined.netns, sandbox_id="", sandbox_key=joined.netns)
        undo.callback(self.networks.detach, record.id)
        return self.networks.attach(record.id, replace(record, endpoints=record.wanted_endpoints))

    def _write_network_files(self, record: Record, attachment: Attachment, joined: Joined) -> tuple[str, str, str]:
        """Paths of hosts, hostname and resolv.conf; those of the other container where the network is shared."""
        directory = self.paths.container(joined.files_of or record.id)
        names = (f"{directory}/hosts", f"{directory}/hostname", f"{directory}/resolv.conf")
        os.makedirs(self.paths.container(record.id), mode=0o710, exist_ok=True)  # conmon's log goes there, too
        if not joined.files_of:
            files = self.networks.files(record, attachment)
            for name, content in zip(names, (files.hosts, files.hostname, files.resolv_conf), strict=True):
                # written in place: the file may be bind-mounted, and it is made anew at every start
                with open(name, "wb") as file:
                    file.write(content)
                os.chmod(name, 0o644)
        return names

    def _shareable_shm(self, record: Record, run_dir: str, undo: contextlib.ExitStack) -> str:
        """A /dev/shm that other containers can join lives outside of the container's own mounts."""
        if record.host_config.ipc_mode != "shareable":
            return ""
        path = f"{run_dir}/shm"
        os.mkdir(path, 0o1777)
        size = record.host_config.shm_size or self.defaults.shm_size
        mount.mount("shm", path, "tmpfs", mount.MS_NOSUID | mount.MS_NODEV | mount.MS_NOEXEC, f"mode=1777,size={size}")
        undo.callback(mount.umount_if_mounted, path)
        return path

    def _unmount_shm(self, record: Record) -> None:
        if record.host_config.ipc_mode == "shareable":
            mount.umount_if_mounted(f"{self.paths.run(record.id)}/shm")

    def _create(self, runtime: OCIRuntime, record: Record, run_dir: str) -> Monitor:
        config = record.config
        try:
            return Monitor.create(
                self.defaults.conmon,
                runtime,
                record.id,
                run_dir,
                log_path=None if record.log_driver == "none" else self.paths.log(record.id),
                terminal=config.tty,
                stdin=config.open_stdin,
                # a terminal is not closed by its first client: one detaches from it and attaches again
                leave_stdin_open=config.tty or not config.stdin_once,
            )
        except BaseException as error:
            self._forget(runtime, record)
            if isinstance(error, errors.StartFailed):
                raise start_failure(str(error), record.path) from error
            raise

    def _forget(self, runtime: OCIRuntime, record: Record) -> None:
        """The runtime's memory of the container, and its cgroups, which a failed create can leave behind."""
        runtime.delete(record.id)
        self.put_down(record)

    def put_down(self, record: Record) -> None:
        """End every process of a run that was not finished or has ended, and remove its cgroups."""
        layout, path = self.host.cgroups, cgroup_path(record)
        deadline = time.monotonic() + PUT_DOWN_WAIT
        while pids := cgroup.pids(layout, path):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise errors.System(f"the processes of container {record.id} do not end")
            time.sleep(0.01)
        cgroup.remove(layout, path)

    def _destroy(self, runtime: OCIRuntime, monitor: Monitor) -> None:
        try:
            runtime.delete(monitor.container_id)
        finally:
            monitor.finish()
            monitor.close()


def check_known(record: Record) -> None:
    """``NotSupported`` for a container that a newer daemon has made, with something that this one does not know."""
    if lacking := sorted(set(record.needs) - KNOWN):
        raise errors.NotSupported(
            f"container {record.id} was made by a newer Corten and needs what this one does not know: "
            f"{', '.join(lacking)}"
        )
