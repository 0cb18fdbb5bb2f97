"""Pools on a host that gives no more threads."""

import threading

import pytest

from corten import errors
from corten.linux.pool import Pool


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)


def test_work_is_done_by_the_threads_that_are_there(request: pytest.FixtureRequest, caplog) -> None:
    with Pool(4, "pool") as pool:
        request.getfixturevalue("no_threads")
        gate = threading.Event()
        first = pool.submit(gate.wait)
        later = [pool.submit(lambda number=number: number) for number in range(10)]
        gate.set()
        assert first.result()
        assert [each.result() for each in later] == list(range(10))
    assert [record.getMessage() for record in caplog.records] == ["pool: can't start new thread; going on with 1"]


def test_a_pool_grows(caplog) -> None:
    with Pool(3, "pool") as pool:
        meeting = threading.Barrier(3)
        assert sorted(each.result() for each in [pool.submit(meeting.wait, 10) for _ in range(3)]) == [0, 1, 2]
    assert not caplog.records


def test_none_at_all(no_threads: None) -> None:
    with pytest.raises(errors.Exhausted, match="no thread for pool: can't start new thread"):
        Pool(2, "pool")
