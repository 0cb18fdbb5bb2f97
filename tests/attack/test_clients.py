"""Section E, clients that hold on: floods without a reader, idle and slow connections, bytes after a hijack."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.attack.hostile import SOAK, forget_peak, peak
from tests.support.busybox import IMAGE
from tests.support.daemon import Daemon
from tests.support.http import Api
from tests.support.stock import Docker, eventually

MANY = 9000 if SOAK else 2000
"""Connections at once; each is a descriptor here and one in the daemon."""


@pytest.fixture(autouse=True)
def tidy(clean: Daemon, image: str) -> None:
    """Containers go after each test; the image is there before."""


def private_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_")) * 1024


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


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


def insist(sock: socket.socket, daemon: Daemon) -> None:
    """Connect, also when the queue of connections to accept is full for a moment."""
    deadline = time.monotonic() + 20
    while True:
        try:
            sock.connect(daemon.socket)
        except BlockingIOError:
            assert time.monotonic() < deadline, "nobody accepts"
            time.sleep(0.01)
            continue
        return


@contextmanager
def clients(daemon: Daemon, count: int, data: bytes) -> Iterator[list[socket.socket]]:
    """So many connections that have each sent *data*. Skips where this process may not open so many."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + 500:
        pytest.skip(f"needs {count} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 500), hard))
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.settimeout(20)
            insist(sock, daemon)
            sock.sendall(data)
            found.append(sock)
        yield found


HOLDING = {
    "nothing": b"",
    "half a head": b"GET /_ping HTT",
    "half a body": b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b'Content-Length: 100000\r\n\r\n{"Image": "',
    "half a chunk": b"POST /images/load HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\nx",
    "events": b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n",
    "attach": b"POST /containers/box/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "wait": b"POST /containers/box/wait HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("what", list(HOLDING))
def test_thousands_that_hold_on(api: Api, docker: Docker, daemon: Daemon, what: str) -> None:
    """Slow-loris and idle streams, 2,000 of a kind (9,000 in a long run): little memory for each, others are served.

    Loads hold files and threads each, so there are fewer of these.
    """
    docker("run", "-d", "--name", "box", IMAGE, "sleep", "600")
    count = MANY // 20 if what == "half a chunk" else MANY
    before, opened = forget_peak(daemon.pid), descriptors(daemon.pid)
    with clients(daemon, count, HOLDING[what]) as held:
        eventually(lambda: descriptors(daemon.pid) >= opened + count - 50, timeout=60, what="all connections")
        for sock in held[:50]:
            if what in ("nothing", "half a head"):
                sock.sendall(b"P" if what == "half a head" else b"G")
        assert docker("exec", "box", "echo", "alive") == "alive"
        assert api("GET", "/containers/json").status == 200
        assert peak(daemon.pid) - before < count * (96 << 10) + (32 << 20)
    eventually(lambda: descriptors(daemon.pid) <= opened + 50, timeout=60, what="the end of the connections")
    assert api("GET", "/info").json()["NEventsListener"] == 0


def test_health_check_that_prints_without_end(api: Api, docker: Docker, daemon: Daemon) -> None:
    """CVE-2022-1708: a probe that prints gigabytes. What is kept of it is 4 KiB, and memory does not grow."""
    before = forget_peak(daemon.pid)
    options = ("--health-cmd", "yes & sleep 2; kill $!; false", "--health-interval", "1s", "--health-retries", "1")
    docker("run", "-d", "--name", "box", *options, IMAGE, "sleep", "600")
    state = lambda: api("GET", "/containers/box/json").json()["State"]["Health"]  # noqa: E731
    eventually(lambda: state()["Log"], timeout=20, what="a health result")
    assert all(len(each["Output"]) <= 4096 + 3 for each in state()["Log"])
    assert peak(daemon.pid) - before < 48 << 20
    docker("rm", "-f", "box")


def test_exec_whose_output_nobody_takes_is_the_containers(api: Api, docker: Docker, daemon: Daemon) -> None:
    """CVE-2022-1708: a detached exec that prints without end. Nothing of it is stored on the host's disk."""
    docker("run", "-d", "--name", "box", IMAGE, "sleep", "600")
    before = forget_peak(daemon.pid)
    docker("exec", "-d", "box", "yes")

    def stored() -> int:
        return sum(
            os.stat(os.path.join(top, name)).st_blocks * 512
            for folder in (daemon.data_root, daemon.exec_root)
            for top, _, names in os.walk(folder)
            for name in names
            if "snapshots" not in top and "content" not in top and os.path.isfile(os.path.join(top, name))
        )

    size = stored()
    time.sleep(1.5)
    assert stored() - size < 8 << 20
    assert peak(daemon.pid) - before < 32 << 20
    docker("rm", "-f", "box")
