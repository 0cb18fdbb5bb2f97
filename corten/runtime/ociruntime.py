"""Calls of an OCI runtime program (crun, runc or another that takes their command line).

Each call is one short-lived process. The runtime keeps its own state under ``root``, which is private to one daemon.
Reference: runc(8), crun(1), OCI runtime-spec "Runtime and Lifecycle".
"""

import json
import os
import shutil
import subprocess
from typing import Any

from corten import errors
from corten.linux import cgroup
from corten.linux.cgroup import CgroupLayout

CALL_TIMEOUT = 60.0
"""Seconds after which a runtime call counts as hung."""


def clean_environment() -> dict[str, str]:
    """A runtime sees nothing of the daemon's environment, so nothing can leak into a container."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "XDG_RUNTIME_DIR": "/run"}


class OCIRuntime:
    """One registered runtime: *name* as clients say it, *path* of the program, *root* of its state."""

    def __init__(self, name: str, path: str, root: str, arguments: tuple[str, ...] = ()) -> None:
        self.name = name
        self.path = path
        self.root = root
        self.arguments = (*arguments, f"--root={root}")

    def _call(self, *words: str, sent: bytes = b"", check: bool = True) -> subprocess.CompletedProcess[bytes]:
        argv = [self.path, *self.arguments, *words]
        try:
            done = subprocess.run(
                argv,
                input=sent,
                capture_output=True,
                env=clean_environment(),
                timeout=CALL_TIMEOUT,
                check=False,
            )
        except FileNotFoundError as error:
            raise errors.StartFailed(f"the OCI runtime {self.path} is not installed", 128) from error
        except OSError as error:
            raise errors.System(f"{self.path} cannot be run: {(error.strerror or '').lower()}") from error
        except subprocess.TimeoutExpired as error:
            raise errors.System(f"{self.name} {words[0]} did not end within {CALL_TIMEOUT:.0f} s") from error
        if check and done.returncode != 0:
            raise errors.System(f"{self.name} {words[0]}: {plain_message(done.stderr)}")
        return done

    def start(self, container_id: str, *, hooks: bool = False) -> None:
        """Let the created container's program run. *hooks* says that the document names hooks."""
        self._call("start", container_id)

    def delete(self, container_id: str) -> None:
        """Forget the container, killing what is left of it. Unknown ids are fine."""
        done = self._call("delete", "--force", container_id, check=False)
        if done.returncode != 0 and b"does not exist" not in done.stderr and b"No such file" not in done.stderr:
            raise errors.System(f"{self.name} delete: {plain_message(done.stderr)}")

    def update(self, container_id: str, resources: dict[str, Any]) -> None:
        """Apply OCI ``linux.resources`` to a running container."""
        self._call("update", "--resources", "-", container_id, sent=json.dumps(resources).encode())


class Crun(OCIRuntime):
    """crun, with two of its commands done in place: each saves the 3 ms of a process on a path that users feel.

    ``start`` is one byte into the fifo that the created container waits on; ``delete`` of a container without
    processes removes its cgroups and crun's record of it. Both fall back to the program where anything is unusual:
    hooks, no listener on the fifo, processes left.
    """

    def __init__(self, name: str, path: str, root: str, arguments: tuple[str, ...], layout: CgroupLayout) -> None:
        super().__init__(name, path, root, arguments)
        self._layout = layout

    def start(self, container_id: str, *, hooks: bool = False) -> None:
        fifo = f"{self.root}/{container_id}/exec.fifo"
        if hooks or not _write_byte(fifo):
            super().start(container_id)

    def delete(self, container_id: str) -> None:
        directory = f"{self.root}/{container_id}"
        try:
            with open(f"{directory}/status", "rb") as file:
                status = json.load(file)
            with open(f"{directory}/config.json", "rb") as file:
                hooks = b'"hooks"' in file.read()
        except FileNotFoundError:
            return  # crun does not know it
        except ValueError:  # cut off by a crash
            super().delete(container_id)
            return
        path = str(status.get("cgroup-path") or "")
        if hooks or not path or cgroup.pids(self._layout, path):
            super().delete(container_id)
            return
        cgroup.remove(self._layout, path)
        shutil.rmtree(directory, ignore_errors=True)


def _write_byte(fifo: str) -> bool:
    """False when nobody reads from *fifo*."""
    try:
        fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.unlink(fifo)
        os.write(fd, b"\0")
    finally:
        os.close(fd)
    return True


def plain_message(raw: bytes) -> str:
    """The human part of what a runtime printed: without time stamps, levels and JSON wrapping."""
    text = raw.decode("utf-8", "replace").strip()
    lines = []
    for line in text.splitlines():
        message = line
        if line.startswith("{"):
            try:
                message = str(json.loads(line).get("msg", line))
            except ValueError:
                message = line
        elif 'msg="' in line:  # runc's key=value form
            message = line.split('msg="', 1)[1].removesuffix('"').replace('\\"', '"')
        lines.append(message.removeprefix("error: "))
    return "; ".join(lines) or "no message"


def start_failure(raw: str, program: str, container: bool = True) -> errors.StartFailed:
    """Docker's error for a program that could not be executed.

    Clients derive their exit codes from these words: "executable file not found" and "no such file" mean 127,
    "permission denied" and "is a directory" 126, everything else 128 (125 at the command line).
    """
    low = raw.lower()
    head = (
        "failed to create task for container: OCI runtime create failed: " if container else "OCI runtime exec failed: "
    )
    if "mount" not in low and program:
        if "not found in $path" in low and "/" not in program:
            text, code = "executable file not found in $PATH", 127
        elif "not found in $path" in low or ("no such file or directory" in low and "exec" in low):
            text, code = f"stat {program}: no such file or directory", 127
        elif "is a directory" in low:
            text, code = "is a directory", 126
        elif "open executable" in low or ("permission denied" in low and "exec" in low):
            text, code = "permission denied", 126
        elif "exec format error" in low:
            text, code = "exec format error", 126
        else:
            return errors.StartFailed(head + raw, 128)
        return errors.StartFailed(f'{head}unable to start container process: exec: "{program}": {text}', code)
    return errors.StartFailed(head + raw, 128)
