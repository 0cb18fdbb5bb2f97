"""A container fills the disk that everything lives on: what runs goes on, and removing the culprit is the way out."""

import os
import shutil
from collections.abc import Iterator

import pytest

from corten.linux import mount
from tests.support.busybox import IMAGE
from tests.support.daemon import Daemon
from tests.support.stock import Docker

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a daemon needs root")


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon whose data root is a file system of 64 MB."""
    made = Daemon()
    os.mkdir(made.data_root)
    mount.mount("tmpfs", made.data_root, "tmpfs", data="size=64m")
    made.own_mounts = {made.data_root}
    try:
        yield made.start()
    finally:
        leaks = made.close()
        if os.path.ismount(made.data_root):
            mount.umount(made.data_root)
        shutil.rmtree(made.base, ignore_errors=True)
    assert not leaks


def fill(docker: Docker, name: str) -> None:
    docker("run", "-d", "--name", name, IMAGE, "sh", "-c", "dd if=/dev/zero of=/fill bs=64k; sleep 1000")
    docker("exec", name, "sh", "-c", "while pidof dd; do usleep 10000; done")


def test_the_culprit_can_be_removed(daemon: Daemon, docker: Docker, image: str) -> None:
    fill(docker, "culprit")
    assert os.statvfs(daemon.data_root).f_bavail == 0
    docker("rm", "-f", "culprit")
    assert docker("run", "--rm", IMAGE, "echo", "room again") == "room again"


def test_exits_are_recorded_and_names_change(daemon: Daemon, docker: Docker, image: str) -> None:
    docker("run", "-d", "--name", "other", IMAGE, "sh", "-c", "trap 'exit 9' TERM; sleep 1000 & wait")
    fill(docker, "filler")
    docker("rename", "other", "another")
    docker("stop", "another")
    for end in (daemon.kill, daemon.stop):
        end()
        assert os.statvfs(daemon.data_root).f_bavail < 64
        daemon.start()
        assert docker("inspect", "-f", "{{.State.ExitCode}} {{.Name}}", "another") == "9 /another"
    docker("rm", "-f", "filler", "another")
