"""Clients that go away in the middle, monitors that are killed: nothing is left half made, nothing is left behind."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time

from tests.support.busybox import IMAGE
from tests.support.daemon import Daemon
from tests.support.http import Api
from tests.support.stock import Docker, eventually


def send_and_vanish(daemon: Daemon, target: str, body: object, after: float) -> None:
    """Send a POST and close the connection *after* seconds, without reading an answer."""
    data = json.dumps(body).encode()
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(daemon.socket)
        connection.sendall(head.encode() + data)
        time.sleep(after)


def zombies(daemon: Daemon) -> list[str]:
    found = subprocess.run(["ps", "-o", "stat=,comm=", "--ppid", str(daemon.pid)], capture_output=True, text=True)
    return [line for line in found.stdout.splitlines() if line.startswith("Z")]


def test_a_start_whose_client_goes_runs_to_its_end(clean: Daemon, docker: Docker, api: Api, image: str) -> None:
    for number in range(8):
        name = f"gone{number}"
        docker("create", "--name", name, IMAGE, "sleep", "600")
        send_and_vanish(clean, f"/containers/{name}/start", {}, number * 0.003)
        eventually(lambda name=name: api("GET", f"/containers/{name}/json").json()["State"]["Running"])
        pid = api("GET", f"/containers/{name}/json").json()["State"]["Pid"]
        assert os.path.exists(f"/proc/{pid}")
        docker("rm", "-f", name)
        assert not os.path.exists(f"/proc/{pid}")


def test_an_exec_whose_client_goes_leaves_no_zombie(clean: Daemon, docker: Docker, api: Api, image: str) -> None:
    docker("run", "-d", "--name", "box", IMAGE, "sleep", "600")
    for number in range(10):
        body = {"Cmd": ["sh", "-c", "sleep 0.05; echo x"], "AttachStdout": True}
        exec_id = api("POST", "/containers/box/exec", body).json()["Id"]
        send_and_vanish(clean, f"/exec/{exec_id}/start", {"Detach": False}, number * 0.001)
    eventually(lambda: not zombies(clean) and "echo x" not in docker("top", "box"))
    docker("rm", "-f", "box")


def test_a_health_probe_that_is_cut_off_leaves_no_zombie(clean: Daemon, docker: Docker, image: str) -> None:
    options = ("--health-cmd", "sleep 0.2", "--health-interval", "50ms")
    for number in range(4):
        docker("run", "-d", "--name", "probed", *options, IMAGE, "sleep", "600")
        time.sleep(0.05 + number * 0.03)
        docker("rm", "-f", "probed")
    eventually(lambda: not zombies(clean))


def test_a_killed_monitor_ends_its_container_and_nothing_stays(
    clean: Daemon, docker: Docker, api: Api, image: str
) -> None:
    identifier = docker("run", "-d", "--name", "orphan", IMAGE, "sleep", "600")
    pid = api("GET", "/containers/orphan/json").json()["State"]["Pid"]
    monitors = subprocess.run(["pgrep", "-f", f"conmon.*{identifier}"], capture_output=True, text=True).stdout.split()
    for monitor in monitors:
        with contextlib.suppress(ProcessLookupError):  # pgrep sees itself through some shells
            os.kill(int(monitor), signal.SIGKILL)
    assert docker("wait", "orphan") == "137"
    eventually(lambda: not os.path.exists(f"/proc/{pid}") and not zombies(clean))
    docker("start", "orphan")
    docker("rm", "-f", "orphan")


def test_a_port_is_free_when_stop_or_wait_returns(clean: Daemon, docker: Docker, image: str) -> None:
    for number in range(6):
        docker("run", "-d", "--name", f"p{number}", "-p", "18765:80", IMAGE, "sleep", "600")
        docker("stop", "-t", "0", f"p{number}")
    for number in range(6):
        docker("rm", f"p{number}")


def test_attached_start_of_an_ended_container(clean: Daemon, docker: Docker, image: str) -> None:
    docker("create", "-i", "--name", "again", IMAGE, "cat")
    for word in (b"first", b"second"):
        assert docker("start", "-a", "-i", "again", stdin=word) == word.decode()
    docker("rm", "again")
