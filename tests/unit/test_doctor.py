"""What `corten doctor` says of a host."""

import json
import subprocess
import sys

import pytest

from corten.cli.commands.doctor import lines
from corten.cli.doctor import access, cgroups, kernel, programs
from corten.cli.doctor.finding import Finding


def host(tmp_path, *folders: str, unified: str | None = None) -> str:
    for name in folders:
        (tmp_path / name).mkdir()
    if unified is not None:
        (tmp_path / "unified").mkdir()
        (tmp_path / "unified" / "cgroup.controllers").write_text(unified)
    return str(tmp_path)


def test_hybrid_with_hugetlb_on_the_wrong_side(tmp_path) -> None:
    found = cgroups.findings(host(tmp_path, "cpu", "cpuset", "memory", "pids", unified="hugetlb\n"))
    assert found[0].state == "problem"
    assert "mount -t cgroup -o hugetlb" in found[0].remedy
    assert found[1].state == "ok"


def test_hybrid_that_is_well(tmp_path) -> None:
    found = cgroups.findings(host(tmp_path, "cpu", "cpuset", "memory", "pids", "hugetlb", unified=""))
    assert [finding.state for finding in found] == ["ok", "ok"]


def test_version_2_without_memory(tmp_path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu cpuset pids io\n")
    found = cgroups.findings(str(tmp_path))
    assert (found[0].text, found[1].state) == ("version 2", "problem")
    assert "memory" in found[1].text


def test_nothing_mounted(tmp_path) -> None:
    assert cgroups.findings(str(tmp_path))[0].state == "problem"


@pytest.mark.parametrize(
    ("shown", "state"), [("crun version 1.8.1", "advice"), ("crun version 1.30", "ok"), ("", "ok")]
)
def test_security_floor(tmp_path, monkeypatch, shown: str, state: str) -> None:
    program = tmp_path / "crun"
    program.write_text(f"#!/bin/sh\necho '{shown}'\n")
    program.chmod(0o755)
    monkeypatch.setattr(programs, "find", lambda name: str(program))
    assert programs.program("crun", "crun").state == state


def test_missing_program(monkeypatch) -> None:
    monkeypatch.setattr(programs, "find", lambda name: None)
    assert programs.runtime().state == "problem"
    assert programs.program("conmon", "conmon").remedy == "apt install conmon"
    assert programs.init().state == "advice"


def test_this_kernel_is_described() -> None:
    assert {finding.name for finding in kernel.findings()} >= {
        "kernel",
        "namespaces",
        "overlayfs",
        "openat2",
        "seccomp",
    }


def test_socket_that_nobody_serves(tmp_path) -> None:
    assert access.daemon(f"unix://{tmp_path}/none.sock").state == "advice"


def test_lines_line_up() -> None:
    found = [Finding("a", "ok", "fine"), Finding("longer", "problem", "bad", "do this")]
    assert lines(found) == ["ok      a       fine", "LACKS   longer  bad", "                do this"]


def test_as_a_command() -> None:
    program = "import sys; from corten.cli.main import run; sys.exit(run(['doctor', '--json']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    found = json.loads(done.stdout)
    assert done.returncode == (1 if any(entry["state"] == "problem" for entry in found) else 0)
    assert {"name", "state", "text", "remedy"} == set(found[0])
