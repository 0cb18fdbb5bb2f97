"""Fault points: nothing without the variable, a trace with it, and the three things that a test can order."""

import subprocess
import sys
import threading

import pytest

from corten import faultpoint


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setattr(faultpoint, "_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(faultpoint, "_reached", {})
    return tmp_path


def arm(directory, order):
    (directory / "armed").write_text(order)


def test_without_the_variable_nothing_happens(tmp_path, monkeypatch):
    monkeypatch.setattr(faultpoint, "_DIRECTORY", "")
    monkeypatch.chdir(tmp_path)
    arm(tmp_path, "a.b ENOSPC")
    faultpoint.reach("a.b")
    assert [path.name for path in tmp_path.iterdir()] == ["armed"]


def test_the_trace_has_every_step_in_order(directory):
    for step in ("a.one", "a.two", "a.one"):
        faultpoint.reach(step)
    assert (directory / "trace").read_text() == "a.one\na.two\na.one\n"


def test_a_step_fails_the_time_that_was_asked_for_and_only_then(directory):
    arm(directory, "a.b ENOSPC 2")
    faultpoint.reach("a.b")
    faultpoint.reach("other")
    with pytest.raises(OSError, match="No space left on device") as caught:
        faultpoint.reach("a.b")
    assert caught.value.filename == "a.b"
    faultpoint.reach("a.b")


def test_a_new_order_counts_anew(directory):
    for error in ("EIO", "ENOSPC"):
        arm(directory, f"a.b {error}")
        with pytest.raises(OSError):
            faultpoint.reach("a.b")


def test_a_step_waits_until_the_order_is_taken_back(directory):
    arm(directory, "a.b wait")
    passed = threading.Event()
    thread = threading.Thread(target=lambda: (faultpoint.reach("a.b"), passed.set()))
    thread.start()
    assert not passed.wait(0.05)
    (directory / "armed").unlink()
    thread.join(10)
    assert passed.is_set()


def test_a_step_kills_the_process(tmp_path):
    arm(tmp_path, "a.b kill")
    code = "from corten import faultpoint; faultpoint.reach('x.y'); faultpoint.reach('a.b'); print('survived')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"CORTEN_FAULTS": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (-9, b"")
    assert (tmp_path / "trace").read_text() == "x.y\na.b\n"
