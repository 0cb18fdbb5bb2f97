"""Programs and libraries that Corten starts or loads, and the versions below which known holes are open."""

from __future__ import annotations

import ctypes.util
import os
import re
import shutil
import subprocess

from corten.cli.doctor.finding import ADVICE, OK, PROBLEM, Finding

FLOORS = {
    "crun": ((1, 30), "CVE-2026-88264 and CVE-2026-88265 (links at /dev/console and /dev/null in an image)"),
    "runc": ((1, 3, 6), "escapes through /proc and masked paths that were closed in the 1.2 and 1.3 series"),
    "conmon": ((2, 1, 2), "CVE-2022-1708 (unbounded output of exec)"),
}
"""Program -> first version without the named holes. Older ones work; this is advice."""
INIT_PROGRAMS = ("docker-init", "tini", "catatonit")
SEARCHED = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/libexec/podman")


def findings() -> list[Finding]:
    return [runtime(), program("conmon", "conmon"), init(), nftables(), *([second_runtime()] if find("runc") else [])]


def find(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *SEARCHED]))


def runtime() -> Finding:
    if find("crun"):
        return program("crun", "crun")
    if find("runc"):
        return Finding("crun", ADVICE, "not installed; runc is", "apt install crun: it starts containers faster.")
    return Finding("crun", PROBLEM, "no OCI runtime is installed", "apt install crun")


def second_runtime() -> Finding:
    return program("runc", "runc")


def program(name: str, package: str) -> Finding:
    path = find(name)
    if path is None:
        return Finding(name, PROBLEM, "not installed", f"apt install {package}")
    found = version_of(path)
    shown = ".".join(map(str, found)) or "of unknown version"
    floor, holes = FLOORS[name]
    if found and found < floor:
        wanted = ".".join(map(str, floor))
        return Finding(
            name, ADVICE, f"{shown} is older than {wanted}", f"Known in older ones: {holes}. Upgrade when you can."
        )
    return Finding(name, OK, shown)


def version_of(path: str) -> tuple[int, ...]:
    """The first dotted number that ``--version`` prints, () when there is none."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"(\d+(?:\.\d+)+)", done.stdout)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def init() -> Finding:
    """``--init`` needs a small init program."""
    for name in INIT_PROGRAMS:
        if find(name):
            return Finding("init program", OK, name)
    return Finding("init program", ADVICE, "none: run --init will be refused", "apt install catatonit")


def nftables() -> Finding:
    name = ctypes.util.find_library("nftables") or "libnftables.so.1"
    try:
        ctypes.CDLL(name)
    except OSError:
        return Finding("libnftables", PROBLEM, "not installed: no published ports, no NAT", "apt install libnftables1")
    return Finding("libnftables", OK, name)
