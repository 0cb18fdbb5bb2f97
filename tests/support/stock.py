"""The stock docker CLI, unchanged, pointed at a daemon."""

import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from fcntl import ioctl

PATIENCE = float(os.environ.get("CORTEN_TEST_PATIENCE", "1"))
"""Factor on every bound of time in tests, for slow machines."""
MISSING = None if shutil.which("docker") else "there is no docker binary on PATH"


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Standard output without the white space round it."""
        return self.out.strip()


class Docker:
    """``docker("run", "--rm", IMAGE, "true")`` asserts exit code 0, :meth:`fails` another."""

    def __init__(self, url: str, program: str = "docker") -> None:
        self.program = program
        self.config = tempfile.mkdtemp(prefix="ct-config-")
        self.environment = dict(os.environ, DOCKER_HOST=url, DOCKER_CONFIG=self.config, DOCKER_CLI_HINTS="false")
        for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CONTEXT", "DOCKER_API_VERSION"):
            self.environment.pop(name, None)

    def close(self) -> None:
        shutil.rmtree(self.config, ignore_errors=True)

    def result(self, *arguments: str, stdin: bytes | None = None, timeout: float = 60) -> Result:
        """Run to the end, whatever the exit code."""
        source = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run(
            [self.program, *arguments],
            env=self.environment,
            capture_output=True,
            timeout=timeout * PATIENCE,
            check=False,
            **source,
        )
        return Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def __call__(self, *arguments: str, stdin: bytes | None = None, timeout: float = 60) -> str:
        """Run, expect success, give standard output without surrounding white space."""
        result = self.result(*arguments, stdin=stdin, timeout=timeout)
        assert result.code == 0, f"docker {' '.join(arguments)} gave {result.code}: {result.err.strip()}"
        return result.text

    def fails(self, *arguments: str, code: int = 1, stdin: bytes | None = None) -> Result:
        result = self.result(*arguments, stdin=stdin)
        assert result.code == code, f"docker {' '.join(arguments)} gave {result.code}, not {code}: {result.err.strip()}"
        return result

    def spawn(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start in the background with pipes; the caller ends it."""
        return subprocess.Popen(
            [self.program, *arguments],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def terminal(self, *arguments: str, rows: int = 24, columns: int = 80) -> "Terminal":
        """Start on a pseudo-terminal of the given size."""
        return Terminal([self.program, *arguments], self.environment, rows, columns)


class Terminal:
    """A program on a pseudo-terminal. Use as a context manager: it is gone at the end."""

    def __init__(self, command: list[str], environment: dict[str, str], rows: int, columns: int) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, environment)
        self.resize(rows, columns)
        self.seen = b""
        self.code: int | None = None

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def resize(self, rows: int, columns: int) -> None:
        ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def grow(self) -> None:
        """Resize until the shell inside says so: a resize in the CLI's first moments is lost by the CLI itself."""
        for columns in range(130, 150):
            self.resize(45, columns)
            try:
                self.insist(b"echo now $(stty size)\n", f"now 45 {columns}".encode(), times=2)
            except AssertionError:
                continue
            return
        raise AssertionError(f"no resize arrives; seen: {self.seen!r}")

    def send(self, data: bytes) -> None:
        os.write(self.fd, data)

    def expect(self, text: bytes, timeout: float = 15) -> bytes:
        """Read until ``text`` appears; give all that was read up to its end and keep the rest."""
        deadline = time.monotonic() + timeout * PATIENCE
        while text not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
            chunk = self.read() if ready else b""
            if not chunk:
                raise AssertionError(f"{text!r} did not appear; seen: {self.seen!r}")
            self.seen += chunk
        head, _, self.seen = self.seen.partition(text)
        return head + text

    def insist(self, data: bytes, text: bytes, times: int = 20) -> bytes:
        """Send until ``text`` appears: what is typed before the program set its terminal up may be lost."""
        for _ in range(times):
            self.send(data)
            try:
                return self.expect(text, timeout=0.5)
            except AssertionError:
                continue
        raise AssertionError(f"{text!r} did not appear; seen: {self.seen!r}")

    def read(self) -> bytes:
        try:
            return os.read(self.fd, 65536)
        except OSError:  # the other side is closed
            return b""

    def wait(self, timeout: float = 15) -> int:
        """The exit code; what it prints meanwhile is read into ``seen``."""
        deadline = time.monotonic() + timeout * PATIENCE
        while self.code is None:
            ready, _, _ = select.select([self.fd], [], [], 0.02)
            if ready:
                self.seen += self.read()
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.code = os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, f"still running; seen: {self.seen!r}"
        return self.code


def eventually(condition: Callable[[], object], timeout: float = 10, what: str = "the condition") -> None:
    """Poll until ``condition()`` is true; for what the daemon does in the background."""
    deadline = time.monotonic() + timeout * PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {timeout} s"
        time.sleep(0.02)
