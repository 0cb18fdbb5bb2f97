"""Hosts with cgroup v2 alone, as most have: what the groups of a container hold, by crun and by runc.

Needs such a host: `make test-v2` brings one up where this one is of another kind.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from corten.cli.commands.doctor import examine
from tests.support.busybox import IMAGE
from tests.support.daemon import Daemon
from tests.support.http import Api
from tests.support.stock import Docker, eventually

ROOT = "/sys/fs/cgroup"
pytestmark = pytest.mark.skipif(
    not os.path.exists(f"{ROOT}/cgroup.controllers"), reason="this host's control groups are not of version 2 alone"
)
SLEEP = ("sleep", "600")


@pytest.fixture(params=["crun", "runc"])
def runtime(request: pytest.FixtureRequest) -> str:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return request.param


@pytest.fixture
def run(clean: Daemon, docker: Docker, image: str, runtime: str) -> Iterator[Callable[..., str]]:
    """``run(OPTIONS, IMAGE, COMMAND)`` starts a container in the background with one of the runtimes; gives its id."""
    yield lambda *words: docker("run", "-d", "--runtime", runtime, *words)


@pytest.fixture
def group(daemon: Daemon) -> Callable[..., str]:
    """``group(ID, FILE)`` is what a control file of a container's group says."""

    def content(identifier: str, name: str) -> str:
        with open(f"{ROOT}{daemon.cgroup_parent}/{identifier}/{name}") as file:
            return file.read().strip()

    return content


def test_info_and_doctor(docker: Docker) -> None:
    info = json.loads(docker("info", "-f", "{{json .}}"))
    assert (info["CgroupVersion"], info["CgroupDriver"]) == ("2", "cgroupfs")
    assert info["MemoryLimit"] and info["CpuCfsQuota"] and info["CPUSet"] and info["PidsLimit"]
    assert "name=cgroupns" in info["SecurityOptions"]
    findings = {finding.name: finding for finding in examine("")}
    assert (findings["cgroups"].state, findings["cgroups"].text) == ("ok", "version 2")
    assert not [finding for finding in findings.values() if finding.state == "problem"]


def test_limits(run, group) -> None:
    identifier = run(
        *("-m", "64m", "--memory-swap", "96m", "--memory-reservation", "32m", "--cpus", "0.5", "--cpu-shares", "512"),
        *("--cpuset-cpus", "0", "--pids-limit", "40", IMAGE, *SLEEP),
    )
    expected = {
        "memory.max": str(64 << 20),
        "memory.low": str(32 << 20),
        "cpu.max": "50000 100000",
        "cpuset.cpus": "0",
        "cpuset.cpus.effective": "0",
        "pids.max": "40",
    }
    assert {name: group(identifier, name) for name in expected} == expected
    assert group(identifier, "cpu.weight") in ("20", "59")  # the older and the newer conversion of shares
    assert group(identifier, "memory.swap.max") == str(32 << 20)


def test_limits_seen_inside(docker: Docker, run) -> None:
    identifier = run("-m", "64m", "--pids-limit", "40", IMAGE, *SLEEP)
    shown = docker("exec", identifier, "sh", "-c", "cd /sys/fs/cgroup; cat memory.max pids.max")
    assert shown.split() == [str(64 << 20), "40"]
    assert "Read-only" in docker.fails("exec", identifier, "sh", "-c", "echo max >/sys/fs/cgroup/pids.max").err


def test_blkio_limits(run, group) -> None:
    device = root_disk()
    identifier = run(
        *("--device-read-bps", f"{device}:1mb", "--device-write-iops", f"{device}:100", "--blkio-weight", "300"),
        *(IMAGE, *SLEEP),
    )
    number = os.stat(device).st_rdev
    head = f"{os.major(number)}:{os.minor(number)} "
    (line,) = (line for line in group(identifier, "io.max").splitlines() if line.startswith(head))
    assert line.removeprefix(head).split() == ["rbps=1048576", "wbps=max", "riops=max", "wiops=100"]


def root_disk() -> str:
    """The whole disk below the root file system."""
    with open("/proc/self/mountinfo") as file:
        (device,) = {line.split()[2] for line in file if line.split()[4] == "/"}
    path = os.path.realpath(f"/sys/dev/block/{device}")
    if not os.path.exists(path):
        pytest.skip("the root file system is on no disk")
    return f"/dev/{os.path.basename(os.path.dirname(path) if os.path.exists(f'{path}/partition') else path)}"


def test_update(docker: Docker, run, group) -> None:
    disk = root_disk()
    identifier = run("-m", "64m", "--device", f"{disk}:/dev/disk:r", IMAGE, *SLEEP)
    docker("update", "-m", "80m", "--memory-swap", "100m", "--cpus", "0.25", "--pids-limit", "30", identifier)
    docker("update", "--cpuset-cpus", "0", "--cpu-shares", "2048", identifier)
    assert group(identifier, "memory.max") == str(80 << 20)
    assert group(identifier, "memory.swap.max") == str(20 << 20)
    assert group(identifier, "cpu.max") == "25000 100000"
    assert group(identifier, "pids.max") == "30"
    assert group(identifier, "cpuset.cpus") == "0"
    assert group(identifier, "cpu.weight") in ("79", "156")
    docker("update", "--pids-limit", "-1", identifier)
    assert group(identifier, "pids.max") in ("max", str(1 << 22))
    # the rules for devices are as before
    assert docker("exec", identifier, "sh", "-c", "head -c 1 /dev/disk | wc -c") == "1"
    assert "not permitted" in docker.fails("exec", identifier, "sh", "-c", "true >>/dev/disk").err


def test_pause(docker: Docker, run, group) -> None:
    identifier = run(IMAGE, *SLEEP)
    docker("pause", identifier)
    assert group(identifier, "cgroup.freeze") == "1"
    assert "frozen 1" in group(identifier, "cgroup.events")
    assert docker("inspect", "-f", "{{.State.Status}}", identifier) == "paused"
    docker("unpause", identifier)
    assert "frozen 0" in group(identifier, "cgroup.events")
    docker("pause", identifier)
    docker("rm", "-f", identifier)


def test_stats(docker: Docker, api: Api, run) -> None:
    identifier = run("-m", "64m", IMAGE, "sh", "-c", "while :; do :; done")
    stats = api("GET", f"/containers/{identifier}/stats", query={"stream": 0}).json()
    assert stats["memory_stats"]["limit"] == 64 << 20
    assert 0 < stats["memory_stats"]["usage"] < 64 << 20
    assert "inactive_file" in stats["memory_stats"]["stats"]
    assert stats["pids_stats"]["current"] == 1
    assert stats["cpu_stats"]["cpu_usage"]["total_usage"] > stats["precpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert "percpu_usage" not in stats["cpu_stats"]["cpu_usage"]
    assert stats["networks"]["eth0"]["rx_packets"] >= 0
    shown = docker("stats", "--no-stream", "--format", "{{.CPUPerc}} {{.MemUsage}} {{.PIDs}}", identifier)
    assert float(shown.split("%")[0]) > 1
    assert shown.endswith("64MiB 1")


def test_stats_stream(docker: Docker, run) -> None:
    identifier = run(IMAGE, *SLEEP)
    with docker.terminal("stats", "--format", "{{.Name}}={{.PIDs}}=", identifier) as screen:
        for _ in range(3):
            screen.expect(b"=1=")


def test_out_of_memory(docker: Docker, run) -> None:
    since = f"{time.time() - 1:.3f}"
    identifier = run("-m", "16m", "--memory-swap", "16m", IMAGE, "sh", "-c", "tail -c 90m /dev/zero; sleep 0.2; exit 7")
    assert docker("wait", identifier) == "7"
    assert docker("inspect", "-f", "{{.State.OOMKilled}}", identifier) == "true"
    seen = docker(
        "events", "--since", since, "--until", f"{time.time() + 1:.3f}", "--filter", f"container={identifier}"
    )
    assert " oom " in seen
    process_one = run("-m", "16m", "--memory-swap", "16m", IMAGE, "tail", "-c", "90m", "/dev/zero")
    assert docker("wait", process_one) == "137"
    assert docker("inspect", "-f", "{{.State.OOMKilled}}", process_one) == "true"


def test_no_memory_trouble_no_oom(docker: Docker, run) -> None:
    identifier = run("-m", "32m", IMAGE, "true")
    docker("wait", identifier)
    assert docker("inspect", "-f", "{{.State.OOMKilled}}", identifier) == "false"


def test_top(docker: Docker, run) -> None:
    identifier = run(IMAGE, "sh", "-c", "sleep 600 & sleep 601 & wait")
    eventually(lambda: docker("top", identifier, "-o", "pid,args").count("sleep 60") >= 3)


def test_cgroup_namespace(daemon: Daemon, docker: Docker, run) -> None:
    private, shared = run(IMAGE, *SLEEP), run("--cgroupns", "host", IMAGE, *SLEEP)
    assert docker("exec", private, "cat", "/proc/1/cgroup") == "0::/"
    assert docker("exec", shared, "cat", "/proc/1/cgroup") == f"0::{daemon.cgroup_parent}/{shared}"
    assert docker("inspect", "-f", "{{.HostConfig.CgroupnsMode}}", private, shared).split() == ["private", "host"]
    docker.fails("exec", private, "mkdir", "/sys/fs/cgroup/mine")


def test_cgroup_parent(daemon: Daemon, docker: Docker, run) -> None:
    parent = f"{daemon.cgroup_parent}/deep/er"
    identifier = run("--cgroup-parent", parent, "-m", "32m", "--cpus", "1", IMAGE, *SLEEP)
    pid = docker("inspect", "-f", "{{.State.Pid}}", identifier)
    with open(f"/proc/{pid}/cgroup") as file:
        assert file.read().strip() == f"0::{parent}/{identifier}"
    with open(f"{ROOT}{parent}/{identifier}/memory.max") as file:
        assert file.read().strip() == str(32 << 20)
    docker("rm", "-f", identifier)
    assert not os.path.exists(f"{ROOT}{parent}/{identifier}")
    os.rmdir(ROOT + parent)
    os.rmdir(os.path.dirname(ROOT + parent))


def test_device_rules(docker: Docker, run) -> None:
    """With a disk: what its file mode and the capabilities allow, only the rules forbid."""
    number = os.stat(root_disk()).st_rdev
    node = f"mknod /disk b {os.major(number)} {os.minor(number)}"
    bare = run(IMAGE, *SLEEP)
    assert "not permitted" in docker.fails("exec", bare, "sh", "-c", f"{node} && head -c 1 /disk").err
    mapped = run("--device", f"{root_disk()}:/dev/mine:r", IMAGE, *SLEEP)
    assert docker("exec", mapped, "sh", "-c", f"{node}; head -c 1 /dev/mine | wc -c; head -c 1 /disk | wc -c") == "1\n1"
    assert "not permitted" in docker.fails("exec", mapped, "sh", "-c", "true >>/dev/mine").err
    ruled = run("--device-cgroup-rule", f"b {os.major(number)}:* r", IMAGE, *SLEEP)
    assert docker("exec", ruled, "sh", "-c", f"{node}; head -c 1 /disk | wc -c") == "1"
    assert docker("exec", bare, "sh", "-c", "head -c 3 /dev/zero | wc -c; echo x >/dev/null") == "3"


def test_privileged(docker: Docker, run) -> None:
    identifier = run("--privileged", IMAGE, *SLEEP)
    script = "mkdir /sys/fs/cgroup/mine && sleep 500 & echo $! >/sys/fs/cgroup/mine/cgroup.procs; ls -d /dev/kmsg"
    assert docker("exec", identifier, "sh", "-c", script) == "/dev/kmsg"
    assert docker("exec", identifier, "sh", "-c", "mknod /mem c 1 1; head -c 1 /mem | wc -c") == "1"


NEST = """
mkdir /sys/fs/cgroup/init && xargs -rn1 </sys/fs/cgroup/cgroup.procs >/sys/fs/cgroup/init/cgroup.procs 2>/dev/null
for pid in $(cat /sys/fs/cgroup/cgroup.procs); do echo $pid >/sys/fs/cgroup/init/cgroup.procs; done
echo +memory +pids >/sys/fs/cgroup/cgroup.subtree_control && mkdir /sys/fs/cgroup/inner && echo nested
exec sleep 600
"""


def test_groups_of_the_containers_own(daemon: Daemon, docker: Docker, run) -> None:
    """An engine or systemd inside: process 1 sits in a group below the container's, which itself holds none."""
    identifier = run("--privileged", IMAGE, "sh", "-c", NEST)
    eventually(lambda: "nested" in docker("logs", identifier))
    assert docker("exec", identifier, "echo", "hi") == "hi"
    assert "sleep 600" in docker("top", identifier)
    assert docker("stats", "--no-stream", "--format", "{{.PIDs}}", identifier) == "1"
    docker("pause", identifier)
    docker("unpause", identifier)
    docker("stop", "-t", "0", identifier)
    docker("start", identifier)
    eventually(lambda: docker("logs", identifier).count("nested") == 2)
    docker("rm", "-f", identifier)
    assert not os.path.exists(f"{ROOT}{daemon.cgroup_parent}/{identifier}")


def test_read_only_and_init(docker: Docker, run) -> None:
    identifier = run("--read-only", "--init", "--tmpfs", "/tmp", IMAGE, *SLEEP)
    docker.fails("exec", identifier, "touch", "/file")
    docker("exec", identifier, "touch", "/tmp/file")


def test_nothing_is_left(daemon: Daemon, docker: Docker, run, runtime: str) -> None:
    running = run("-m", "64m", IMAGE, *SLEEP)
    ended = run(IMAGE, "sh", "-c", "sleep 500 & exit 3")
    assert docker("wait", ended) == "3"
    docker("run", "--rm", "--runtime", runtime, IMAGE, "true")
    docker.result("run", "--rm", "--runtime", runtime, IMAGE, "no-such-program")
    assert os.path.exists(f"{ROOT}{daemon.cgroup_parent}/{running}")
    docker("rm", "-f", running)
    eventually(lambda: not daemon.holdings().cgroups)


def test_killed_daemon(daemon: Daemon, docker: Docker, run) -> None:
    live, still, brief = run("-m", "64m", IMAGE, *SLEEP), run(IMAGE, *SLEEP), run(IMAGE, "sleep", "1")
    docker("pause", still)
    pid = docker("inspect", "-f", "{{.State.Pid}}", live)
    daemon.kill()
    eventually(lambda: brief not in daemon.holdings().cgroups)
    daemon.start()
    status = docker("inspect", "-f", "{{.State.Status}}", live, still)
    assert status.split() == ["running", "paused"]
    assert docker("wait", brief) == "0"
    assert docker("inspect", "-f", "{{.State.Pid}}", live) == pid
    assert docker("exec", live, "echo", "hi") == "hi"
    docker("update", "-m", "80m", "--memory-swap", "160m", live)
    docker("unpause", still)
    docker("rm", "-f", live, still, brief)
    assert not daemon.holdings().cgroups
