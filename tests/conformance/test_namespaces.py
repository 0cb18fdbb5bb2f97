"""Namespaces and kernel settings: pid, ipc, uts, cgroup, user and network modes, sysctls, hosts, DNS options."""

import os

import pytest

from tests.support.busybox import IMAGE
from tests.support.http import Api
from tests.support.stock import Docker


def own(kind: str) -> str:
    return os.readlink(f"/proc/self/ns/{kind}")


def inside(docker: Docker, kind: str, *options: str) -> str:
    return docker("run", "--rm", *options, IMAGE, "readlink", f"/proc/self/ns/{kind}")


@pytest.mark.parametrize("kind", ["pid", "ipc", "uts", "net", "mnt"])
def test_own_namespaces(docker: Docker, kind: str) -> None:
    assert inside(docker, kind) != own(kind)


@pytest.mark.parametrize(
    ("kind", "option"), [("pid", "--pid"), ("ipc", "--ipc"), ("uts", "--uts"), ("net", "--network")]
)
def test_host_namespaces(docker: Docker, kind: str, option: str) -> None:
    assert inside(docker, kind, option, "host") == own(kind)


@pytest.mark.parametrize(("kind", "option"), [("pid", "--pid"), ("net", "--network")])
def test_namespaces_of_another_container(docker: Docker, kind: str, option: str) -> None:
    docker("run", "-d", "--name", "first", IMAGE, "sleep", "60")
    first = docker("exec", "first", "readlink", f"/proc/self/ns/{kind}")
    assert inside(docker, kind, option, "container:first") == first


def test_shareable_ipc(docker: Docker) -> None:
    docker("run", "-d", "--name", "first", "--ipc", "shareable", IMAGE, "sh", "-c", "echo hi > /dev/shm/file; sleep 60")
    assert docker("run", "--rm", "--ipc", "container:first", IMAGE, "cat", "/dev/shm/file") == "hi"


def test_private_ipc_is_not_shared(docker: Docker) -> None:
    docker("run", "-d", "--name", "first", "--ipc", "private", IMAGE, "sleep", "60")
    result = docker.result("run", "--rm", "--ipc", "container:first", IMAGE, "true")
    assert result.code == 125
    assert "non-shareable IPC" in result.err


def test_no_ipc(docker: Docker) -> None:
    assert docker("run", "--rm", "--ipc", "none", IMAGE, "sh", "-c", "grep -c ' /dev/shm ' /proc/mounts || true") == "0"


def test_pid_of_an_unknown_container(docker: Docker) -> None:
    assert "nobody" in docker.fails("run", "--rm", "--pid", "container:nobody", IMAGE, "true", code=125).err


def test_pid_of_a_stopped_container(docker: Docker) -> None:
    docker("create", "--name", "first", IMAGE)
    result = docker.result("run", "--rm", "--pid", "container:first", IMAGE, "true")
    assert result.code == 125
    assert "is not running" in result.err


@pytest.mark.parametrize("option", ["--pid", "--ipc", "--uts", "--userns"])
def test_wrong_modes(docker: Docker, option: str) -> None:
    assert docker.result("run", "--rm", option, "nonsense", IMAGE, "true").code == 125


def test_cgroup_namespace_modes(api: Api, docker: Docker) -> None:
    assert inside(docker, "cgroup", "--cgroupns", "host") == own("cgroup")
    assert inside(docker, "cgroup", "--cgroupns", "private") != own("cgroup")


def test_userns_host(docker: Docker) -> None:
    assert inside(docker, "user", "--userns", "host") == own("user")


def test_sysctl(docker: Docker) -> None:
    file = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
    option = "net.ipv4.ip_unprivileged_port_start=77"
    assert docker("run", "--rm", "--sysctl", option, IMAGE, "cat", file) == "77"
    assert docker("run", "--rm", "--sysctl", "kernel.msgmax=4096", IMAGE, "cat", "/proc/sys/kernel/msgmax") == "4096"


def test_sysctl_that_would_change_the_host(docker: Docker) -> None:
    assert docker.result("run", "--rm", "--sysctl", "kernel.panic=7", IMAGE, "true").code == 125
    with_host = docker.result("run", "--rm", "--network", "host", "--sysctl", "net.ipv4.ip_forward=1", IMAGE, "true")
    assert with_host.code == 125


def test_extra_hosts(docker: Docker, daemon) -> None:
    options = ("--add-host", "one:10.9.8.7", "--add-host", "gate:host-gateway")
    lines = [line.split() for line in docker("run", "--rm", *options, IMAGE, "cat", "/etc/hosts").splitlines()]
    assert ["10.9.8.7", "one"] in lines
    assert [daemon.address, "gate"] in lines
    assert ["127.0.0.1", "localhost"] in lines


def test_dns_options(docker: Docker) -> None:
    options = ("--dns", "10.1.2.3", "--dns-search", "example.org", "--dns-option", "ndots:3")
    lines = docker("run", "--rm", *options, IMAGE, "cat", "/etc/resolv.conf").splitlines()
    assert {"nameserver 10.1.2.3", "search example.org", "options ndots:3"} <= set(lines)


def test_network_none(docker: Docker) -> None:
    assert docker("run", "--rm", "--network", "none", IMAGE, "ls", "/sys/class/net") == "lo"


def test_network_of_a_container_excludes_others(docker: Docker) -> None:
    docker("run", "-d", "--name", "first", IMAGE, "sleep", "60")
    for option in (["-p", "80:80"], ["-h", "name"], ["--dns", "1.1.1.1"], ["--add-host", "a:1.2.3.4"]):
        result = docker.result("run", "--rm", "--network", "container:first", *option, IMAGE, "true")
        assert result.code == 125
        assert "conflicting options" in result.err


def test_container_network_shares_hosts_and_name(docker: Docker) -> None:
    docker("run", "-d", "--name", "first", "-h", "shared", "--add-host", "x:1.2.3.4", IMAGE, "sleep", "60")
    script = "hostname; grep -c '1.2.3.4' /etc/hosts"
    assert docker("run", "--rm", "--network", "container:first", IMAGE, "sh", "-c", script).split() == ["shared", "1"]
