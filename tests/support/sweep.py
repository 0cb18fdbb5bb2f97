"""``python -m tests.support.sweep DIRECTORY ADDRESS``: take away what a private daemon kept below DIRECTORY.

Its bridge (the one that carries ADDRESS) and firewall table stay when a daemon ends, for containers that outlive it;
when the daemon was a private one for a test or a demonstration, nobody will come back for them.
"""

import os
import shutil
import signal
import subprocess
import sys

from tests.support import host


def sweep(base: str, address: str) -> None:
    for line in host.processes_naming(base):
        pid = int(line.split()[0])
        if pid != os.getppid():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    for mount in sorted(host.mounts_below(base), reverse=True):
        subprocess.run(["umount", "-l", mount], check=False, capture_output=True)
    host.remove_network(address)
    shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    sweep(sys.argv[1], sys.argv[2])
