"""Health checks: states, logs, retries, timeouts, start period, events, and restart policies with their back-off."""

import itertools
import os
import signal

import pytest

from tests.support.busybox import IMAGE
from tests.support.http import Api
from tests.support.stock import Docker, eventually

QUICK = ("--health-interval", "100ms", "--health-timeout", "5s")


def health(api: Api, name: str) -> dict:
    return api("GET", f"/containers/{name}/json").json()["State"]["Health"]


def test_becomes_healthy(api: Api, docker: Docker) -> None:
    docker("run", "-d", "--name", "h1", "--health-cmd", "echo fine", *QUICK, IMAGE, "sleep", "60")
    eventually(lambda: health(api, "h1")["Status"] == "healthy")
    result = health(api, "h1")["Log"][-1]
    assert (result["ExitCode"], result["Output"]) == (0, "fine\n")
    assert result["Start"] <= result["End"]
    assert "(healthy)" in docker("ps", "--format", "{{.Status}}")
    assert docker("ps", "-q", "--filter", "health=healthy") != ""


def test_starts_as_starting(api: Api, docker: Docker) -> None:
    docker("run", "-d", "--name", "h1", "--health-cmd", "true", "--health-interval", "60s", IMAGE, "sleep", "60")
    assert health(api, "h1")["Status"] == "starting"
    assert "(health: starting)" in docker("ps", "--format", "{{.Status}}")


def test_becomes_unhealthy_after_the_retries(api: Api, docker: Docker) -> None:
    options = ("--health-cmd", "echo bad >&2; exit 1", "--health-retries", "2", *QUICK)
    docker("run", "-d", "--name", "h1", *options, IMAGE, "sleep", "60")
    eventually(lambda: health(api, "h1")["Status"] == "unhealthy")
    assert health(api, "h1")["FailingStreak"] >= 2
    assert health(api, "h1")["Log"][-1]["Output"] == "bad\n"


def test_recovers(api: Api, docker: Docker) -> None:
    options = ("--health-cmd", "test -e /ok", "--health-retries", "1", *QUICK)
    docker("run", "-d", "--name", "h1", *options, IMAGE, "sleep", "60")
    eventually(lambda: health(api, "h1")["Status"] == "unhealthy")
    docker("exec", "h1", "touch", "/ok")
    eventually(lambda: health(api, "h1")["Status"] == "healthy")
    assert health(api, "h1")["FailingStreak"] == 0


def test_a_probe_that_takes_too_long(api: Api, docker: Docker) -> None:
    options = (
        "--health-cmd",
        "sleep 30",
        "--health-retries",
        "1",
        "--health-interval",
        "100ms",
        "--health-timeout",
        "300ms",
    )
    docker("run", "-d", "--name", "h1", *options, IMAGE, "sleep", "60")
    eventually(lambda: health(api, "h1")["Status"] == "unhealthy")
    result = health(api, "h1")["Log"][-1]
    assert result["ExitCode"] == -1
    assert "Health check exceeded timeout (300ms)" in result["Output"]


def test_failures_in_the_start_period_do_not_count(api: Api, docker: Docker) -> None:
    options = ("--health-cmd", "exit 1", "--health-retries", "1", "--health-start-period", "60s", *QUICK)
    docker("run", "-d", "--name", "h1", *options, IMAGE, "sleep", "60")
    eventually(lambda: len(health(api, "h1")["Log"]) >= 3)
    assert health(api, "h1")["Status"] == "starting"


def test_no_healthcheck(api: Api, docker: Docker) -> None:
    docker("run", "-d", "--name", "h1", "--no-healthcheck", IMAGE, "sleep", "60")
    assert "Health" not in api("GET", "/containers/h1/json").json()["State"]


def test_at_most_five_results_are_kept(api: Api, docker: Docker) -> None:
    docker("run", "-d", "--name", "h1", "--health-cmd", "true", *QUICK, IMAGE, "sleep", "60")
    eventually(lambda: len(health(api, "h1")["Log"]) == 5)
    first = health(api, "h1")["Log"][0]["Start"]
    eventually(lambda: health(api, "h1")["Log"][0]["Start"] > first)
    assert len(health(api, "h1")["Log"]) == 5


def test_output_is_bounded(api: Api, docker: Docker) -> None:
    docker("run", "-d", "--name", "h1", "--health-cmd", "yes | head -c 100000", *QUICK, IMAGE, "sleep", "60")
    eventually(lambda: health(api, "h1")["Log"])
    assert len(health(api, "h1")["Log"][0]["Output"]) <= 4096 + 3


def test_interval_that_is_too_short(api: Api) -> None:
    check = {"Test": ["CMD", "true"], "Interval": 1000}
    answer = api("POST", "/containers/create", {"Image": IMAGE, "Healthcheck": check})
    assert answer.status == 400
    assert "Interval in Healthcheck cannot be less than 1ms" in answer.message


def test_status_turns_away_when_stopped(api: Api, docker: Docker) -> None:
    docker("run", "-d", "--name", "h1", "--health-cmd", "true", *QUICK, IMAGE, "sleep", "60")
    eventually(lambda: health(api, "h1")["Status"] == "healthy")
    docker("stop", "-t", "0", "h1")
    assert health(api, "h1")["Status"] == "unhealthy"


def restarts(api: Api, name: str) -> int:
    return api("GET", f"/containers/{name}/json").json()["RestartCount"]


def test_on_failure_gives_up_after_its_count(api: Api, docker: Docker) -> None:
    docker("run", "-d", "--name", "r1", "--restart", "on-failure:2", IMAGE, "sh", "-c", "exit 5")
    eventually(lambda: docker("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "r1") == "exited 2")
    assert docker("inspect", "-f", "{{.State.ExitCode}}", "r1") == "5"


def test_on_failure_leaves_success_alone(api: Api, docker: Docker) -> None:
    docker("run", "-d", "--name", "r1", "--restart", "on-failure", IMAGE, "true")
    docker("wait", "r1")
    assert restarts(api, "r1") == 0
    assert docker("inspect", "-f", "{{.State.Status}}", "r1") == "exited"


def test_always_starts_again(api: Api, docker: Docker) -> None:
    docker("run", "-d", "--name", "r1", "--restart", "always", IMAGE, "sh", "-c", "echo again; exit 0")
    eventually(lambda: restarts(api, "r1") >= 2)
    eventually(lambda: docker("inspect", "-f", "{{.State.Status}}", "r1") == "restarting")
    assert docker("logs", "r1").split().count("again") >= 2


def test_back_off_grows(api: Api, docker: Docker) -> None:
    docker("run", "-d", "--name", "r1", "--restart", "always", IMAGE, "date", "+%s.%N")
    eventually(lambda: restarts(api, "r1") >= 4)
    times = [float(line.split()[0].split(":")[-1].rstrip("Z")) for line in docker("logs", "-t", "r1").splitlines()]
    gaps = [(later - earlier) % 60 for earlier, later in itertools.pairwise(times)]
    assert gaps[0] < gaps[2]


@pytest.mark.parametrize("policy", ["always", "unless-stopped"])
def test_stop_ends_the_policy(api: Api, docker: Docker, policy: str) -> None:
    docker("run", "-d", "--name", "r1", "--restart", policy, IMAGE, "sleep", "60")
    docker("stop", "-t", "0", "r1")
    assert docker("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "r1") == "exited 0"


def test_stop_while_restarting(docker: Docker) -> None:
    docker("run", "-d", "--name", "r1", "--restart", "always", IMAGE, "false")
    eventually(lambda: docker("inspect", "-f", "{{.State.Status}}", "r1") == "restarting")
    docker("stop", "-t", "0", "r1")
    eventually(lambda: docker("inspect", "-f", "{{.State.Status}}", "r1") == "exited")


def test_kill_by_a_stranger_is_a_failure(api: Api, docker: Docker) -> None:
    docker("run", "-d", "--name", "r1", "--restart", "always", IMAGE, "sh", "-c", "sleep 600")
    docker.result("exec", "r1", "sh", "-c", "kill -TERM 1; kill -INT 1")
    os.kill(int(docker("inspect", "-f", "{{.State.Pid}}", "r1")), signal.SIGKILL)
    eventually(lambda: restarts(api, "r1") == 1)
    eventually(lambda: docker("inspect", "-f", "{{.State.Status}}", "r1") == "running")


def test_wrong_policies(docker: Docker) -> None:
    assert docker.result("create", "--restart", "nonsense", IMAGE).code != 0
    assert docker.result("create", "--restart", "always:3", IMAGE).code != 0
