"""A further process in a running container (exec), without a monitor of its own.

The runtime is called with ``exec --detach``: it starts the process, writes its pid and ends. The process is then
re-parented to the daemon, which is a child subreaper (prctl(2), PR_SET_CHILD_SUBREAPER), so its pidfd gives the exit
code. That costs one short process per exec and no memory while the exec runs. If the daemon dies, the process stays
but its stdio ends, just as the client's connection does.
"""

import array
import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import termios
from typing import Any

from corten import errors
from corten.runtime.ociruntime import OCIRuntime, clean_environment, plain_message, start_failure
from corten.runtime.orphans import Orphans

PR_SET_CHILD_SUBREAPER = 36

PREFIX = "exec-"
"""Of the directories, beside the runtime's root, that exist while an exec starts."""

orphans = Orphans()
"""Children belong to the process as a whole, so this book is the module's and not an object's."""


def become_subreaper() -> None:
    """Let orphaned descendants be re-parented to this process, so that it can learn their exit codes."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise errors.System(f"prctl(PR_SET_CHILD_SUBREAPER): {os.strerror(ctypes.get_errno())}")


class Process:
    """A started exec: *pid*, its *pidfd* (readable at exit) and the daemon's ends of its stdio (-1 where not wanted).

    With a terminal, ``stdin`` and ``stdout`` are the same descriptor, the terminal's master side.
    """

    def __init__(self, pid: int, pidfd: int, stdin: int, stdout: int, stderr: int, terminal: bool) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.terminal = terminal

    def resize(self, height: int, width: int) -> None:
        """Set the terminal's size; SIGWINCH follows from the kernel."""
        if self.terminal and self.stdout >= 0:
            fcntl.ioctl(self.stdout, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def exit_code(self) -> int:
        """Reap the process after its pidfd became readable: 0..255, 128+N for signal N."""
        info = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        orphans.release(self.pid)
        if info is None:
            return 255
        return info.si_status if info.si_code == os.CLD_EXITED else 128 + info.si_status

    def close(self) -> None:
        for fd in {self.pidfd, self.stdin, self.stdout, self.stderr}:
            if fd >= 0:
                os.close(fd)
        self.pidfd = self.stdin = self.stdout = self.stderr = -1


def spawn(
    runtime: OCIRuntime, container_id: str, process: dict[str, Any], *, stdin: bool, stdout: bool, stderr: bool
) -> Process:
    """Start *process* (OCI ``process`` object) in the container.

    Raises StartFailed (126, 127 or 128) with Docker's words when the program cannot be executed.
    """
    directory = tempfile.mkdtemp(prefix=PREFIX, dir=os.path.dirname(runtime.root))
    try:
        with open(f"{directory}/process.json", "w") as file:
            json.dump(process, file)
        if process.get("terminal"):
            return _spawn_terminal(runtime, container_id, directory, process)
        return _spawn_pipes(runtime, container_id, directory, process, stdin, stdout, stderr)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _spawn_pipes(
    runtime: OCIRuntime,
    container_id: str,
    directory: str,
    process: dict[str, Any],
    stdin: bool,
    stdout: bool,
    stderr: bool,
) -> Process:
    mine = [-1, -1, -1]
    theirs: list[int] = []
    try:
        for index, wanted in enumerate((stdin, stdout, stderr)):
            if not wanted:
                theirs.append(os.open(os.devnull, os.O_RDWR))
                continue
            read_end, write_end = os.pipe()
            theirs.append(read_end if index == 0 else write_end)
            mine[index] = write_end if index == 0 else read_end
            os.set_blocking(mine[index], False)
        pid, pidfd = _run(runtime, container_id, directory, process, theirs, ())
        return Process(pid, pidfd, mine[0], mine[1], mine[2], terminal=False)
    except BaseException:
        for fd in mine:
            if fd >= 0:
                os.close(fd)
        raise
    finally:
        for fd in theirs:
            os.close(fd)


def _spawn_terminal(runtime: OCIRuntime, container_id: str, directory: str, process: dict[str, Any]) -> Process:
    """The runtime opens the terminal inside the container and sends its master side over a socket (SCM_RIGHTS)."""
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        parent = os.open(directory, os.O_PATH | os.O_DIRECTORY)
        opened.callback(os.close, parent)
        # through the directory's fd: sun_path has room for 107 bytes only
        path = f"/proc/{os.getpid()}/fd/{parent}/console"
        listener.bind(path)
        listener.listen(1)
        null = os.open(os.devnull, os.O_RDWR)
        try:
            extra = ("--tty", "--console-socket", path)
            pid, pidfd = _run(runtime, container_id, directory, process, [null] * 3, extra)
        finally:
            os.close(null)
        listener.settimeout(10)
        with listener.accept()[0] as connection:
            connection.settimeout(10)
            master = _receive_fd(connection)
    os.set_blocking(master, False)
    size = process.get("consoleSize")
    started = Process(pid, pidfd, master, master, -1, terminal=True)
    if size:
        started.resize(size["height"], size["width"])
    return started


def _receive_fd(connection: socket.socket) -> int:
    _, control, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(16))
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers = array.array("i")
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
            for extra in numbers[1:]:
                os.close(extra)
            os.set_inheritable(numbers[0], False)
            return numbers[0]
    raise errors.System("the runtime sent no terminal")


def _run(
    runtime: OCIRuntime,
    container_id: str,
    directory: str,
    process: dict[str, Any],
    stdio: list[int],
    extra: tuple[str, ...],
) -> tuple[int, int]:
    log, pid_file = f"{directory}/log", f"{directory}/pid"
    argv = [runtime.path, *runtime.arguments, f"--log={log}", "exec", "--detach", *extra]
    argv += ["--process", f"{directory}/process.json", "--pid-file", pid_file, container_id]
    with orphans.call():
        child = subprocess.Popen(
            argv, stdin=stdio[0], stdout=stdio[1], stderr=stdio[2], env=clean_environment(), start_new_session=True
        )
        code = child.wait()
        if code == 0:
            with open(pid_file) as file:
                pid = int(file.read())
            pidfd = os.pidfd_open(pid)
            orphans.claim(pid)
            return pid, pidfd
    orphans.sweep_after_failure()
    try:
        with open(log, "rb") as file:
            message = plain_message(file.read(65536))
    except FileNotFoundError:
        message = f"{runtime.name} exec ended with {code}"
    args = process.get("args") or [""]
    raise start_failure(message, str(args[0]), container=False)
