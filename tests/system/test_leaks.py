"""What long lives of a daemon could pile up: descriptors and zombies."""

import os

import pytest

from tests.support.busybox import IMAGE
from tests.support.daemon import Daemon
from tests.support.http import Api
from tests.support.stock import Docker, eventually

pytestmark = pytest.mark.usefixtures("clean", "image")


def descriptors(daemon: Daemon) -> int:
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def zombies(daemon: Daemon) -> list[str]:
    found = []
    for thread in os.listdir(f"/proc/{daemon.pid}/task"):
        with open(f"/proc/{daemon.pid}/task/{thread}/children") as file:
            for pid in file.read().split():
                with open(f"/proc/{pid}/stat") as stat:
                    if stat.read().rsplit(")", 1)[1].split()[0] == "Z":
                        found.append(pid)
    return found


def test_detached_execs_on_terminals_give_everything_back(daemon: Daemon, docker: Docker, api: Api) -> None:
    """Nobody reads such a terminal but the daemon: a long output must not stand still in it either."""
    docker("run", "-d", "--name", "box", IMAGE, "sleep", "600")
    docker("exec", "-dt", "box", "true")
    eventually(lambda: not api("GET", "/containers/box/json").json()["ExecIDs"])
    before = descriptors(daemon)
    for _ in range(3):
        docker("exec", "-dt", "box", "sh", "-c", "seq 1 50000; touch /done")
    docker("exec", "box", "sh", "-c", "while [ ! -e /done ]; do sleep 0.05; done", timeout=20)
    eventually(lambda: descriptors(daemon) <= before)


def test_probes_that_are_cut_off_are_reaped(daemon: Daemon, docker: Docker) -> None:
    """With the host's processes no end of a pid namespace ends the probe; it may not stay as a zombie either."""
    before = descriptors(daemon)
    options = ("--pid", "host", "--health-cmd", "sleep 600", "--health-interval", "10ms")
    docker("run", "-d", "--name", "sick", *options, IMAGE, "sleep", "600")
    eventually(lambda: len(docker("top", "sick").splitlines()) > 2)
    docker("rm", "-f", "sick")
    eventually(lambda: not zombies(daemon) and descriptors(daemon) <= before)
