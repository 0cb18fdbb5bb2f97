"""Hostile images, bodies and races."""

import ctypes
import io
import os
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.support import busybox
from tests.support.http import Api

SOAK = os.environ.get("CORTEN_SOAK", "") not in ("", "0")
RACE_SECONDS = float(os.environ.get("CORTEN_RACE_SECONDS", "2"))
RENAME_EXCHANGE = 2


def fingerprint(folder: str) -> list[tuple[str, int, int, int, int]]:
    """Names, modes, owners and sizes of everything below *folder*."""
    found = []
    for top, folders, files in os.walk(folder):
        for name in [".", *folders, *files]:
            path = os.path.join(top, name)
            stat = os.lstat(path)
            found.append((path, stat.st_mode, stat.st_uid, stat.st_gid, stat.st_size))
    return sorted(found)


def tree(*links: tuple[str, str], files: dict[str, bytes] | None = None, gone: tuple[str, ...] = ()) -> bytes:
    """busybox's root file system with links (name, target) and *files* in place of what is there, less *gone*."""
    taken = {name for name, _ in links} | set(files or {}) | set(gone)
    buffer = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(busybox.rootfs_tar())) as source,
        tarfile.open(fileobj=buffer, mode="w") as tar,
    ):
        for entry in source:
            if entry.name not in taken:
                tar.addfile(entry, source.extractfile(entry) if entry.isfile() else None)
        for name, target in links:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
        for name, data in (files or {}).items():
            busybox.add(tar, name, data, 0o755)
    return buffer.getvalue()


def make(api: Api, name: str, data: bytes, **query: object) -> None:
    """Import *data* as the image *name*."""
    answer = api("POST", "/images/create", data, query={"fromSrc": "-", "repo": name, **query})
    assert answer.status == 200, answer.body
    assert b"error" not in answer.body, answer.body


def climb(path: str) -> str:
    """*path* as a relative name that leads there from anywhere."""
    return "../" * 12 + path.lstrip("/")


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak(pid: int) -> int:
    """The most bytes that a process has held so far."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024


def forget_peak(pid: int) -> int:
    """Start ``peak`` anew; gives what is held now."""
    with open(f"/proc/{pid}/clear_refs", "w") as file:
        file.write("5")
    return peak(pid)


@contextmanager
def swapping(first: str, second: str) -> Iterator[list[int]]:
    """Exchange two names of the host for each other, without a pause; gives the count.

    What a container with a small C program can do to a directory that it shares, only faster.
    """
    rename = ctypes.CDLL(None, use_errno=True).renameat2
    stop = threading.Event()
    count = [0]

    def body() -> None:
        while not stop.is_set():
            if rename(-100, first.encode(), -100, second.encode(), RENAME_EXCHANGE) == 0:
                count[0] += 1

    thread = threading.Thread(target=body)
    thread.start()
    try:
        yield count
    finally:
        stop.set()
        thread.join()


def rounds(work: Callable[[], None], soak: int = 0, seconds: float = RACE_SECONDS, least: int = 4) -> int:
    """Repeat *work* for some seconds and *least* times, *soak* times in a long run; gives how often."""
    count, end = 0, time.monotonic() + seconds
    while count < soak if SOAK and soak else count < least or time.monotonic() < end:
        work()
        count += 1
    return count
