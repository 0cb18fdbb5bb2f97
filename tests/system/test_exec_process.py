"""Zombies of failed execs must not keep a container from ending (pid_namespaces(7))."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys

import pytest

from corten import errors
from corten.linux import cgroup
from corten.runtime import process
from corten.runtime.conmon import Monitor, find_monitors
from corten.runtime.ociruntime import Crun, OCIRuntime

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def container(tmp_path):
    run = tmp_path / "run" / "box"
    rootfs = run / "rootfs"
    (rootfs / "bin").mkdir(parents=True)
    for name in ("proc", "dev", "sys"):
        (rootfs / name).mkdir()
    shutil.copy("/bin/busybox", rootfs / "bin" / "busybox")
    for applet in ("sh", "sleep", "cat"):
        (rootfs / "bin" / applet).symlink_to("busybox")
    name = f"corten-test-{os.getpid()}"
    runtime = OCIRuntime("runc", shutil.which("runc") or pytest.skip("runc is not installed"), str(tmp_path / "state"))
    subprocess.run(["runc", "spec", "-b", str(run)], check=True)
    document = json.loads((run / "config.json").read_text())
    document["process"] |= {"terminal": False, "args": ["sleep", "1000"]}
    document["linux"]["cgroupsPath"] = f"/{name}"
    (run / "config.json").write_text(json.dumps(document))
    process.become_subreaper()
    monitor = Monitor.create(
        shutil.which("conmon"),
        runtime,
        name,
        str(run),
        log_path=None,
        terminal=False,
        stdin=False,
        leave_stdin_open=False,
    )
    runtime.start(name)
    yield runtime, name, monitor, document["process"], str(tmp_path / "run")
    monitor.signal(signal.SIGKILL)
    select.select([monitor.pidfd], [], [], 10)
    monitor.finish()
    monitor.close()
    runtime.delete(name)
    if os.path.isdir("/sys/fs/cgroup/unified"):
        assert not os.path.exists(f"/sys/fs/cgroup/unified/{name}")


def run(container, args, **changes):
    runtime, name, _, document, _ = container
    return process.spawn(runtime, name, document | {"args": args} | changes, stdin=False, stdout=True, stderr=True)


def test_exit_codes_output_and_terminal(container):
    started = run(container, ["sh", "-c", "echo out; exit 7"])
    select.select([started.pidfd], [], [], 10)
    assert os.read(started.stdout, 100) == b"out\n"
    assert started.exit_code() == 7
    started.close()
    started = run(container, ["sh", "-c", "kill -9 $$"], terminal=True)
    select.select([started.pidfd], [], [], 10)
    assert started.exit_code() == 137
    started.close()


def test_a_failed_exec_does_not_hold_up_the_end(container):
    for args, code in ((["nosuch"], 127), (["/nosuch"], 127), (["/bin"], 126)):
        with pytest.raises(errors.StartFailed) as caught:
            run(container, args)
        assert caught.value.exit_code == code
    monitor = container[2]
    monitor.signal(signal.SIGKILL)
    ready, _, _ = select.select([monitor.pidfd], [], [], 10)
    assert ready, "the container does not end: a zombie of a failed exec holds its pid namespace"
    assert monitor.finish().code == 137


def test_a_monitor_is_found_and_adopted_by_its_command_line(container):
    _, name, monitor, _, root = container
    found = find_monitors(root)
    assert found == {"box": monitor.conmon_pid}
    adopted = Monitor.adopt(name, f"{root}/box", monitor.conmon_pid)
    assert adopted is not None
    assert adopted.pid == monitor.pid
    adopted.close()
    assert Monitor.adopt("another", f"{root}/box", monitor.conmon_pid) is None


def test_a_container_cannot_pass_for_a_monitor(container):
    """What runs inside may call itself conmon and name another container's bundle."""
    _, _, monitor, _, root = container
    script = 'exec -a conmon "$0" -c "print(flush=True); import time; time.sleep(100)" -b "$1"'
    command = ["unshare", "--pid", "--fork", "--kill-child", "bash", "-c", script, sys.executable, f"{root}/victim"]
    impostor = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert impostor.stdout.read(1)
        assert find_monitors(root) == {"box": monitor.conmon_pid}
    finally:
        impostor.kill()
        impostor.communicate()


def test_a_recycled_pid_is_not_taken_for_the_container(container):
    _, name, monitor, _, root = container
    innocent = subprocess.Popen(["sleep", "100"])
    try:
        with open(f"{root}/box/container.pid", "w") as file:
            file.write(str(innocent.pid))
        adopted = Monitor.adopt(name, f"{root}/box", monitor.conmon_pid)
        assert adopted is not None
        adopted.signal(signal.SIGKILL)
        adopted.close()
        with pytest.raises(subprocess.TimeoutExpired):
            innocent.wait(0.1)
    finally:
        innocent.kill()
        innocent.wait()


def test_a_record_of_cruns_that_a_crash_cut_off_can_be_deleted(tmp_path):
    crun = shutil.which("crun") or pytest.skip("crun is not installed")
    directory = tmp_path / "state" / "box"
    directory.mkdir(parents=True)
    (directory / "status").write_text('{"pid": 1')
    (directory / "config.json").write_text("{}")
    Crun("crun", crun, str(tmp_path / "state"), (), cgroup.detect()).delete("box")
    assert not directory.exists()


def test_an_exec_in_a_deep_directory_leaves_nothing_there(container):
    runtime = container[0]
    beside = os.path.dirname(runtime.root)
    before = set(os.listdir(beside))
    started = run(container, ["sh", "-c", "tty"], terminal=True)
    select.select([started.pidfd], [], [], 10)
    assert started.exit_code() == 0
    started.close()
    assert set(os.listdir(beside)) == before
