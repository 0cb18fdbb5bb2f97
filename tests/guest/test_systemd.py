"""The units of packaging/systemd as a host runs them: activation by the socket, restarts that containers outlive.

They install units, so they run in the guest only: `make test-v2`.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.support import busybox
from tests.support.busybox import IMAGE
from tests.support.daemon import REPOSITORY
from tests.support.stock import MISSING, Docker, eventually

UNITS = ("cortend.socket", "cortend.service")
SOCKET = "unix:///run/corten/corten.sock"
pytestmark = pytest.mark.skipif(os.environ.get("CORTEN_GUEST") != "yes", reason="only in the guest of make test-v2")


def systemctl(*words: str) -> str:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"systemctl {' '.join(words)}: {done.stderr}{journal()}"
    return done.stdout.strip()


def value(name: str) -> str:
    return systemctl("show", "-P", name, "cortend.service")


def journal() -> str:
    words = ["journalctl", "--no-pager", "-n", "40", "-u", "cortend.service"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


@pytest.fixture(scope="module")
def units() -> Iterator[None]:
    """The units installed as a package would: socket listening, service not yet started."""
    for name in UNITS:
        shutil.copy(f"{REPOSITORY}/packaging/systemd/{name}", f"/etc/systemd/system/{name}")
    systemctl("daemon-reload")
    systemctl("enable", "--now", "cortend.socket")
    yield
    subprocess.run(["systemctl", "disable", "--now", *UNITS], check=False)


@pytest.fixture
def docker(units: None) -> Iterator[Docker]:
    if MISSING:
        pytest.skip(MISSING)
    cli = Docker(SOCKET)
    if IMAGE not in cli("images", "--format", "{{.Repository}}:{{.Tag}}"):
        cli("import", "-", IMAGE, stdin=busybox.rootfs_tar())
    yield cli
    names = cli("ps", "-aq").split()
    if names:
        cli("rm", "-f", *names)
    cli.close()


def test_units_are_well() -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", *(f"{REPOSITORY}/packaging/systemd/{name}" for name in UNITS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_first_request_starts_the_daemon(units: None) -> None:
    assert value("ActiveState") == "inactive"
    assert subprocess.run(["corten", "version"], capture_output=True, check=False).returncode == 0, journal()
    assert value("ActiveState") == "active"
    assert value("Delegate") == "yes"


def test_containers_outlive_a_restart(docker: Docker) -> None:
    name = docker("run", "-d", "--name", "live", "-p", "8080:80", IMAGE, "httpd", "-f", "-p", "80", "-h", "/etc")
    pid, daemon = docker("inspect", "-f", "{{.State.Pid}}", "live"), value("MainPID")
    waiting = docker.spawn("wait", "live")
    systemctl("restart", "cortend.service")
    waiting.kill()
    waiting.communicate()
    assert value("MainPID") not in ("0", daemon)
    assert docker("inspect", "-f", "{{.State.Pid}} {{.State.Status}}", "live") == f"{pid} running"
    assert docker("exec", "live", "hostname") == name[:12]
    assert fetched("http://127.0.0.1:8080/hostname") == name[:12]
    docker("stop", "-t", "0", "live")
    assert docker("wait", "live") == "137"


def fetched(address: str) -> str:
    return subprocess.run(["curl", "-sS", address], capture_output=True, text=True, check=True).stdout.strip()


def test_containers_outlive_a_stop_and_a_crash(docker: Docker) -> None:
    docker("run", "-d", "--name", "live", "-m", "64m", IMAGE, "sleep", "600")
    docker("run", "-d", "--name", "brief", IMAGE, "sh", "-c", "sleep 1; exit 5")
    pid = docker("inspect", "-f", "{{.State.Pid}}", "live")
    systemctl("stop", "cortend.service")  # the socket goes on listening
    time.sleep(1.2)
    assert os.path.exists(f"/proc/{pid}")
    assert docker("wait", "brief") == "5"
    os.kill(int(value("MainPID")), 9)
    eventually(lambda: value("ActiveState") == "active" and value("MainPID") != "0")
    assert docker("inspect", "-f", "{{.State.Pid}} {{.State.Status}}", "live") == f"{pid} running"
    assert docker("stats", "--no-stream", "--format", "{{.PIDs}}", "live") == "1"


def test_reload(docker: Docker) -> None:
    os.makedirs("/etc/corten", exist_ok=True)
    before = value("MainPID")
    systemctl("reload", "cortend.service")
    assert value("MainPID") == before
    assert docker("version", "-f", "{{.Server.Version}}")


def test_limits_hold_when_systemd_sets_up_its_own_again(docker: Docker) -> None:
    """systemd enables and disables controllers at the root as its units need them; ours must stay."""
    identifier = docker("run", "-d", "-m", "64m", "--cpus", "0.5", "--cpuset-cpus", "0", IMAGE, "sleep", "600")
    systemctl("daemon-reload")
    subprocess.run(["systemd-run", "--wait", "-q", "-p", "CPUQuota=50%", "-p", "IOWeight=50", "true"], check=True)
    systemctl("daemon-reexec")
    with open(f"/sys/fs/cgroup/corten/{identifier}/cpu.max") as file:
        assert file.read().strip() == "50000 100000"
    docker("update", "--cpus", "0.25", identifier)
    with open(f"/sys/fs/cgroup/corten/{identifier}/cpu.max") as file:
        assert file.read().strip() == "25000 100000"


def test_apparmor_profile(docker: Docker) -> None:
    """Debian's kernel has AppArmor: containers run under the profile, and signals get through."""
    if not os.path.isdir("/sys/kernel/security/apparmor"):
        pytest.skip("this kernel runs without AppArmor")
    for runtime in ("crun", "runc"):
        name = docker(
            "run", "-d", "--runtime", runtime, IMAGE, "sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.1; done"
        )
        assert docker("exec", name, "cat", "/proc/1/attr/current") == "corten-default (enforce)"
        assert docker("exec", name, "cat", "/proc/self/attr/current") == "corten-default (enforce)"
        docker.fails("exec", "--privileged", name, "mount", "-t", "tmpfs", "none", "/tmp")
        time.sleep(0.5)
        docker("stop", name)
        assert docker("wait", name) == "4"
        free = docker("run", "-d", "--runtime", runtime, "--privileged", IMAGE, "sleep", "600")
        assert docker("exec", free, "cat", "/proc/1/attr/current") == "unconfined"
        docker("exec", free, "mount", "-t", "tmpfs", "none", "/tmp")
    assert "name=apparmor" in json.loads(docker("info", "-f", "{{json .SecurityOptions}}"))


def test_containers_are_no_part_of_the_service(docker: Docker) -> None:
    """What systemd does to the service's group does not reach them."""
    docker("run", "-d", "--name", "live", IMAGE, "sleep", "600")
    pid = docker("inspect", "-f", "{{.State.Pid}}", "live")
    with open(f"/proc/{pid}/cgroup") as file:
        assert file.read().startswith("0::/corten/")
