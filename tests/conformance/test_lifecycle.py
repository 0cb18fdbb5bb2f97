"""`create`, `start`, `stop`, `kill`, `restart`, `pause`, `wait`, `rename`, `update`, `rm`, `prune`: states, errors."""

import threading

import pytest

from tests.support.busybox import IMAGE
from tests.support.http import Api, UnixConnection
from tests.support.stock import Docker, eventually

TRAP = "trap 'echo got TERM; exit 3' TERM; trap 'echo got USR1' USR1; echo up; while :; do sleep 0.05; done"


def status(docker: Docker, name: str) -> str:
    return docker("inspect", "-f", "{{.State.Status}}", name)


def trapper(docker: Docker, *options: str) -> str:
    identifier = docker("run", "-d", *options, IMAGE, "sh", "-c", TRAP)
    eventually(lambda: "up" in docker("logs", identifier))
    return identifier


def test_states_in_order(docker: Docker) -> None:
    docker("create", "--name", "c1", IMAGE, "sleep", "60")
    seen = [status(docker, "c1")]
    for step in ("start", "pause", "unpause"):
        docker(step, "c1")
        seen.append(status(docker, "c1"))
    docker("stop", "-t", "0", "c1")
    seen.append(status(docker, "c1"))
    assert seen == ["created", "running", "paused", "running", "exited"]


def test_created_container_has_no_times(api: Api, docker: Docker) -> None:
    state = api("GET", f"/containers/{docker('create', IMAGE)}/json").json()["State"]
    assert state["StartedAt"] == state["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert (state["Pid"], state["ExitCode"], state["Running"]) == (0, 0, False)


def test_start_and_stop_twice_answer_304(api: Api, docker: Docker) -> None:
    identifier = docker("run", "-d", IMAGE, "sleep", "60")
    assert api("POST", f"/containers/{identifier}/start").status == 304
    assert api("POST", f"/containers/{identifier}/stop", query={"t": 0}).status == 204
    assert api("POST", f"/containers/{identifier}/stop").status == 304


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_a_patient_stop_holds_nobody_up(api: Api, docker: Docker, verb: str) -> None:
    identifier = docker("run", "-d", IMAGE, "sleep", "600")
    patient = threading.Thread(target=api, args=("POST", f"/containers/{identifier}/stop"), kwargs={"query": {"t": 50}})
    events = api.lines("/events", {"filters": {"container": [identifier], "event": ["kill"]}, "since": 1})
    patient.start()
    assert next(events)["Action"] == "kill"  # the stop is under way; the program does not care
    events.close()
    assert api("POST", f"/containers/{identifier}/start").status == 304
    assert api("POST", f"/containers/{identifier}/{verb}", query={"t": 0}).status == 204
    patient.join(30)
    assert not patient.is_alive()
    assert status(docker, identifier) == {"stop": "exited", "restart": "running"}[verb]


def test_a_forced_removal_waits_for_no_patient_restart(api: Api, docker: Docker) -> None:
    """Also for none that gets its turn before the removal does."""
    identifier = docker("run", "-d", IMAGE, "sleep", "600")
    path = f"/containers/{identifier}/restart"
    patient = [threading.Thread(target=api, args=("POST", path), kwargs={"query": {"t": -1}}) for _ in range(3)]
    events = api.lines("/events", {"filters": {"container": [identifier], "event": ["kill"]}, "since": 1})
    for each in patient:
        each.start()
    for _ in patient:
        assert next(events)["Action"] == "kill"
    events.close()
    assert api("DELETE", f"/containers/{identifier}", query={"force": 1}).status == 204
    for each in patient:
        each.join(30)
    assert not [each for each in patient if each.is_alive()]


def test_numbers_that_are_none(api: Api, docker: Docker) -> None:
    identifier = docker("create", IMAGE)
    for text in ("x", "1.5", "1" * 30, "\u0661", "1_0"):
        refused = api("POST", f"/containers/{identifier}/stop", query={"t": text})
        assert refused.status == 400, text
        assert "t:" in refused.message or text in refused.message


def test_stop_sends_the_stop_signal(docker: Docker) -> None:
    identifier = trapper(docker)
    docker("stop", identifier)
    assert docker("wait", identifier) == "3"
    assert docker("logs", identifier).endswith("got TERM")


def test_stop_signal_of_the_container(docker: Docker) -> None:
    identifier = docker(
        "run",
        "-d",
        "--stop-signal",
        "QUIT",
        IMAGE,
        "sh",
        "-c",
        "trap 'exit 4' QUIT; echo up; while :; do sleep 0.05; done",
    )
    eventually(lambda: docker("logs", identifier) == "up")
    docker("stop", identifier)
    assert docker("wait", identifier) == "4"


def test_stop_kills_after_the_timeout(docker: Docker) -> None:
    identifier = docker(
        "run", "-d", "--stop-timeout", "1", IMAGE, "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"
    )
    docker("stop", identifier)
    assert docker("wait", identifier) == "137"


def test_kill_with_a_signal_leaves_it_running(docker: Docker) -> None:
    identifier = trapper(docker)
    docker("kill", "-s", "USR1", identifier)
    eventually(lambda: "got USR1" in docker("logs", identifier))
    assert status(docker, identifier) == "running"
    docker("kill", "-s", "SIGUSR1", identifier)
    docker("kill", "-s", "10", identifier)


def test_kill_errors(docker: Docker) -> None:
    identifier = docker("create", IMAGE)
    assert f"container {identifier} is not running" in docker.fails("kill", identifier).err.lower()
    running = docker("run", "-d", IMAGE, "sleep", "60")
    assert "invalid signal: SOMETHING" in docker.fails("kill", "-s", "SOMETHING", running).err.replace(
        "Invalid", "invalid"
    )


def test_restart_keeps_the_file_system(docker: Docker) -> None:
    identifier = docker("run", "-d", IMAGE, "sh", "-c", "echo line >> /tmp/file; sleep 60")
    eventually(lambda: docker.result("exec", identifier, "cat", "/tmp/file").out == "line\n")
    docker("restart", "-t", "0", identifier)
    eventually(lambda: docker.result("exec", identifier, "cat", "/tmp/file").out == "line\nline\n")


def test_restart_starts_a_stopped_one(docker: Docker) -> None:
    identifier = docker("create", IMAGE, "sleep", "60")
    docker("restart", identifier)
    assert status(docker, identifier) == "running"


def test_exited_container_starts_again_with_new_times(api: Api, docker: Docker) -> None:
    identifier = docker("create", IMAGE, "sh", "-c", "exit 6")
    times = []
    for _ in range(2):
        docker.fails("start", "-a", identifier, code=6)
        state = api("GET", f"/containers/{identifier}/json").json()["State"]
        assert state["ExitCode"] == 6
        assert state["StartedAt"] <= state["FinishedAt"]
        times.append(state["StartedAt"])
    assert times[0] < times[1]


def test_pause_errors(api: Api, docker: Docker) -> None:
    identifier = docker("run", "-d", IMAGE, "sleep", "60")
    assert api("POST", f"/containers/{identifier}/unpause").status == 500
    docker("pause", identifier)
    answer = api("POST", f"/containers/{identifier}/pause")
    assert answer.status == 409
    assert "is already paused" in answer.message
    assert api("POST", f"/containers/{identifier}/start").status == 409
    docker("unpause", identifier)
    docker("kill", identifier)
    assert api("POST", f"/containers/{identifier}/pause").status == 409


def test_stop_of_a_paused_container(docker: Docker) -> None:
    identifier = docker("run", "-d", IMAGE, "sleep", "60")
    docker("pause", identifier)
    docker("stop", "-t", "0", identifier)
    assert status(docker, identifier) == "exited"


def test_wait_before_start_and_next_exit(docker: Docker) -> None:
    identifier = docker("create", IMAGE, "sh", "-c", "exit 11")
    process = docker.spawn("wait", identifier)
    docker("start", identifier)
    assert process.communicate(timeout=20)[0].strip() in (b"0", b"11")  # 0: it asked before the start
    assert docker("wait", identifier) == "11"


def test_wait_flushes_its_header_at_once(daemon, api: Api, docker: Docker) -> None:
    identifier = docker("run", "-d", IMAGE, "sleep", "60")
    connection = UnixConnection(daemon.socket, 10)
    connection.request("POST", f"/v1.41/containers/{identifier}/wait?condition=next-exit")
    answer = connection.getresponse()
    assert answer.status == 200
    docker("kill", identifier)
    assert b'"StatusCode":137' in answer.read().replace(b" ", b"")
    connection.close()


def test_wait_for_removal_knows_the_code(daemon, docker: Docker) -> None:
    docker("create", "--rm", "--name", "brief", IMAGE, "sh", "-c", "exit 12")
    codes: list[bytes] = []
    connection = UnixConnection(daemon.socket, 30)
    connection.request("POST", "/v1.41/containers/brief/wait?condition=removed")
    answer = connection.getresponse()
    reader = threading.Thread(target=lambda: codes.append(answer.read()))
    reader.start()
    docker("start", "brief")
    reader.join(20)
    connection.close()
    assert b'"StatusCode":12' in codes[0].replace(b" ", b"")


@pytest.mark.since("1.42")
def test_wait_for_an_unknown_condition(api: Api, docker: Docker) -> None:
    identifier = docker("create", IMAGE)
    assert api("POST", f"/v1.41/containers/{identifier}/wait", query={"condition": "bogus"}).status == 400


def test_rename(api: Api, docker: Docker) -> None:
    docker("create", "--name", "old", IMAGE)
    docker("rename", "old", "new")
    assert docker("inspect", "-f", "{{.Name}}", "new") == "/new"
    assert docker.result("inspect", "old").code == 1
    docker("create", "--name", "old", IMAGE)
    assert api("POST", "/containers/old/rename", query={"name": "new"}).status == 409
    assert api("POST", "/containers/old/rename", query={"name": ""}).status == 400
    assert api("POST", "/containers/old/rename", query={"name": "old"}).status == 400


def test_update_of_limits(api: Api, docker: Docker) -> None:
    docker("run", "-d", "--name", "u1", "--memory", "64m", "--memory-swap", "128m", IMAGE, "sleep", "60")
    docker("update", "--memory", "32m", "--cpu-shares", "512", "--pids-limit", "50", "u1")
    host = api("GET", "/containers/u1/json").json()["HostConfig"]
    assert (host["Memory"], host["CpuShares"], host["PidsLimit"]) == (32 << 20, 512, 50)
    assert host["MemorySwap"] == 128 << 20
    file = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
    assert docker("exec", "u1", "sh", "-c", file) == str(32 << 20)


def test_update_of_the_restart_policy(api: Api, docker: Docker) -> None:
    docker("create", "--name", "u1", IMAGE)
    docker("update", "--restart", "on-failure:3", "u1")
    policy = api("GET", "/containers/u1/json").json()["HostConfig"]["RestartPolicy"]
    assert policy == {"Name": "on-failure", "MaximumRetryCount": 3}


def test_rm(api: Api, docker: Docker) -> None:
    docker("run", "-d", "--name", "r1", IMAGE, "sleep", "60")
    answer = api("DELETE", "/containers/r1")
    assert answer.status == 409
    assert "running" in answer.message
    assert api("DELETE", "/containers/r1", query={"force": 1}).status == 204
    assert api("DELETE", "/containers/r1").status == 404
    assert api("GET", "/containers/r1/json").message == "No such container: r1"


def test_forced_removal_of_a_paused_one(docker: Docker) -> None:
    identifier = docker("run", "-d", IMAGE, "sleep", "60")
    docker("pause", identifier)
    docker("rm", "-f", identifier)
    assert docker("ps", "-aq") == ""


def test_prune(docker: Docker) -> None:
    running = docker("run", "-d", IMAGE, "sleep", "60")
    stopped = docker("create", "-l", "kind=old", IMAGE)
    kept = docker("create", IMAGE)
    assert stopped in docker("container", "prune", "-f", "--filter", "label=kind=old")
    assert set(docker("ps", "-aq", "--no-trunc").split()) == {running, kept}
    assert kept in docker("container", "prune", "-f")
    assert docker("ps", "-aq", "--no-trunc") == running


def test_references(api: Api, docker: Docker) -> None:
    identifier = docker("create", "--name", "byname", IMAGE)
    for reference in (identifier, identifier[:12], identifier[:4], "byname"):
        assert api("GET", f"/containers/{reference}/json").json()["Id"] == identifier


@pytest.mark.parametrize("operation", ["start", "stop", "restart", "kill", "pause", "unpause", "wait"])
def test_unknown_container(api: Api, operation: str) -> None:
    answer = api("POST", f"/v1.41/containers/nobody/{operation}")
    assert answer.status == 404
    assert answer.message.endswith("No such container: nobody")


def test_starts_run_side_by_side(docker: Docker) -> None:
    names = [f"p{number}" for number in range(6)]
    running = [docker.spawn("run", "-d", "--name", name, IMAGE, "sleep", "60") for name in names]
    for process in running:
        assert process.communicate(timeout=60)[1] == b""
        assert process.returncode == 0
    assert len(docker("ps", "-q").split()) == 6


def test_forced_removal_does_not_wait_for_a_patient_stop(docker: Docker) -> None:
    docker("run", "-d", "--name", "deaf", IMAGE, "sleep", "600")  # as pid 1 it ignores SIGTERM
    stopping = docker.spawn("stop", "-t", "60", "deaf")
    eventually(lambda: "kill" in docker("events", "--since", "1m", "--until", "0s", "--filter", "container=deaf"))
    docker("rm", "-f", "deaf", timeout=20)
    stopping.communicate(timeout=20)
