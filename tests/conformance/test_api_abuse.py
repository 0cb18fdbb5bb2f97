"""Hostile and careless clients: bad names, floods without a reader, many idle connections, bytes after a hijack."""

import os
import socket
import time

import pytest

from tests.support.busybox import IMAGE
from tests.support.daemon import Daemon
from tests.support.http import Api
from tests.support.stock import Docker, eventually


def private_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_")) * 1024


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize(
    "name", ["../up", "a/b", "a\0b", "a\nb", "\x1b[31mred", "a b", "-a", ".", "ä", "a" * 1_000_000], ids=range(10)
)
def test_names_of_containers(api: Api, name: str) -> None:
    if len(name) < 10_000:
        assert api("POST", "/containers/create", {"Image": IMAGE}, query={"name": name}).status == 400
    else:
        with pytest.raises((ConnectionError, AssertionError)):  # a head of that size is cut off
            assert api("POST", "/containers/create", {"Image": IMAGE}, query={"name": name}).status != 400
    assert api("GET", "/containers/json", query={"all": 1}).json() == []


@pytest.mark.parametrize("name", ["../up", "a/b", "a\0b", "a\nb", "\x1b[31mred", "ä"], ids=range(6))
def test_names_of_volumes(api: Api, name: str) -> None:
    assert api("POST", "/volumes/create", {"Name": name}).status == 400


def test_output_without_a_reader_costs_no_memory(api: Api, docker: Docker, daemon: Daemon) -> None:
    docker("run", "-d", "--name", "box", IMAGE, "sleep", "600")
    before = private_bytes(daemon.pid)
    created = api("POST", "/containers/box/exec", {"Cmd": ["yes"], "AttachStdout": True}).json()["Id"]
    sock, status, _ = api.hijack(f"/exec/{created}/start", {})
    with sock:
        assert status == 101
        time.sleep(1.5)
        assert private_bytes(daemon.pid) - before < 16 << 20
        assert api("GET", "/containers/box/json").status == 200
    docker("rm", "-f", "box")


def test_input_that_nobody_reads_costs_no_memory(api: Api, docker: Docker, daemon: Daemon) -> None:
    docker("run", "-d", "-i", "--name", "box", IMAGE, "sleep", "600")
    before = private_bytes(daemon.pid)
    sock, _, _ = api.hijack("/containers/box/attach?stream=1&stdin=1")
    with sock:
        sock.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 256 << 20:
                sent += sock.send(b"x" * 65536)
        assert private_bytes(daemon.pid) - before < 16 << 20
    docker("rm", "-f", "box")


def test_many_idle_clients(api: Api, docker: Docker, daemon: Daemon) -> None:
    docker("run", "-d", "-i", "--name", "box", IMAGE, "sleep", "600")
    before, opened = private_bytes(daemon.pid), descriptors(daemon.pid)
    clients: list[socket.socket] = []
    try:
        for index in range(300):
            if index % 3:
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(daemon.socket)
                sock.sendall(b"GET /_ping HT" if index % 3 == 1 else b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            else:
                sock, status, _ = api.hijack("/containers/box/attach?stream=1&stdout=1")
                assert status == 101
            clients.append(sock)
        assert private_bytes(daemon.pid) - before < 30 << 20
        assert docker("exec", "box", "echo", "alive") == "alive"
    finally:
        for sock in clients:
            sock.close()
    eventually(lambda: descriptors(daemon.pid) <= opened + 10, what="the end of the attached streams")
    docker("rm", "-f", "box")
    eventually(lambda: api("GET", "/info").json()["NEventsListener"] == 0, what="the end of the subscriptions")


def test_bytes_after_the_hijack_are_input(api: Api, docker: Docker, daemon: Daemon) -> None:
    docker("run", "-d", "-i", "--name", "box", IMAGE, "cat")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(daemon.socket)
        smuggled = b"DELETE /containers/box?force=1 HTTP/1.1\r\nHost: x\r\n\r\n"
        sock.sendall(b"POST /containers/box/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled)
        data = b""
        while smuggled not in data:
            chunk = sock.recv(4096)
            assert chunk, data
            data += chunk
    assert docker("inspect", "-f", "{{.State.Running}}", "box") == "true"
    docker("rm", "-f", "box")
