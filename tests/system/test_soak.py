"""Many short lives: afterwards nothing is left and the daemon has not grown. `make soak` takes 1,000 cycles."""

import os
from collections.abc import Iterator

import pytest

from tests.support import host
from tests.support.busybox import IMAGE
from tests.support.daemon import Daemon
from tests.support.http import Api, joined
from tests.support.stock import eventually

CYCLES = int(os.environ.get("CORTEN_SOAK_CYCLES", "20"))
GROWTH = (4 << 20) + CYCLES * 512
"""Bytes of private memory that the daemon may gain for heaps and caches; a record kept per container would be more."""


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
    for number in range(25):
        cycle(daemon.api, number)
    yield daemon
    daemon.api("DELETE", "/volumes/soak")


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_nothing_is_left_after_many_lives(warm: Daemon) -> None:
    before = warm.holdings()
    files, memory = descriptors(warm.pid), private_memory(warm.pid)
    for number in range(CYCLES):
        cycle(warm.api, number)
    eventually(lambda: not warm.holdings() - before, what="the host's state of before")
    eventually(lambda: descriptors(warm.pid) <= files + 2, what="the number of open files of before")
    grown = private_memory(warm.pid) - memory
    assert grown < GROWTH, f"{grown} bytes more after {CYCLES} cycles"
    volumes = warm.api("GET", "/volumes").json()["Volumes"] or []
    assert {volume["Name"] for volume in volumes} <= {"soak"}
    for folder in ("containers", "snapshots"):
        path = os.path.join(warm.data_root, folder)
        assert not [name for name in os.listdir(path) if len(name) == 64], folder


@pytest.mark.soak
def test_failed_starts_leave_nothing(warm: Daemon) -> None:
    before = warm.holdings()
    for _ in range(max(5, CYCLES // 10)):
        created = warm.api("POST", "/containers/create", {"Image": IMAGE, "Cmd": ["no-such-program"]}).json()
        assert warm.api("POST", f"/containers/{created['Id']}/start").status == 400
        assert warm.api("DELETE", f"/containers/{created['Id']}").status == 204
    eventually(lambda: not warm.holdings() - before, what="the host's state of before")
