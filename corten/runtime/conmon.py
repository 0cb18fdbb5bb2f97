"""conmon: the small process that holds a container's stdio, writes its log and keeps its exit code.

One per container, started by the daemon but not living with it: when the daemon dies, conmon and the container go on.
What conmon leaves in the container's run directory (the bundle) is all that a new daemon needs to take over:

    container.pid  the container's init        attach    SEQPACKET socket for attaching
    exit           exit code, at the end       ctl       fifo: "2 0 0\\n" reopens the log
    oom            exists after an OOM kill    winsz     fifo: "HEIGHT WIDTH\\n" resizes the terminal

conmon itself is found by its command line (``find_monitors``): under --sync it writes no pid file.

Start protocol (conmon(8)): the fd named by ``_OCI_SYNCPIPE`` brings one JSON line {"data": pid} after the runtime's
``create``, or {"data": -N, "message": text} when that failed.
"""

import contextlib
import fcntl
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from typing import Any

from corten import errors, faultpoint
from corten.linux import unixdiag
from corten.runtime.ociruntime import OCIRuntime, clean_environment, plain_message

log = logging.getLogger("corten.conmon")

CREATE_TIMEOUT = 120.0
MESSAGE_LIMIT = 1 << 20
ACCEPT_PATIENCE = 10.0
"""Seconds that conmon gets to take a connection before the container's program starts."""
FIFO_PATIENCE = 0.5
"""Seconds that a busy conmon gets to read its last order; then the next one is written all the same."""


class Monitor:
    """A running conmon with its container: two pids that cannot be confused with later processes (pidfds)."""

    def __init__(self, container_id: str, run_dir: str, conmon_pid: int, pid: int, pidfd: int, init_pidfd: int) -> None:
        self.container_id = container_id
        self.run_dir = run_dir
        self.conmon_pid = conmon_pid
        self.pid = pid
        self.pidfd = pidfd
        """Readable once conmon has gone, that is after the exit file is written."""
        self.init_pidfd = init_pidfd
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def create(
        cls,
        conmon: str,
        runtime: OCIRuntime,
        container_id: str,
        run_dir: str,
        *,
        log_path: str | None,
        terminal: bool,
        stdin: bool,
        leave_stdin_open: bool,
    ) -> "Monitor":
        """Start conmon, which lets the runtime create the container from ``run_dir/config.json``.

        Returns when the container exists but its program does not run yet. Raises StartFailed with the runtime's words.
        """
        argv = [conmon, "--api-version", "1", "--sync", "--full-attach", "--no-sync-log"]
        argv += ["-c", container_id, "-u", container_id, "-n", container_id, "-r", runtime.path, "-b", run_dir]
        argv += ["-p", f"{run_dir}/container.pid"]
        argv += ["--persist-dir", run_dir, "-l", f"k8s-file:{log_path}" if log_path else "none"]
        argv += [f"--runtime-arg={argument}" for argument in runtime.arguments]
        if terminal:
            argv.append("-t")
        if stdin:
            argv.append("-i")
            if leave_stdin_open:
                argv.append("--leave-stdin-open")
        read_end, write_end = os.pipe()
        try:
            environment = clean_environment() | {"_OCI_SYNCPIPE": str(write_end)}
            try:
                process = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    env=environment, pass_fds=(write_end,), start_new_session=True, cwd=run_dir,
                )  # fmt: skip
            except FileNotFoundError as error:
                raise errors.StartFailed(f"conmon is not installed at {conmon}", 128) from error
            except OSError as error:
                raise errors.StartFailed(f"{conmon} cannot be run: {(error.strerror or '').lower()}", 128) from error
            os.close(write_end)
            write_end = -1
            try:
                faultpoint.reach("start.spawned")
                pid, message = _read_sync(read_end)
                if pid <= 0:
                    _reap(process)
                    message = message or f"conmon ended with code {process.returncode} before it had made the container"
                    raise errors.StartFailed(plain_message(message.encode()), 128)
                monitor = cls._open(container_id, run_dir, process.pid, pid)
            except BaseException:
                _end_session(process)
                raise
            monitor._process = process
            return monitor
        finally:
            os.close(read_end)
            if write_end >= 0:
                os.close(write_end)

    @classmethod
    def _open(cls, container_id: str, run_dir: str, conmon_pid: int, pid: int) -> "Monitor":
        pidfd = os.pidfd_open(conmon_pid)
        try:
            init_pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            init_pidfd = -1  # exited between create and here; the exit file will tell
        return cls(container_id, run_dir, conmon_pid, pid, pidfd, init_pidfd)

    @classmethod
    def adopt(cls, container_id: str, run_dir: str, conmon_pid: int) -> "Monitor | None":
        """The monitor that a former daemon started, or None when it has ended or never got a container."""
        pid = _read_pid(f"{run_dir}/container.pid")
        if not pid:
            return None  # it never got a container
        try:
            pidfd = os.pidfd_open(conmon_pid)
        except ProcessLookupError:
            return None
        # a recycled pid must not be taken for conmon: its command line carries the container's id
        if not _is_conmon_of(conmon_pid, container_id):
            os.close(pidfd)
            return None
        try:
            init_pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            init_pidfd = -1
        if init_pidfd >= 0 and _parent(pid) != conmon_pid:  # ended meanwhile, and its number is another's now
            os.close(init_pidfd)
            init_pidfd = -1
        return cls(container_id, run_dir, conmon_pid, pid, pidfd, init_pidfd)

    def signal(self, number: int) -> bool:
        """Send a signal to the container's init; False when it has exited."""
        if self.init_pidfd < 0:
            return False
        try:
            signal.pidfd_send_signal(self.init_pidfd, number)
        except ProcessLookupError:
            return False
        return True

    def ended(self) -> bool:
        """Whether the container's first process has ended; conmon may still be writing that down."""
        if self.init_pidfd < 0:
            return True
        poll = select.poll()  # select() stops at 1,024 descriptors
        poll.register(self.init_pidfd, select.POLLIN)
        return bool(poll.poll(0))

    def attach(self) -> socket.socket:
        """A new non-blocking connection to the container's stdio (see ``corten.runtime.attach``)."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        directory = os.open(self.run_dir, os.O_PATH | os.O_DIRECTORY)
        try:
            # through the directory's fd: sun_path has room for 107 bytes only
            connection.connect(f"/proc/self/fd/{directory}/attach")
        except OSError:
            connection.close()
            raise
        finally:
            os.close(directory)
        connection.setblocking(False)
        return connection

    def attach_before_start(self) -> socket.socket:
        """As ``attach``, and conmon has taken the connection, so that it gets the very first output.

        conmon goes to its loop only after it has reported the container. On a busy machine, or one with a single
        processor, a short program has run to its end before that; conmon then closes without having looked.
        """
        connection = self.attach()
        deadline = time.monotonic() + ACCEPT_PATIENCE
        closed = select.poll()
        closed.register(connection, 0)  # a hang-up is always told
        try:
            while not unixdiag.is_accepted(connection) and not closed.poll(0) and time.monotonic() < deadline:
                time.sleep(0.0002)
        except OSError as error:
            log.debug("whether conmon has accepted is not known: %s", error)
        return connection

    def resize(self, height: int, width: int) -> None:
        """Set the terminal's size."""
        _write_fifo(f"{self.run_dir}/winsz", f"{height} {width}\n")

    def finish(self) -> "Exit":
        """Reap conmon after its pidfd became readable and say how the container ended."""
        if self._process is not None:
            _reap(self._process)
            self._process = None
        return read_exit(self.run_dir)

    def close(self) -> None:
        """Give back the descriptors; the processes are left alone."""
        for name in ("pidfd", "init_pidfd"):
            if getattr(self, name) >= 0:
                os.close(getattr(self, name))
                setattr(self, name, -1)

    def detach(self) -> None:
        """Let go of conmon at the daemon's end, without waiting for it."""
        if self._process is not None:
            self._process.returncode = 0  # tells Popen that it is no longer ours to wait for
            self._process = None
        self.close()


class Exit:
    """How a container ended: *code* 0..255 (128+N for signal N), *time* in ns, *oom* whether memory ran out.

    *recorded* is false where conmon left no record, because it was killed itself.
    """

    def __init__(self, code: int, time: int, oom: bool, *, recorded: bool = True) -> None:
        self.recorded = recorded
        self.code = code
        self.time = time
        self.oom = oom


def read_exit(run_dir: str) -> Exit:
    """The exit that conmon recorded. Without a record (conmon was killed) the code is 137, as after SIGKILL."""
    oom = os.path.exists(f"{run_dir}/oom")
    path = f"{run_dir}/exit"
    try:
        with open(path, "rb") as file:
            code = int(file.read().strip() or b"137")
            return Exit(code, os.fstat(file.fileno()).st_mtime_ns, oom)
    except (FileNotFoundError, ValueError):
        return Exit(137, time.time_ns(), oom, recorded=False)


def _reap(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_session(process: subprocess.Popen[bytes]) -> None:
    """conmon leads a session of its own; the runtime's call is in it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _read_sync(fd: int) -> tuple[int, str]:
    data = b""
    deadline = time.monotonic() + CREATE_TIMEOUT
    ready = select.poll()  # select(2) knows no descriptors above 1023, and a running container takes three
    ready.register(fd, select.POLLIN)
    while not data.endswith(b"\n") and len(data) < MESSAGE_LIMIT:
        if not ready.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return -1, f"conmon did not answer within {CREATE_TIMEOUT:.0f} s"
        chunk = os.read(fd, 65536)
        if not chunk:
            break
        data += chunk
    try:
        message: dict[str, Any] = json.loads(data)
    except ValueError:
        return -1, f"conmon answered {data[:200]!r}" if data else ""
    return int(message.get("data", message.get("pid", -1))), str(message.get("message", ""))


def _read_pid(path: str) -> int:
    try:
        with open(path, "rb") as file:
            return int(file.read().strip() or b"0")
    except (FileNotFoundError, ValueError):
        return 0


def find_monitors(run_root: str) -> dict[str, int]:
    """Container id -> conmon's pid, for every conmon whose bundle lies directly under *run_root*."""
    found: dict[str, int] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read(65536).split(b"\0")
        except OSError:
            continue  # gone meanwhile
        if os.path.basename(words[0]) == b"conmon" and b"-b" in words[:-1]:
            bundle = os.fsdecode(words[words.index(b"-b") + 1])
            if os.path.dirname(bundle) == run_root and _is_ours(name):
                found[os.path.basename(bundle)] = int(name)
    return found


def _is_ours(pid: str) -> bool:
    """Whether it runs outside of containers: one inside could call itself conmon and name any bundle."""
    try:
        # the root directory tells, too, since containers can share the pid namespace (--pid host)
        return all(os.path.samefile(f"/proc/{pid}/{what}", f"/proc/self/{what}") for what in ("ns/pid", "root"))
    except OSError:
        return False  # gone meanwhile


def _parent(pid: int) -> int:
    """Its parent's pid, 0 when it has gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rsplit(b")", 1)[1].split()[1])  # the name in parentheses may hold anything
    except (OSError, IndexError):
        return 0


def _is_conmon_of(pid: int, container_id: str) -> bool:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return container_id.encode() in file.read(65536).split(b"\0")
    return False


def _write_fifo(path: str, text: str) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        raise errors.Conflict(f"the container's monitor does not listen on {os.path.basename(path)}") from error
    try:
        _wait_until_read(fd)
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _wait_until_read(fd: int) -> None:
    """conmon (2.1.6) obeys only the first of the lines that it finds in one read, so they must not meet in the pipe."""
    deadline = time.monotonic() + FIFO_PATIENCE
    while int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4), sys.byteorder) and time.monotonic() < deadline:
        time.sleep(0.001)
