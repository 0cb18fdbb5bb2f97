"""Containers outlive the daemon: stopped or killed with -9, it comes back to what runs and to what ended meanwhile."""

import contextlib
import http.client
import os
import secrets
import shutil
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from tests.support.busybox import IMAGE
from tests.support.daemon import Daemon
from tests.support.http import Api, joined
from tests.support.stock import Docker, eventually

WAYS = {"stopped": Daemon.stop, "killed": Daemon.kill}


@pytest.fixture(params=sorted(WAYS))
def away(request: pytest.FixtureRequest, clean: Daemon, image: str) -> Iterator[Callable[[], None]]:
    """Ends the daemon, in one way and the other; the test starts it again with :meth:`Daemon.start`."""
    yield lambda: WAYS[request.param](clean)
    if clean.process is not None and clean.process.poll() is not None:
        clean.start()


def state(api: Api, name: str) -> dict:
    return api("GET", f"/containers/{name}/json").json()["State"]


def run(docker: Docker, name: str, *options: str, script: str = "sleep 600") -> int:
    docker("run", "-d", "--name", name, *options, IMAGE, "sh", "-c", script)
    return int(docker("inspect", "-f", "{{.State.Pid}}", name))


def test_running_container_is_taken_up(daemon: Daemon, docker: Docker, api: Api, away) -> None:
    pid = run(docker, "live", script="i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done")
    started = state(api, "live")["StartedAt"]
    away()
    assert os.path.exists(f"/proc/{pid}")
    daemon.start()
    assert (state(api, "live")["Pid"], state(api, "live")["StartedAt"]) == (pid, started)
    assert docker("exec", "live", "echo", "hi") == "hi"
    seen = docker("logs", "live").split()
    eventually(lambda: len(docker("logs", "live").split()) > len(seen))
    numbers = [int(text) for text in docker("logs", "live").split()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert docker("top", "live")
    assert api("GET", "/containers/live/stats", query={"stream": 0, "one-shot": 1}).json()["pids_stats"]["current"] >= 1
    docker("stop", "-t", "0", "live")
    assert docker("wait", "live") == "137"
    docker("rm", "live")


def test_exit_meanwhile_has_its_code_and_time(daemon: Daemon, docker: Docker, api: Api, away) -> None:
    pid = run(docker, "brief", script="while [ ! -e /go ]; do sleep 0.02; done; echo last words; exit 23")
    away()
    os.close(os.open(f"/proc/{pid}/root/go", os.O_CREAT | os.O_WRONLY))
    eventually(lambda: not os.path.exists(f"/proc/{pid}"))
    ended = time.time()
    time.sleep(0.5)
    daemon.start()
    found = state(api, "brief")
    assert (found["Status"], found["ExitCode"], found["Pid"]) == ("exited", 23, 0)
    finished = time.mktime(time.strptime(found["FinishedAt"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert abs(finished - ended) <= 2
    assert docker("wait", "brief") == "23"
    assert docker("logs", "brief") == "last words"


def test_exit_afterwards_is_noticed(daemon: Daemon, docker: Docker, away) -> None:
    pid = run(docker, "later", script="while [ ! -e /go ]; do sleep 0.02; done; exit 9")
    away()
    daemon.start()
    waiting = docker.spawn("wait", "later")
    os.close(os.open(f"/proc/{pid}/root/go", os.O_CREAT | os.O_WRONLY))
    assert waiting.communicate(timeout=15)[0].strip() == b"9"


def test_attach_goes_on(daemon: Daemon, docker: Docker, api: Api, away) -> None:
    docker("run", "-di", "--name", "cat", IMAGE, "cat")
    away()
    daemon.start()
    sock, status, data = api.hijack("/containers/cat/attach?stream=1&stdin=1&stdout=1")
    assert status == 101
    sock.sendall(b"after the restart\n")
    while b"after the restart\n" not in data:
        data += sock.recv(4096)
    sock.close()
    assert joined(data) == b"after the restart\n"


def test_terminal_goes_on(daemon: Daemon, docker: Docker, away) -> None:
    docker("run", "-dit", "--name", "shell", IMAGE, "sh")
    away()
    daemon.start()
    with docker.terminal("attach", "shell", rows=20, columns=70) as terminal:
        terminal.insist(b"stty size\n", b"20 70")
        terminal.send(b"exit 3\n")
        assert terminal.wait() == 3


def test_ports_go_on_meanwhile_and_after(daemon: Daemon, docker: Docker, away) -> None:
    page = secrets.token_hex(8)  # another daemon of this host may get the port when ours has given it back
    run(docker, "web", "-p", "80", script=f"echo {page} > /tmp/index.html; exec httpd -f -p 80 -h /tmp")
    port = docker("port", "web", "80/tcp").splitlines()[0].rpartition(":")[2]

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/index.html", timeout=3) as answer:
                return answer.read().decode().strip() == page
        except OSError:
            return False

    eventually(answers)
    away()
    assert answers()
    daemon.start()
    assert answers()
    assert docker("port", "web", "80/tcp").splitlines()[0].endswith(f":{port}")
    taken = docker.result("run", "--rm", "-p", f"{port}:80", IMAGE, "true")
    assert "port is already allocated" in taken.err
    docker("rm", "-f", "web")
    assert not answers()


def test_addresses_are_not_given_twice(daemon: Daemon, docker: Docker, away) -> None:
    form = "{{.NetworkSettings.Networks.bridge.IPAddress}}"
    run(docker, "first")
    first = docker("inspect", "-f", form, "first")
    away()
    daemon.start()
    run(docker, "second")
    assert docker("inspect", "-f", form, "first") == first
    assert docker("inspect", "-f", form, "second") != first


def test_restart_policy_of_what_ended_meanwhile(daemon: Daemon, docker: Docker, api: Api, away) -> None:
    pid = run(docker, "always", "--restart", "always")
    away()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not os.path.exists(f"/proc/{pid}"))
    daemon.start()
    eventually(lambda: state(api, "always")["Status"] == "running" and state(api, "always")["Pid"] not in (0, pid))


def test_who_joins_namespaces_starts_after_their_owner(daemon: Daemon, docker: Docker, api: Api, away) -> None:
    joining = ("--restart", "always", "--network", "container:owner")
    pids = [run(docker, "owner", "--restart", "always"), *(run(docker, each, *joining) for each in ("joins", "also"))]
    away()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        eventually(lambda pid=pid: not os.path.exists(f"/proc/{pid}"))
    daemon.start()
    for name, pid in zip(("owner", "joins", "also"), pids, strict=True):
        eventually(lambda name=name, pid=pid: state(api, name)["Pid"] not in (0, pid), what=f"a restart of {name}")
    assert docker("exec", "joins", "hostname", "-i") == docker("exec", "owner", "hostname", "-i")


def test_restart_policy_afterwards(daemon: Daemon, docker: Docker, api: Api, away) -> None:
    pid = run(docker, "always", "--restart", "always")
    away()
    daemon.start()
    assert state(api, "always")["Pid"] == pid
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: state(api, "always")["Status"] == "running" and state(api, "always")["Pid"] not in (0, pid))


def test_what_was_stopped_stays_stopped(daemon: Daemon, docker: Docker, api: Api, away) -> None:
    run(docker, "stopped", "--restart", "unless-stopped")
    docker("stop", "-t", "0", "stopped")
    away()
    daemon.start()
    assert state(api, "stopped")["Status"] == "exited"


def test_health_checks_go_on(daemon: Daemon, docker: Docker, api: Api, away) -> None:
    run(docker, "checked", "--health-cmd", "date +%s.%N", "--health-interval", "100ms")
    eventually(lambda: state(api, "checked")["Health"]["Status"] == "healthy")
    away()
    daemon.start()
    last = state(api, "checked")["Health"]["Log"]
    eventually(lambda: state(api, "checked")["Health"]["Log"][-1:] not in ([], last[-1:]))
    eventually(lambda: state(api, "checked")["Health"]["Status"] == "healthy")


def test_auto_removed_meanwhile(daemon: Daemon, docker: Docker, api: Api, away) -> None:
    pid = run(docker, "removed", "--rm")
    away()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not os.path.exists(f"/proc/{pid}"))
    daemon.start()
    eventually(lambda: api("GET", "/containers/removed/json").status == 404)


def test_paused_container_stays_paused(daemon: Daemon, docker: Docker, api: Api, away) -> None:
    run(docker, "frozen")
    docker("pause", "frozen")
    away()
    daemon.start()
    assert state(api, "frozen")["Status"] == "paused"
    docker("unpause", "frozen")
    assert docker("exec", "frozen", "echo", "awake") == "awake"


def test_volumes_and_mounts_are_still_in_use(daemon: Daemon, docker: Docker, away) -> None:
    run(docker, "user", "-v", "kept:/data", script="echo x > /data/file; sleep 600")
    away()
    daemon.start()
    assert "volume is in use" in docker.fails("volume", "rm", "kept").err
    assert docker("exec", "user", "cat", "/data/file") == "x"
    docker("rm", "-f", "user")
    docker("volume", "rm", "kept")


def test_created_container_starts_after(daemon: Daemon, docker: Docker, away) -> None:
    docker("create", "--name", "new", IMAGE, "echo", "started")
    away()
    daemon.start()
    assert docker("start", "-a", "new") == "started"


def test_machine_goes_down(daemon: Daemon, docker: Docker, api: Api, image: str, tmp_path, monkeypatch) -> None:
    """Stopped because the machine is, as systemd says: containers end in order, and come back by their policy."""
    (tmp_path / "systemctl").write_text('#!/bin/sh\n[ "$1" = is-system-running ] && echo stopping\n')
    (tmp_path / "systemctl").chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        patch.setenv("NOTIFY_SOCKET", "@nobody-listens-here")
        daemon.stop()
        daemon.start()
    trap = "trap 'exit 6' TERM; echo up; while :; do sleep 0.05; done"
    pids = [
        run(docker, "once", script=trap),
        run(docker, "again", "--restart", "unless-stopped", script=trap),
        run(docker, "failing", "--restart", "on-failure", script=trap),
        run(docker, "deaf", "--stop-timeout", "1", script="trap '' TERM; echo up; sleep 600"),
        run(docker, "frozen", script=trap),
        run(docker, "gone", "--rm", script=trap),
    ]
    for name in ("once", "again", "failing", "deaf", "frozen", "gone"):
        eventually(lambda name=name: docker("logs", name) == "up")
    docker("pause", "frozen")
    daemon.stop()
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    assert not daemon.holdings().mounts
    daemon.start()
    assert (state(api, "once")["ExitCode"], state(api, "once")["Status"]) == (6, "exited")
    assert (state(api, "deaf")["ExitCode"], state(api, "frozen")["ExitCode"]) == (137, 6)
    eventually(lambda: state(api, "again")["Status"] == state(api, "failing")["Status"] == "running")
    eventually(lambda: api("GET", "/containers/gone/json").status == 404)


def test_killed_at_a_random_moment(daemon: Daemon, docker: Docker, image: str, api: Api) -> None:
    """Whatever was half made is gone or whole after the next start."""
    for delay in (0.0, 0.01, 0.02, 0.04, 0.08):
        half = docker.spawn("run", "-d", "--name", f"half{int(delay * 1000)}", "-p", "80", IMAGE, "sleep", "600")
        time.sleep(0.03 + delay)
        daemon.kill()
        half.communicate(timeout=15)
        daemon.start()
        for container in api("GET", "/containers/json", query={"all": 1}).json():
            found = api("GET", f"/containers/{container['Id']}/json").json()["State"]
            assert found["Status"] in ("created", "running", "exited"), found
            if found["Status"] == "running":
                assert os.path.exists(f"/proc/{found['Pid']}")
            assert api("DELETE", f"/containers/{container['Id']}", query={"force": 1, "v": 1}).status == 204
        eventually(lambda: not daemon.holdings().namespaces and not daemon.holdings().ports, what="an empty host")
        assert docker("run", "--rm", IMAGE, "echo", "well") == "well"


SLOW_RUNTIME = """#!/bin/sh
for word in "$@"; do [ "$word" = start ] && touch {marker} && exec sleep 600; done
exec {crun} "$@"
"""


def test_a_start_cut_off_before_the_program_ran_is_no_running_container(tmp_path, rootfs_tar) -> None:
    """Created by the runtime, its program never let go: it would stand there as running for ever."""
    script, marker = tmp_path / "slow", tmp_path / "marker"
    script.write_text(SLOW_RUNTIME.format(marker=marker, crun=shutil.which("runc") or pytest.skip("no runc")))
    script.chmod(0o755)
    with Daemon(arguments=["--add-runtime", f"slow={script}"]) as daemon:
        api = daemon.api
        api("POST", "/images/create", rootfs_tar, query={"fromSrc": "-", "repo": "busybox", "tag": "latest"})
        body = {"Image": IMAGE, "Cmd": ["sleep", "600"], "HostConfig": {"Runtime": "slow"}}
        made = api("POST", "/containers/create", body, query={"name": "half"})
        assert made.status == 201, made.body
        starting = threading.Thread(target=_start_and_lose, args=(api,))
        starting.start()
        eventually(marker.exists)
        hanging = [pid for pid in _children(daemon.pid) if _command(pid).startswith(b"sleep\0")]
        daemon.kill()
        starting.join()
        for pid in hanging:
            os.kill(pid, signal.SIGKILL)
        daemon.start()
        assert state(api, "half")["Status"] == "created"
        eventually(lambda: not [line for line in daemon.holdings().processes if "conmon" in line])


def _start_and_lose(api: Api) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        api("POST", "/containers/half/start")


def _children(pid: int) -> list[int]:
    return [
        int(child)
        for thread in os.listdir(f"/proc/{pid}/task")
        for child in open(f"/proc/{pid}/task/{thread}/children").read().split()
    ]


def _command(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()
