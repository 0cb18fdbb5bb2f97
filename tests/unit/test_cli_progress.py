"""Progress of long work: lines into a pipe, bars on a terminal, errors as failures."""

import os
import pty
import subprocess
import sys
import threading

import pytest

from corten.cli import progress
from corten.cli.failure import Failure
from tests.support.fakedaemon import FakeDaemon

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RECORDS = (
    b'{"status":"Pulling from library/x","id":"latest"}\n'
    b'{"status":"Downloading","id":"abc","progressDetail":{"current":50,"total":100},"progress":"[=> ]"}\n'
    b'{"status":"Download complete","id":"abc","progressDetail":{}}\n'
    b'{"stream":"Loaded image: x:\\u001b[31m1\\n"}\n'
)


class Lines:
    def __init__(self):
        self.text = []

    def print(self, line):
        self.text.append(line)


def test_lines_without_the_moving_ones(capsys):
    app = Lines()
    import json

    progress.show(app, map(json.loads, RECORDS.splitlines()))
    assert app.text == [
        "latest: Pulling from library/x",
        "abc: Download complete",
        "Loaded image: x:\\x1b[31m1",
    ]
    quiet = Lines()
    progress.show(quiet, map(json.loads, RECORDS.splitlines()), quiet=True)
    assert quiet.text == []


@pytest.mark.parametrize(
    "record", [{"errorDetail": {"message": "no\x1bspace"}, "error": "x"}, {"error": "no\x1bspace"}]
)
def test_an_error_in_the_stream_is_a_failure(record):
    with pytest.raises(Failure) as caught:
        progress.show(Lines(), [{"status": "ok"}, record])
    assert caught.value.message == "no\\x1bspace"


def test_bars_on_a_terminal(tmp_path):
    daemon = FakeDaemon(str(tmp_path / "d.sock"))
    daemon.answers["POST", "/images/load"] = 200, RECORDS
    master, slave = pty.openpty()
    program = f"import sys; sys.path.insert(0, {ROOT!r}); from corten.cli.main import main; main()"
    command = [sys.executable, "-c", program, "-H", daemon.url, "load"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=slave, stderr=slave)
    os.close(slave)
    process.stdin.close()
    shown = b""
    guard = threading.Timer(20, process.kill)
    guard.start()
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        shown += part
    os.close(master)
    guard.cancel()
    assert process.wait() == 0
    assert b"Download complete" in shown and b"abc" in shown
    assert b"Loaded image: x:\\x1b[31m1" in shown
    assert [call.path for call in daemon.calls][-1].endswith("/images/load?quiet=0")


def test_bytes_are_counted_on_a_terminal_and_passed_on_unchanged(monkeypatch, capsys):
    from corten.cli import progress_bars

    parts = [bytes([number]) * 1000 for number in range(5)]
    assert list(progress.counted(iter(parts), "Writing x")) == parts
    monkeypatch.setattr(os, "isatty", lambda descriptor: True)
    assert list(progress.counted(iter(parts), "Writing x")) == parts  # quick: nothing is drawn
    monkeypatch.setattr(progress, "_PATIENCE", -1.0)
    shown = []
    monkeypatch.setattr(progress_bars, "counted", lambda source, *rest: shown.append(rest) or source)
    assert list(progress.counted(iter(parts), "Writing x", 5000)) == parts
    assert shown == [("Writing x", 1000, 5000)]
    monkeypatch.undo()
    assert list(progress_bars.counted(iter(parts), "Writing x", 0, None)) == parts
