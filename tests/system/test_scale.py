"""Many containers at once: all run, are listed, outlive their daemon, and go. `make soak` takes 1,000, with figures."""

import os
import secrets
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.support import host
from tests.support.busybox import IMAGE
from tests.support.cortencli import Corten
from tests.support.daemon import Daemon
from tests.support.http import Api, UnixConnection
from tests.support.stock import Docker, eventually
from tests.system.test_soak import descriptors, entries, private_memory

RUNNING = int(os.environ.get("CORTEN_SOAK_RUNNING", "16"))
TELL = RUNNING >= 100
CLIENTS = 4
EACH = 3
"""Descriptors of the daemon for a running container with a port: its two processes and the port."""
MIB = 1 << 20

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon whose network has room for them: a bridge has 1,023 ports at most."""
    if os.geteuid() != 0:
        pytest.skip("a daemon needs root")
    made = Daemon()
    made.address, made.prefix = f"10.{100 + secrets.randbelow(50)}.{16 * secrets.randbelow(16)}.1", 20
    try:
        yield made.start()
    finally:
        leaks = made.close()
    assert not leaks, f"left on the host: {leaks}"


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints a figure of a long run."""

    def line(text: str) -> None:
        if TELL:
            with capsys.disabled():
                print(f"\n{text}", end="", flush=True)

    return line


def at_once(work: Callable[[int], object]) -> list[object]:
    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(work, range(RUNNING)))


def milliseconds(work: Callable[[], object], times: int = 9) -> float:
    """The median."""
    taken = []
    for _ in range(times if TELL else 1):
        begun = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)


def states(api: Api) -> dict[str, str]:
    return {each["Names"][0]: each["State"] for each in api("GET", "/containers/json", query={"all": 1}).json()}


def pids(api: Api) -> list[int]:
    return [api("GET", f"/containers/many{number}/json").json()["State"]["Pid"] for number in range(0, RUNNING, 7)]


def test_many_at_once(daemon: Daemon, docker: Docker, image: str, tell: Callable[[str], None]) -> None:
    api = daemon.api
    before, there = daemon.holdings(), entries(daemon)
    files, memory = descriptors(daemon.pid), private_memory(daemon.pid)

    def start(number: int) -> None:
        ports = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}
        host_config = {"PortBindings": ports, "RestartPolicy": {"Name": "always"}}
        body = {"Image": IMAGE, "Cmd": ["sleep", "86400"], "HostConfig": host_config}
        made = api("POST", "/containers/create", body, query={"name": f"many{number}"})
        assert made.status == 201, made.body
        answer = api("POST", f"/containers/many{number}/start")
        assert answer.status == 204, answer.body

    begun = time.perf_counter()
    at_once(start)
    tell(f"{RUNNING} created and started in {time.perf_counter() - begun:.1f} s, by {CLIENTS} clients")
    wanted = {f"/many{number}": "running" for number in range(RUNNING)}
    assert states(api) == wanted
    assert descriptors(daemon.pid) <= files + EACH * RUNNING + 10
    monitors = [int(line.split()[0]) for line in host.processes_naming(daemon.base) if "conmon" in line]
    assert len(monitors) == RUNNING
    of_daemon = (private_memory(daemon.pid) - memory) / RUNNING / 1024
    tell(f"memory for each: daemon {of_daemon:.0f} KiB, monitor {private_memory(monitors[0]) / 1024:.0f} KiB")
    look(daemon, docker, tell)

    running = pids(api)
    for end in (daemon.stop, daemon.kill):
        end()
        begun = time.perf_counter()
        daemon.start()
        tell(f"ready again with {RUNNING} running after {time.perf_counter() - begun:.2f} s ({end.__name__})")
        assert states(api) == wanted
        assert pids(api) == running
    assert docker("exec", f"many{RUNNING - 1}", "echo", "hi") == "hi"
    taken = {each["Ports"][0]["PublicPort"] for each in api("GET", "/containers/json").json()}
    assert len(taken) == RUNNING, "a port was given twice"
    busy(daemon, tell)

    begun = time.perf_counter()
    removed = at_once(lambda number: api("DELETE", f"/containers/many{number}", query={"force": 1}).status)
    tell(f"{RUNNING} removed in {time.perf_counter() - begun:.1f} s")
    assert set(removed) == {204}
    eventually(lambda: not left(daemon, before), timeout=60, what="the host's state of before")
    eventually(lambda: entries(daemon) <= there, timeout=60, what="the directories of before")
    eventually(lambda: descriptors(daemon.pid) <= files + 4, what="the open files of before")
    more = (private_memory(daemon.pid) - memory) / MIB
    tell(f"afterwards {more:+.1f} MiB, {descriptors(daemon.pid)} descriptors\n")
    assert more < 16 + RUNNING / 64


def left(daemon: Daemon, before: host.Holdings) -> list[object]:
    more = daemon.holdings() - before
    processes = [line for line in more.pop("processes", []) if not line.startswith(f"{daemon.pid} ")]
    return [*more.values(), *processes]


def look(daemon: Daemon, docker: Docker, tell: Callable[[str], None]) -> None:
    with closing(UnixConnection(daemon.socket, 60)) as connection:

        def listed() -> None:
            data = Api.send(connection, "GET", "/containers/json", None, None, None).read()
            assert data.count(b'"Id":') == RUNNING

        tell(f"list: first {milliseconds(listed, 1):.1f} ms, then {milliseconds(listed):.1f} ms")
    own = Corten(daemon.url)
    try:
        assert len(own("ps").splitlines()) == len(docker("ps").splitlines()) == RUNNING + 1
        tell(
            f"docker ps {milliseconds(lambda: docker('ps')):.0f} ms, corten ps {milliseconds(lambda: own('ps')):.0f} ms"
        )
    finally:
        own.close()


def busy(daemon: Daemon, tell: Callable[[str], None]) -> None:
    """How much the daemon does when nobody asks for anything."""
    if TELL:
        before = ticks(daemon.pid)
        time.sleep(10)
        tell(f"idle: {(ticks(daemon.pid) - before) / os.sysconf('SC_CLK_TCK') * 10:.1f} % of a processor")


def ticks(pid: int) -> int:
    fields = host.read_bytes(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return int(fields[11]) + int(fields[12])
