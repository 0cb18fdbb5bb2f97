"""Limits: memory, swap, CPU, cpuset, pids, blkio, ulimits, shared memory, OOM, devices; what the cgroup really says."""

import os

import pytest

from tests.support.busybox import IMAGE
from tests.support.host import spare_device
from tests.support.http import Api
from tests.support.stock import Docker

V2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")


def control(docker: Docker, v1: str, v2: str, *options: str) -> str:
    """What a control file shows inside a container run with ``options``."""
    return docker("run", "--rm", *options, IMAGE, "cat", f"/sys/fs/cgroup/{v2 if V2 else v1}")


def test_memory(docker: Docker) -> None:
    assert control(docker, "memory/memory.limit_in_bytes", "memory.max", "-m", "32m") == str(32 << 20)


def test_memory_and_swap(api: Api, docker: Docker) -> None:
    identifier = docker("create", "-m", "32m", "--memory-swap", "64m", "--memory-reservation", "16m", IMAGE)
    host = api("GET", f"/containers/{identifier}/json").json()["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["MemoryReservation"]) == (32 << 20, 64 << 20, 16 << 20)


def test_memory_reservation(docker: Docker) -> None:
    shown = control(
        docker, "memory/memory.soft_limit_in_bytes", "memory.low", "-m", "32m", "--memory-reservation", "16m"
    )
    assert shown == str(16 << 20)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["-m", "4m"], "Minimum memory limit allowed is 6MB"),
        (["-m", "32m", "--memory-swap", "16m"], "Minimum memoryswap limit should be larger than memory limit"),
        (["--memory-swap", "64m"], "You should always set the Memory limit when using Memoryswap limit"),
        (["-m", "16m", "--memory-reservation", "32m"], "Minimum memory limit can not be less than memory reservation"),
        (["--cpus", "1000"], "Range of CPUs is from 0.01 to"),
        (["--cpuset-cpus", "500"], "Requested CPUs are not available"),
        (["--cpuset-cpus", "x"], "Invalid value x for cpuset cpus"),
        (["--cpu-period", "5"], "CPU cfs period can not be less than 1ms"),
        (["--cpu-quota", "10"], "CPU cfs quota can not be less than 1ms"),
        (["--oom-score-adj", "2000"], "range for oom score adj is [-1000, 1000]"),
    ],
)
def test_wrong_values_are_refused(docker: Docker, options: list[str], text: str) -> None:
    result = docker.result("run", "--rm", *options, IMAGE, "true")
    assert result.code == 125
    assert text.lower() in result.err.lower()


def test_cpus(docker: Docker) -> None:
    if V2:
        assert control(docker, "", "cpu.max", "--cpus", "0.5") == "50000 100000"
    else:
        assert control(docker, "cpu/cpu.cfs_quota_us", "", "--cpus", "0.5") == "50000"


def test_cpu_shares(docker: Docker) -> None:
    shown = control(docker, "cpu/cpu.shares", "cpu.weight", "--cpu-shares", "512")
    assert shown in ("512", "20", "59")  # 20 and 59: the old and the new conversion to weights of v2


def test_cpuset(docker: Docker) -> None:
    assert control(docker, "cpuset/cpuset.cpus", "cpuset.cpus", "--cpuset-cpus", "0") == "0"


def test_pids_limit(docker: Docker) -> None:
    assert control(docker, "pids/pids.max", "pids.max", "--pids-limit", "20") == "20"
    result = docker.result(
        "run", "--rm", "--pids-limit", "5", IMAGE, "sh", "-c", "for i in 1 2 3 4 5 6 7; do sleep 1 & done"
    )
    assert "can't fork" in result.err


def test_out_of_memory_is_reported(docker: Docker) -> None:
    script = "head -c 100m /dev/zero | tail -c 90m | wc -c"
    docker("create", "--name", "oom", "-m", "12m", "--memory-swap", "12m", IMAGE, "sh", "-c", f"{script}; sleep 0.2")
    docker.result("start", "-a", "oom")
    assert docker("inspect", "-f", "{{.State.OOMKilled}}", "oom") == "true"


def test_ulimits(docker: Docker) -> None:
    shown = docker("run", "--rm", "--ulimit", "nofile=100:200", IMAGE, "sh", "-c", "ulimit -n; ulimit -Hn")
    assert shown.split() == ["100", "200"]


def test_ulimit_soft_above_hard(docker: Docker) -> None:
    docker.fails("run", "--rm", "--ulimit", "nofile=300:200", IMAGE, "true", code=125)


def test_shared_memory(docker: Docker) -> None:
    assert docker("run", "--rm", IMAGE, "sh", "-c", "df -k /dev/shm | tail -1").split()[1] == "65536"
    sized = docker("run", "--rm", "--shm-size", "1m", IMAGE, "sh", "-c", "df -k /dev/shm | tail -1")
    assert sized.split()[1] == "1024"


def test_oom_score(docker: Docker) -> None:
    assert docker("run", "--rm", "--oom-score-adj", "500", IMAGE, "cat", "/proc/self/oom_score_adj") == "500"


def test_device(docker: Docker) -> None:
    shown = docker(
        "run", "--rm", "--device", "/dev/zero:/dev/nought", IMAGE, "sh", "-c", "head -c 4 /dev/nought | wc -c"
    )
    assert shown == "4"


def test_device_without_write(docker: Docker) -> None:
    script = "head -c 0 /dev/mine && echo readable && : >> /dev/mine"
    device = f"{spare_device()[0]}:/dev/mine:r"
    result = docker.result("run", "--rm", "--device", device, IMAGE, "sh", "-c", script)
    assert result.out == "readable\n"
    assert result.code != 0
    assert "not permitted" in result.err


def test_missing_device(docker: Docker) -> None:
    result = docker.result("run", "--rm", "--device", "/dev/no-such", IMAGE, "true")
    assert result.code in (125, 127)  # the CLI takes "no such file" for the program's
    assert "/dev/no-such" in result.err


def test_devices_outside_the_list_are_refused(docker: Docker) -> None:
    major, minor = spare_device()[1:]
    result = docker.result("run", "--rm", IMAGE, "sh", "-c", f"mknod /disk c {major} {minor} && head -c 0 /disk")
    assert result.code != 0
    assert "not permitted" in result.err


def test_cgroup_parent(docker: Docker, daemon) -> None:
    parent = f"{daemon.cgroup_parent}/special"
    docker("run", "-d", "--name", "cg", "--cgroup-parent", parent, IMAGE, "sleep", "60")
    pid = docker("inspect", "-f", "{{.State.Pid}}", "cg")
    with open(f"/proc/{pid}/cgroup") as file:
        paths = file.read()
    docker("rm", "-f", "cg")
    for folder, _, _ in os.walk("/sys/fs/cgroup"):
        if folder.endswith(parent):
            os.rmdir(folder)
    assert parent in paths
