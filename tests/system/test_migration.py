"""Announcing moves between cgroups changes nothing and ends when told to."""

import os
import threading
import time

import pytest

from corten.linux import cgroup
from corten.linux.migration import Migrations

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def own_cgroups() -> str:
    with open("/proc/self/cgroup") as file:
        return file.read()


def test_an_announcement_takes_the_lock_and_moves_nobody(monkeypatch):
    written: list[bytes] = []
    write = os.write

    def spy(fd: int, data: bytes) -> int:
        if os.readlink(f"/proc/self/fd/{fd}").endswith("cgroup.procs"):
            written.append(data)
        return write(fd, data)

    monkeypatch.setattr(os, "write", spy)
    before = own_cgroups()
    migrations = Migrations(cgroup.detect())
    migrations.announce()
    deadline = time.monotonic() + 5
    while not written and time.monotonic() < deadline:
        time.sleep(0.005)
    migrations.close()
    assert written == [b"0"]
    assert own_cgroups() == before
    assert "cgroup-migrations" not in [thread.name for thread in threading.enumerate()]


def test_without_a_hierarchy_there_is_nothing_to_do():
    migrations = Migrations(cgroup.CgroupLayout(version="v1", v1={}, unified="", unified_controllers=frozenset()))
    migrations.announce()
    migrations.close()
