"""Mounts that a daemon made for its containers are the next daemon's to give back."""

import os
import signal
import time
from pathlib import Path

from tests.support.busybox import IMAGE
from tests.support.daemon import Daemon
from tests.support.stock import Docker


def mounts(daemon: Daemon) -> list[str]:
    """Mount points of volumes, private ones included."""
    found = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [
        entry for entry in found if entry.startswith((f"{daemon.data_root}/volumes", f"{daemon.exec_root}/volumes"))
    ]


def left(daemon: Daemon) -> list[str]:
    """What is still mounted once the clean-up behind an exit has had its time."""
    end = time.monotonic() + 5
    while (found := mounts(daemon)) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def test_mounts_outlive_the_daemon_and_go_with_the_container(daemon: Daemon, docker: Docker, image: str) -> None:
    docker("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "memory")
    docker("run", "--rm", "-v", "tree:/x", IMAGE, "mkdir", "/x/sub")
    options = ["-v", "memory:/memory", "--mount", "type=image,source=busybox,target=/image"]
    options += ["--mount", "type=volume,source=tree,target=/sub,volume-subpath=sub"]
    docker("run", "-d", "--name", "lives", *options, IMAGE, "sleep", "1000")
    docker("exec", "lives", "touch", "/memory/here", "/sub/there")
    assert len(mounts(daemon)) == 3
    daemon.kill()
    daemon.start()
    assert len(mounts(daemon)) == 3
    assert docker("exec", "lives", "ls", "/memory", "/sub", "/image/etc/passwd").split() == [
        "/image/etc/passwd", "/memory:", "here", "/sub:", "there",
    ]  # fmt: skip
    docker.fails("volume", "rm", "memory")
    docker("stop", "-t", "0", "lives")
    assert left(daemon) == []
    docker("start", "lives")
    docker("rm", "-f", "lives")
    assert left(daemon) == []


def test_mounts_of_what_ended_meanwhile_are_cleared(daemon: Daemon, docker: Docker, image: str) -> None:
    docker("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "short")
    options = ["-v", "short:/short", "--mount", "type=image,source=busybox,target=/image"]
    docker("run", "-d", "--name", "ends", *options, IMAGE, "sleep", "1000")
    pid = docker("inspect", "-f", "{{.State.Pid}}", "ends")
    daemon.kill()
    os.kill(int(pid), signal.SIGKILL)
    daemon.start()
    docker("wait", "ends")
    assert left(daemon) == []
    docker("rm", "ends")
