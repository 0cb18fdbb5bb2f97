"""``python -m tests.guest [PYTEST ARGUMENTS]``: tests in the guest. ``--shell COMMAND`` runs a command there instead.

Exit code: that of pytest or of the command; 0 with a word why where this machine cannot have a guest.
"""

import os
import shlex
import sys

from tests.guest import image, machine
from tests.support.daemon import REPOSITORY

CHOSEN = (
    *(
        "tests/guest",
        "tests/system/test_cgroup_v2.py",
        "tests/system/test_outlive.py",
        "tests/system/test_snapshots.py",
    ),
    *("tests/conformance/test_limits.py", "tests/conformance/test_attach.py", "tests/conformance/test_ports.py"),
    *("tests/unit/test_cgroup.py", "tests/unit/test_stats.py"),
)
"""What depends on control groups, on systemd and on an older kernel than developers have."""


def main(arguments: list[str]) -> int:
    if reason := image.missing():
        print(f"skipped: {reason}")
        return 0
    if arguments[:1] == ["--shell"]:
        return machine.run(" ".join(arguments[1:]))
    os.makedirs(f"{REPOSITORY}/build", exist_ok=True)
    return machine.run(f"{machine.PYTEST} {shlex.join(arguments or CHOSEN)}", report=f"{REPOSITORY}/build/tests-v2.xml")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
