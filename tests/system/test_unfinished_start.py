"""A daemon that is killed in the middle of a start leaves nothing: the next one ends what was begun."""

import os
import signal
import stat
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.busybox import IMAGE
from tests.support.daemon import Daemon
from tests.support.http import Api
from tests.support.stock import Docker, eventually

SLOW = """#!/bin/sh
for word in "$@"; do
    if [ "$word" = {call} ]; then
        {before} touch {marker}; sleep 30; exit 1
    fi
done
exec {runtime} "$@"
"""


@pytest.fixture(params=["before create", "after create", "before start"])
def stuck(request: pytest.FixtureRequest, tmp_path) -> Iterator[tuple[str, str]]:
    """A runtime that hangs around one of its calls, and the file that appears when it does."""
    moment, call = request.param.split()
    runtime, marker, path = "/usr/sbin/runc", str(tmp_path / "reached"), tmp_path / "slow"
    if not os.path.exists(runtime):
        pytest.skip("runc is not installed")
    before = f'{runtime} "$@" || exit;' if moment == "after" else ""
    path.write_text(SLOW.format(call=call, before=before, marker=marker, runtime=runtime))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    yield str(path), marker


def processes_of(*patterns: str) -> list[int]:
    """Those whose command line has every pattern."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 1) for line in listed.splitlines()]
    return [
        int(pid) for pid, words in rows if all(pattern in words for pattern in patterns) and pid != str(os.getpid())
    ]


def test_nothing_is_left_of_a_start_that_was_cut_off(stuck: tuple[str, str], rootfs_tar: bytes) -> None:
    path, marker = stuck
    daemon = Daemon(arguments=["--add-runtime", f"slow={path}"])
    docker, api = Docker(daemon.url), Api(daemon.socket)
    daemon.start()
    try:
        docker("import", "-", IMAGE, stdin=rootfs_tar)
        identifier = docker("create", "--runtime", "slow", "--name", "begun", IMAGE, "sleep", "600")
        command = ["docker", "-H", daemon.url, "start", "begun"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL):
            eventually(lambda: os.path.exists(marker))
            daemon.kill()
        daemon.start()
        assert api("GET", "/containers/begun/json").json()["State"]["Status"] == "created"
        for pid in processes_of(path, identifier):  # the hanging call itself, where the daemon had made it
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not processes_of(identifier))
        with open("/proc/self/mountinfo") as mounts:
            assert not [line for line in mounts if identifier in line]
        docker("rm", "begun")
    finally:
        docker.close()
        left = daemon.close()
    assert not left
