"""What the daemon asks systemd."""

import os

import pytest

from corten.daemon import systemd


@pytest.fixture
def says(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """``says(WORD)``: systemctl answers so, to a service that systemd has started."""

    def answer(word: str) -> None:
        program = tmp_path / "systemctl"
        program.write_text(f"#!/bin/sh\necho {word}; exit 1\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")

    return answer


@pytest.mark.parametrize(
    ("word", "answer"), [("stopping", True), ("running", False), ("degraded", False), ("starting", False)]
)
def test_machine_goes_down(says, word: str, answer: bool) -> None:
    says(word)
    assert systemd.machine_goes_down() is answer


def test_no_service_of_systemd(says, monkeypatch: pytest.MonkeyPatch) -> None:
    says("stopping")
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert systemd.machine_goes_down() is False


def test_no_systemctl(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert systemd.machine_goes_down() is False
