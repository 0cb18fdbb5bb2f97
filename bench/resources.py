"""Figures of the daemon itself: private memory, idle and per container, and how soon it is ready with much in store."""

import os
import subprocess
import time

from bench import images
from bench.engines import Engine
from bench.group import Figure, Group, lap, under
from tests.support import host

CONTAINERS = 20
MIB = 1 << 20


def family(engine: Engine) -> set[int]:
    """The daemon, its descendants and what names its directories, without the containers' own processes."""
    parents = {int(name): parent(name) for name in os.listdir("/proc") if name.isdigit()}
    found = {engine.pid} | {int(line.split()[0]) for line in host.processes_naming(engine.base)}
    grown = True
    while grown:
        more = {pid for pid, above in parents.items() if above in found and not contained(pid)} - found
        found |= more
        grown = bool(more)
    return found


def parent(pid: str) -> int:
    text = host.read_bytes(f"/proc/{pid}/stat")
    return int(text.rpartition(b")")[2].split()[1]) if text else 0


def contained(pid: int) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
    except (FileNotFoundError, ProcessLookupError):
        return True


def private(engine: Engine) -> float:
    """MiB of memory that would be free if the engine were not there."""
    total = 0
    for pid in family(engine):
        for line in host.read_bytes(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith((b"Private_Clean:", b"Private_Dirty:")):
                total += int(line.split()[1]) * 1024
    return total / MIB


def memory(engine: Engine) -> list[float]:
    engine.restart()
    time.sleep(1)
    idle = private(engine)
    for _ in range(CONTAINERS):
        engine.docker("run", "-d", "-p", "80", "busybox:latest", "sleep", "3600")
    time.sleep(1)
    each = (private(engine) - idle) / CONTAINERS
    engine.settle()
    return [idle, each]


def fill(engine: Engine) -> None:
    for number in range(1000):
        query = {"fromSrc": "-", "repo": f"tiny{number}", "changes": "CMD x"}
        answer = engine.api("POST", "/images/create", images.tiny(number), query=query)
        assert answer.status == 200, answer.body
    for number in range(200):
        assert engine.api("POST", "/containers/create", {"Image": f"tiny{number}"}).status == 201


def ready(engine: Engine) -> list[float]:
    engine.stop()
    with lap() as taken:
        engine.start()
    return [taken.seconds]


def empty(engine: Engine) -> None:
    engine.remove_containers()
    subprocess.run(
        "docker rmi -f $(docker images -q | sort -u) >/dev/null && docker load -q -i $0 >/dev/null",
        shell=True,
        env=engine.docker.environment,
        check=False,
    )


GROUPS = (
    Group(
        "memory",
        (
            Figure("private memory, idle", "-", "MiB", under(80, "MiB")),
            Figure("more for each container with one port", "-", "MiB", under(1, "MiB")),
        ),
        memory,
        repetitions=1,
        quick=1,
    ),
    Group(
        "ready",
        (Figure("ready with 1,000 images, 200 stopped containers", "-", "s", under(1, "s")),),
        ready,
        prepare=fill,
        repetitions=5,
        quick=2,
        engines=("cortend", "dockerd"),
    ),
)
