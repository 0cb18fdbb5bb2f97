"""Many short lives: afterwards nothing is left and the daemon has not grown. `make soak` takes 10,000 cycles."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from tests.support import host
from tests.support.busybox import IMAGE
from tests.support.daemon import Daemon
from tests.support.http import Api, joined
from tests.support.stock import eventually

CYCLES = int(os.environ.get("CORTEN_SOAK_CYCLES", "20"))
CLIENTS = int(os.environ.get("CORTEN_SOAK_CLIENTS", "2"))
GROWTH = (8 << 20) + CYCLES * 512
"""Bytes of private memory that the daemon may gain for heaps and caches; a record kept per container would be more."""
DATABASE_GROWTH = 2 << 20
THREADS = 100
"""More than all pools together; a thread left by each life would be many more."""


def cycle(api: Api, number: int) -> None:
    """Create, start, exec, stop, remove; with a port, a volume and limits."""
    body = {
        "Image": IMAGE,
        "Cmd": ["sleep", "600"],
        "HostConfig": {
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "Binds": ["/anonymous" if number % 2 else "soak:/data"],
            "Memory": 64 << 20,
        },
    }
    if number % 2:
        body["Volumes"] = {"/anonymous": {}}
        del body["HostConfig"]["Binds"]
    created = api("POST", "/containers/create", body)
    assert created.status == 201, created.body
    identifier = created.json()["Id"]
    assert api("POST", f"/containers/{identifier}/start").status == 204
    execution = api("POST", f"/containers/{identifier}/exec", {"Cmd": ["echo", str(number)], "AttachStdout": True})
    sock, _, data = api.hijack(f"/exec/{execution.json()['Id']}/start", {"Detach": False})
    while chunk := sock.recv(65536):
        data += chunk
    sock.close()
    assert joined(data) == f"{number}\n".encode()
    assert api("POST", f"/containers/{identifier}/stop", query={"t": 0}).status == 204
    assert api("DELETE", f"/containers/{identifier}", query={"v": 1}).status == 204


def private_memory(pid: int) -> int:
    lines = host.read_bytes(f"/proc/{pid}/smaps_rollup").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith((b"Private_Clean:", b"Private_Dirty:")))


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def namespaces() -> set[str]:
    """Network namespaces of all processes and below /run/netns and the like, by inode."""
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                found.add(os.readlink(f"/proc/{entry}/ns/net"))
            except OSError:
                continue
    return found


@pytest.fixture
def warm(daemon: Daemon, image: str) -> Iterator[Daemon]:
    """The daemon after some cycles: caches are filled, pools have their threads and those their heaps."""
    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        list(pool.map(lambda number: cycle(daemon.api, number), range(25)))
    yield daemon
    daemon.api("DELETE", "/volumes/soak")


def threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def database(daemon: Daemon) -> int:
    """Bytes of the records and their log."""
    paths = (f"{daemon.data_root}/state.db{suffix}" for suffix in ("", "-wal"))
    return sum(os.path.getsize(path) for path in paths if os.path.exists(path))


def entries(daemon: Daemon) -> set[str]:
    """What is in the directories that hold something for each container."""
    places = [f"{daemon.data_root}/{name}" for name in ("containers", "snapshots/active", "snapshots/trash", "volumes")]
    places += [f"{daemon.exec_root}/{name}" for name in ("run", "netns", "runtime/crun", "runtime/runc")]
    return {f"{place}/{name}" for place in places if os.path.isdir(place) for name in os.listdir(place)}


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_nothing_is_left_after_many_lives(warm: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    before, there = warm.holdings(), entries(warm)
    files, memory, records = descriptors(warm.pid), private_memory(warm.pid), database(warm)
    numbers, tenth = count(1), max(1, CYCLES // 10)

    def live(number: int) -> None:
        cycle(warm.api, number)
        if (done := next(numbers)) % tenth == 0 and CYCLES >= 1000:
            grown = (private_memory(warm.pid) - memory) / (1 << 20)
            with capsys.disabled():
                print(f"\n{done} cycles: {grown:+.1f} MiB, {descriptors(warm.pid)} descriptors", end="", flush=True)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(live, range(CYCLES)))
    eventually(lambda: not warm.holdings() - before, what="the host's state of before")
    eventually(lambda: not entries(warm) - there - {f"{warm.data_root}/volumes/soak"}, what="the directories of before")
    eventually(lambda: descriptors(warm.pid) <= files + 2, what="the number of open files of before")
    assert threads(warm.pid) < THREADS
    grown = private_memory(warm.pid) - memory
    assert grown < GROWTH, f"{grown} bytes more after {CYCLES} cycles"
    assert database(warm) - records < DATABASE_GROWTH
    volumes = warm.api("GET", "/volumes").json()["Volumes"] or []
    assert {volume["Name"] for volume in volumes} <= {"soak"}


@pytest.mark.soak
def test_failed_starts_leave_nothing(warm: Daemon) -> None:
    before = warm.holdings()
    for _ in range(max(5, CYCLES // 10)):
        created = warm.api("POST", "/containers/create", {"Image": IMAGE, "Cmd": ["no-such-program"]}).json()
        assert warm.api("POST", f"/containers/{created['Id']}/start").status == 400
        assert warm.api("DELETE", f"/containers/{created['Id']}").status == 204
    eventually(lambda: not warm.holdings() - before, what="the host's state of before")
