"""Children that nobody waits for must not keep a container's pid namespace alive."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

SCRIPT = """
import ctypes, os, time
from corten.runtime.orphans import Orphans
libc = ctypes.CDLL(None, use_errno=True)
mine = os.open("/proc/self/ns/pid", os.O_RDONLY)

def fork(seconds):
    pid = os.fork()
    if pid == 0:
        time.sleep(seconds)
        os._exit(0)
    return pid

def gone(pid):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not os.path.exists(f"/proc/{pid}"):
            return True
        time.sleep(0.01)
    return False

assert libc.unshare(0x20000000) == 0, "CLONE_NEWPID"
init = fork(60)
dying, claimed = fork(0.3), fork(0.1)
assert libc.setns(mine, 0) == 0
own = fork(0.1)
book = Orphans()
book.claim(claimed)
book.sweep_after_failure()
assert gone(dying), "the process that died after the first sweep is still there"
time.sleep(0.05)
assert open(f"/proc/{claimed}/stat").read().split()[2] == "Z", "a claimed process was reaped"
assert open(f"/proc/{own}/stat").read().split()[2] == "Z", "a child of our own namespace was reaped"
assert os.path.exists(f"/proc/{init}"), "the namespace's init must live"
assert not book._suspects()
os.kill(init, 9)
print("done")
"""


def test_an_orphan_that_dies_late_is_reaped():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
