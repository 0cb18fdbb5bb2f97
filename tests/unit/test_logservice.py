"""The background work of logs."""

from corten.engine import logservice
from corten.engine.logservice import LogPaths, LogService
from corten.runtime.logdrivers.registry import plan


def test_one_log_that_cannot_be_rotated_leaves_the_others_alone(monkeypatch):
    rotated = []

    def rotate(path, control, storage):
        if path == "bad":
            raise ValueError("a bug")
        rotated.append(path)

    monkeypatch.setattr(logservice, "rotate_if_due", rotate)
    service = LogService.__new__(LogService)
    service._failing = set()
    storage = plan("json-file", {}).storage
    service._rotate([(name, LogPaths(name, ""), storage) for name in ("bad", "good")])
    assert rotated == ["good"]
    assert service._failing == {"bad"}
