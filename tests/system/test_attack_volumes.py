"""A hostile container that shares a volume swaps the place where another container's mount goes (CVE-2021-30465)."""

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.busybox import IMAGE
from tests.support.daemon import Daemon
from tests.support.stock import Docker

RENAME_EXCHANGE = 2
ROUND_SECONDS = float(os.environ.get("CORTEN_RACE_SECONDS", "2"))


@contextmanager
def swapping(first: str, second: str) -> Iterator[None]:
    """What a container with a small C program can do to a volume it shares, only faster."""
    rename = ctypes.CDLL(None).renameat2
    stop = threading.Event()

    def body() -> None:
        while not stop.is_set():
            rename(-100, first.encode(), -100, second.encode(), RENAME_EXCHANGE)

    thread = threading.Thread(target=body)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def rounds(work: Callable[[], None]) -> int:
    count, end = 0, time.monotonic() + ROUND_SECONDS
    while time.monotonic() < end:
        work()
        count += 1
    return count


def data_of(docker: Docker, volume: str) -> str:
    docker("volume", "create", volume)
    return docker("volume", "inspect", "-f", "{{.Mountpoint}}", volume)


def test_target_swapped_for_a_link_stays_inside(daemon: Daemon, docker: Docker, image: str, tmp_path: Path) -> None:
    (tmp_path / "host-marker").write_text("host")
    shared, other = data_of(docker, "shared"), data_of(docker, "other")
    os.mkdir(f"{shared}/place")
    os.symlink("../../../../../../../../..", f"{shared}/root")
    Path(other, "other-marker").write_text("other")
    look = f"test -e /s/place{tmp_path}/host-marker && echo HOST; test -e {tmp_path}/host-marker && echo HOST; true"

    def start() -> None:
        result = docker.result("run", "--rm", "-v", "shared:/s", "-v", "other:/s/place", IMAGE, "sh", "-c", look)
        assert "HOST" not in result.out
        assert other not in Path("/proc/self/mountinfo").read_text()

    with swapping(f"{shared}/place", f"{shared}/root"):
        assert rounds(start) > 3
    assert sorted(os.listdir(tmp_path)) == ["host-marker"]
    assert os.listdir(other) == ["other-marker"]
    assert daemon.answers()


def test_subpath_swapped_for_a_link_stays_inside(docker: Docker, image: str, tmp_path: Path) -> None:
    (tmp_path / "host-marker").write_text("host")
    shared = data_of(docker, "with-subpath")
    os.mkdir(f"{shared}/sub")
    os.symlink(f"../../../../../../../../../../{tmp_path}", f"{shared}/way")
    mount = "type=volume,source=with-subpath,target=/x,volume-subpath=sub"
    codes = set()

    def start() -> None:
        result = docker.result("run", "--rm", "--mount", mount, IMAGE, "ls", "-a", "/x")
        assert "host-marker" not in result.out
        codes.add(result.code)

    with swapping(f"{shared}/sub", f"{shared}/way"):
        assert rounds(start) > 3
    assert 0 in codes
