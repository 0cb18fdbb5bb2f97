"""The programs that Corten stands on: their versions and what is known to be wrong with old ones."""

import re
import subprocess
from functools import lru_cache

from corten.model.system import RuntimeInfo

TIMEOUT = 5.0
_NUMBER = re.compile(r"\d+(?:\.\d+)+\S*")

FLOORS = {
    "crun": ((1, 30), "CVE-2026-88264 and CVE-2026-88265"),
    "runc": ((1, 3, 6), "CVE-2026-41579"),
}
"""Programs with known holes below a version: what the newer version closes."""


@lru_cache(maxsize=64)
def version_of(path: str) -> str:
    """The version that *path* ``--version`` prints; "" when it cannot be run or prints none. Asked once per daemon."""
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = _NUMBER.search(done.stdout.decode("utf-8", "replace"))
    return found.group().rstrip(",") if found else ""


def weakness(name: str, runtime: RuntimeInfo) -> str:
    """A warning when *runtime* is older than the fixes of known holes; "" otherwise."""
    floor = FLOORS.get(name)
    if floor is None or not runtime.version:
        return ""
    numbers = tuple(int(part) for part in re.findall(r"\d+", runtime.version)[:3])
    if numbers >= floor[0]:
        return ""
    wanted = ".".join(map(str, floor[0]))
    return f"WARNING: {name} {runtime.version} is older than {wanted} and lacks the fixes of {floor[1]}"
