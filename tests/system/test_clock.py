"""The clock is set, forward and back, under a running daemon: what lasts goes on to last, and what is due is not lost.

The daemon's own reading of the time of day is moved; only a guest could have its kernel's clock set.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corten.engine.events import Events
from tests.support.busybox import IMAGE
from tests.support.daemon import REPOSITORY, Daemon
from tests.support.http import Api, joined
from tests.support.stock import Docker, eventually

DAY = 86400
CLOCK = """
import time
_time_ns = time.time_ns

def moved():
    try:
        with open({path!r}) as file:
            return int(file.read() or 0) * 1_000_000_000
    except OSError:
        return 0

time.time_ns = lambda: _time_ns() + moved()
time.time = lambda: time.time_ns() / 1e9
"""

root = pytest.mark.skipif(os.geteuid() != 0, reason="a daemon needs root")


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that moves the daemon's clock, by its number of seconds."""
    directory = tmp_path_factory.mktemp("clock")
    (directory / "sitecustomize.py").write_text(CLOCK.format(path=str(directory / "seconds")))
    return directory / "seconds"


@pytest.fixture(scope="module")
def daemon(clock: Path) -> Iterator[Daemon]:
    made = Daemon()
    made.package = f"{clock.parent}:{REPOSITORY}"
    try:
        yield made.start()
    finally:
        leaks = made.close()
    assert not leaks


@pytest.fixture
def move(clock: Path, clean: Daemon, image: str) -> Iterator[Callable[[int], None]]:
    def by(seconds: int) -> None:
        fresh = clock.with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.rename(clock)

    by(0)
    yield by
    by(0)


def state(api: Api, name: str) -> dict:
    return api("GET", f"/containers/{name}/json").json()["State"]


@root
@pytest.mark.parametrize("seconds", [DAY, -DAY])
def test_a_start_period_is_as_long_as_it_was(docker: Docker, api: Api, move, seconds: int) -> None:
    health = ("--health-cmd", "false", "--health-interval", "50ms", "--health-start-interval", "50ms")
    docker("run", "-d", "--name", "slow", *health, "--health-start-period", "1h", IMAGE, "sleep", "600")
    docker("run", "-d", "--name", "ill", *health, "--health-start-period", "300ms", IMAGE, "sleep", "600")
    move(seconds)
    eventually(lambda: state(api, "ill")["Health"]["Status"] == "unhealthy")
    log = state(api, "slow")["Health"]["Log"]
    eventually(lambda: state(api, "slow")["Health"]["Log"][0] not in log, what="five more probes")
    assert state(api, "slow")["Health"]["Status"] == "starting"
    for result in state(api, "ill")["Health"]["Log"]:
        assert result["Start"] <= result["End"]


@root
@pytest.mark.parametrize("seconds", [DAY, -DAY])
def test_ends_waits_and_restarts(docker: Docker, api: Api, daemon: Daemon, move, seconds: int) -> None:
    docker("run", "-d", "--name", "once", IMAGE, "sleep", "600")
    docker("run", "-d", "--name", "fails", "--restart", "always", IMAGE, "sh", "-c", "exit 3")
    waiting = docker.spawn("wait", "once")
    eventually(lambda: state(api, "fails").get("Status") == "restarting")
    move(seconds)
    begun = time.time()
    docker("stop", "-t", "0", "once")
    assert waiting.communicate(timeout=15)[0].strip() == b"137"
    found = state(api, "once")
    assert found["StartedAt"] <= found["FinishedAt"]
    count = api("GET", "/containers/fails/json").json()["RestartCount"]
    eventually(lambda: api("GET", "/containers/fails/json").json()["RestartCount"] > count, timeout=30)
    query = {"since": int(begun) + seconds - 60, "until": int(time.time()) + seconds + 1}
    past = api.lines("/events", query={**query, "filters": {"event": ["die"]}})
    durations = [int(event["Actor"]["Attributes"]["execDuration"]) for event in past]
    assert durations
    assert max(durations) < 3600
    assert docker("ps", "-a", "--filter", "name=once", "--format", "{{.Status}}").startswith("Exited (137)")
    daemon.kill()
    daemon.start()
    assert (state(api, "once")["ExitCode"], state(api, "once")["FinishedAt"]) == (137, found["FinishedAt"])


@root
@pytest.mark.parametrize("seconds", [DAY, -DAY])
def test_followed_logs_and_stats_go_on(docker: Docker, api: Api, move, seconds: int) -> None:
    docker("run", "-d", "--name", "talks", IMAGE, "sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done")
    following = docker.spawn("logs", "-f", "talks")
    eventually(lambda: joined(api("GET", "/containers/talks/logs", query={"stdout": 1}).body))
    stats = api("GET", "/containers/talks/stats", query={"stream": 0}).json()
    move(seconds)
    docker("exec", "talks", "true")
    assert api("GET", "/containers/talks/stats", query={"stream": 0}).json()["cpu_stats"] != stats["cpu_stats"]
    docker("stop", "-t", "0", "talks")
    numbers = [int(text) for text in following.communicate(timeout=15)[0].split()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_events_of_a_clock_that_was_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> list[str]:
        bus = Events()
        for action, moment in (("first", 100), ("second", 50), ("third", 120)):
            monkeypatch.setattr("corten.engine.events.time.time_ns", lambda moment=moment: moment)
            bus.emit("container", action, "x")
        subscription = bus.subscribe(since=90)
        bus.close()
        return [event.action async for event in subscription]

    assert asyncio.run(scenario()) == ["first", "third"]
