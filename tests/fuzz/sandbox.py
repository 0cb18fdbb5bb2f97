"""The namespaces of a session: no network but loopback, small file systems of its own, everything else read-only."""

import os
import subprocess
import sys

from tests.support.daemon import REPOSITORY

SIZE = "1200m"
WRITABLE = ("/proc", "/sys", "/dev", "/tmp", "/run")
MARK = "CORTEN_FUZZ_INSIDE"


def command(words: list[str]) -> list[str]:
    """The command that runs ``python -m tests.fuzz`` inside."""
    inside = [sys.executable, "-m", "tests.fuzz", *words]
    return ["unshare", "--mount", "--net", "--ipc", "--uts", "--propagation", "private", *inside]


def environment() -> dict[str, str]:
    return dict(os.environ, PYTHONPATH=REPOSITORY, PYTHONDONTWRITEBYTECODE="1", **{MARK: "1"})


def prepare() -> None:
    """Inside, before anything is started."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for place in ("/tmp", "/run"):
        if not REPOSITORY.startswith(place + "/") and not sys.prefix.startswith(place + "/"):
            mount("-t", "tmpfs", "-o", f"size={SIZE},mode=1777", "fuzz", place)
    with open("/proc/self/mountinfo") as file:
        places = [line.split()[4] for line in file]
    for place in places:
        if not any(place == top or place.startswith(top + "/") for top in WRITABLE):
            # what cannot be made read-only (a file system that vanished below another) stays as it is
            subprocess.run(["mount", "-o", "remount,bind,ro", place], check=False, capture_output=True)


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)
