"""Confinement: capabilities, seccomp, no-new-privileges, masked and read-only paths, read-only root, privileged."""

import json
import os

import pytest

from tests.support.busybox import IMAGE
from tests.support.http import Api
from tests.support.stock import Docker

DEFAULT = 0x00000000A80425FB


def capabilities(docker: Docker, *options: str, kind: str = "CapEff") -> int:
    return int(docker("run", "--rm", *options, IMAGE, "grep", kind, "/proc/self/status").split()[1], 16)


def bounding() -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1], 16) for line in file if line.startswith("CapBnd"))


def test_default_capabilities(docker: Docker) -> None:
    assert capabilities(docker) == DEFAULT & bounding()
    assert capabilities(docker, kind="CapBnd") == DEFAULT & bounding()


def test_no_capabilities_for_a_user(docker: Docker) -> None:
    assert capabilities(docker, "-u", "1000") == 0


def test_drop_all_and_add_one(docker: Docker) -> None:
    assert capabilities(docker, "--cap-drop", "ALL", "--cap-add", "CHOWN") == 1
    assert capabilities(docker, "--cap-drop", "all", "--cap-add", "CAP_NET_BIND_SERVICE") == 1 << 10


def test_drop_one(docker: Docker) -> None:
    assert capabilities(docker, "--cap-drop", "MKNOD") == DEFAULT & bounding() & ~(1 << 27)


def test_unknown_capability(docker: Docker) -> None:
    result = docker.fails("run", "--rm", "--cap-add", "FLYING", IMAGE, "true", code=125)
    assert 'FLYING"' in result.err


@pytest.mark.since("1.42")  # dockerd 20.10 does not clamp to what the host has
def test_privileged_has_all_that_the_host_has(docker: Docker) -> None:
    assert capabilities(docker, "--privileged") == bounding()


@pytest.mark.since("1.42")
def test_privileged_sees_devices_and_may_mount(docker: Docker) -> None:
    assert (
        docker("run", "--rm", "--privileged", IMAGE, "sh", "-c", "mount -t tmpfs x /tmp && ls /dev/kmsg") == "/dev/kmsg"
    )


def test_mount_is_refused(docker: Docker) -> None:
    assert docker.result("run", "--rm", IMAGE, "mount", "-t", "tmpfs", "x", "/tmp").code != 0


def test_masked_paths(docker: Docker) -> None:
    assert docker("run", "--rm", IMAGE, "sh", "-c", "cat /proc/kcore /proc/keys /proc/timer_list | wc -c") == "0"
    assert docker("run", "--rm", IMAGE, "ls", "/sys/firmware") == ""


@pytest.mark.parametrize(
    "path", ["/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/irq/default_smp_affinity"]
)
def test_read_only_paths(docker: Docker, path: str) -> None:
    if not os.path.exists(path):
        pytest.skip(f"this kernel has no {path}")
    result = docker.result("run", "--rm", IMAGE, "sh", "-c", f"echo x > {path}")
    assert result.code != 0
    assert "ead-only file system" in result.err


def test_system_paths_unconfined(api: Api, docker: Docker) -> None:
    identifier = docker("create", "--security-opt", "systempaths=unconfined", IMAGE)
    host = api("GET", f"/containers/{identifier}/json").json()["HostConfig"]
    assert host["MaskedPaths"] is None or host["MaskedPaths"] == []
    assert host["ReadonlyPaths"] is None or host["ReadonlyPaths"] == []


def test_read_only_root(docker: Docker) -> None:
    result = docker.result("run", "--rm", "--read-only", IMAGE, "touch", "/file")
    assert "Read-only file system" in result.err
    docker("run", "--rm", "--read-only", "--tmpfs", "/tmp", IMAGE, "touch", "/tmp/file", "/dev/shm/file")


def test_cgroups_are_read_only(docker: Docker) -> None:
    script = "cd /sys/fs/cgroup; [ ! -d pids ] || cd pids; mkdir mine"
    assert "Read-only file system" in docker.fails("run", "--rm", IMAGE, "sh", "-c", script).err


def test_seccomp_is_on(docker: Docker) -> None:
    assert docker("run", "--rm", IMAGE, "grep", "Seccomp:", "/proc/self/status").split()[1] == "2"


def test_seccomp_unconfined(docker: Docker) -> None:
    shown = docker(
        "run", "--rm", "--security-opt", "seccomp=unconfined", IMAGE, "grep", "Seccomp:", "/proc/self/status"
    )
    assert shown.split()[1] == "0"


def test_own_seccomp_profile(docker: Docker, tmp_path) -> None:
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "args": []}
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    result = docker.result("run", "--rm", "--security-opt", f"seccomp={path}", IMAGE, "mkdir", "/folder")
    assert "Operation not permitted" in result.err


def test_broken_seccomp_profile(docker: Docker, tmp_path) -> None:
    path = tmp_path / "profile.json"
    path.write_text("{")
    assert docker.result("run", "--rm", "--security-opt", f"seccomp={path}", IMAGE, "true").code == 125


def test_no_new_privileges(docker: Docker) -> None:
    def shown(*options: str) -> str:
        return docker("run", "--rm", *options, IMAGE, "grep", "NoNewPrivs", "/proc/self/status").split()[1]

    assert shown() == "0"
    assert shown("--security-opt", "no-new-privileges") == "1"
    assert shown("--security-opt", "no-new-privileges:true") == "1"


def test_unknown_security_option(docker: Docker) -> None:
    result = docker.fails("run", "--rm", "--security-opt", "nonsense", IMAGE, "true", code=125)
    assert "nonsense" in result.err


def test_host_processes_are_not_seen(docker: Docker) -> None:
    assert docker("run", "--rm", IMAGE, "sh", "-c", "ls /proc | grep -c '^[0-9]'") in ("1", "2", "3", "4")


def test_device_nodes(docker: Docker) -> None:
    names = set(docker("run", "--rm", IMAGE, "ls", "/dev").split()) - {"core"}  # only where the kernel has /proc/kcore
    expected = {"fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout"}
    assert names == expected | {"tty", "urandom", "zero"}
