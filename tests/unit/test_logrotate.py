"""Rotation against a monitor that is slow to obey."""

import os

from corten.runtime import logrotate
from corten.runtime.logdrivers.options import storage


def test_a_slow_monitor_gets_one_order_only(tmp_path, monkeypatch):
    monkeypatch.setattr(logrotate, "REOPEN_TIMEOUT", 0.01)
    log, control = tmp_path / "log", tmp_path / "ctl"
    os.mkfifo(control)
    reader = os.open(control, os.O_RDONLY | os.O_NONBLOCK)
    try:
        log.write_bytes(b"x" * 4096)
        limits = storage("json-file", {"max-size": "1k", "max-file": "3"})
        for _ in range(3):
            logrotate.rotate_if_due(str(log), str(control), limits)
        assert os.read(reader, 4096) == logrotate.REOPEN
        assert (tmp_path / "log.1").read_bytes() == b"x" * 4096
        assert not log.exists()
        # it has read the order and done nothing: the next look asks again
        logrotate.rotate_if_due(str(log), str(control), limits)
        assert os.read(reader, 4096) == logrotate.REOPEN
    finally:
        os.close(reader)


def test_what_lies_before_a_cut_goes_too(tmp_path, monkeypatch):
    log = tmp_path / "c.log"
    limits = storage("json-file", {"max-size": "1k", "max-file": "4"})
    monkeypatch.setattr(logrotate, "_reopen", lambda path, control: True)
    (tmp_path / "c.log.1").write_text("much older\n" * 10)
    (tmp_path / "c.log.2").write_text("oldest\n" * 10)
    log.write_text("".join(f"{number}\n" for number in range(10000)))
    assert logrotate.rotate_if_due(str(log), "", limits)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.log.1"]
    kept = (tmp_path / "c.log.1").read_text().split()
    assert kept == [str(number) for number in range(int(kept[0]), 10000)]
    assert len((tmp_path / "c.log.1").read_bytes()) <= 3 << 10

    log.write_text("line\n" * 300)  # only a little too large: nothing is cut, nothing goes
    assert logrotate.rotate_if_due(str(log), "", limits)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.log.1", "c.log.2"]
