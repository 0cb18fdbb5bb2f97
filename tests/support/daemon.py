"""A private daemon for tests: own roots, socket, bridge and cgroup parent, so that several run on one host.

The environment variable ``CORTEN_TEST_DAEMON=dockerd`` runs the same tests against Debian's dockerd: the way to find
out whether a test is right.
"""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from tests.support import host
from tests.support.http import Api
from tests.support.stock import PATIENCE
from tests.support.sweep import sweep

KIND = os.environ.get("CORTEN_TEST_DAEMON", "cortend")
REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Daemon:
    """Start with :meth:`start`; :meth:`close` stops it, removes what it keeps on purpose and returns what it leaked."""

    def __init__(self, kind: str = KIND, arguments: Sequence[str] = ()) -> None:
        self.kind = kind
        self.arguments = list(arguments)
        self.base = tempfile.mkdtemp(prefix="ct-", dir="/tmp")
        tag = os.path.basename(self.base)
        self.socket = f"{self.base}/docker.sock"
        self.url = f"unix://{self.socket}"
        self.data_root = f"{self.base}/data"
        self.exec_root = f"{self.base}/exec"
        self.config_file = f"{self.base}/daemon.json"
        self.log_path = f"{self.base}/daemon.log"
        self.cgroup_parent = f"/{tag}"
        self.address = f"10.{200 + secrets.randbelow(50)}.{secrets.randbelow(255)}.1"
        self.prefix = 24
        """Length of the network that the address is in."""
        self.process: subprocess.Popen[bytes] | None = None
        self.package = REPOSITORY
        """Where the daemon's own code is."""
        self.own_mounts: set[str] = set()
        """Made below its directories by the test itself."""
        self.api = Api(self.socket)
        with open(self.config_file, "w") as file:
            file.write("{}")
        # dockerd leaves its rules, and a policy that drops what is forwarded, in tables that are everybody's
        save = ["true"] if kind == "cortend" else ["iptables-save"]
        self.iptables = subprocess.run(save, capture_output=True, check=True).stdout

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def command(self) -> list[str]:
        common = ["-H", self.url, "--data-root", self.data_root, "--exec-root", self.exec_root]
        common += ["--pidfile", f"{self.base}/pid", "--config-file", self.config_file]
        common += ["--cgroup-parent", self.cgroup_parent]
        if self.kind == "dockerd":
            return ["dockerd", *common, "--group", "root", "--bridge", self.make_bridge(), *self.arguments]
        common += ["--bip", f"{self.address}/{self.prefix}"]
        return [sys.executable, "-m", "corten.daemon.main", *common, *self.arguments]

    def __enter__(self) -> "Daemon":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def environment(self) -> dict[str, str]:
        """What the daemon gets besides this process's own environment."""
        return {}

    def make_bridge(self) -> str:
        """dockerd makes no bridge of another name itself."""
        name = f"br-{os.path.basename(self.base)[3:]}"[:15]
        if not host.bridge_with(self.address):
            subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
            subprocess.run(["ip", "addr", "add", f"{self.address}/24", "dev", name], check=True)
            subprocess.run(["ip", "link", "set", name, "up"], check=True)
        return name

    def start(self, timeout: float = 30) -> "Daemon":
        environment = dict(os.environ, PYTHONPATH=self.package, **self.environment())
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=self.base
            )
        deadline = time.monotonic() + timeout * PATIENCE
        while not self.answers():
            if self.process.poll() is not None:
                raise RuntimeError(f"the daemon ended with {self.process.returncode}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the daemon does not answer after {timeout} s:\n{self.log_tail()}")
            time.sleep(0.02)
        return self

    def answers(self) -> bool:
        try:
            return Api(self.socket, timeout=5)("GET", "/_ping").status == 200
        except OSError:
            return False

    def stop(self, timeout: float = 30) -> None:
        """Ask it to end; containers go on when the daemon is one that lets them."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"the daemon ignores SIGTERM for {timeout} s:\n{self.log_tail()}") from None

    def kill(self) -> None:
        """End it as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def log_tail(self, lines: int = 40) -> str:
        with open(self.log_path, errors="replace") as log:
            return "".join(log.readlines()[-lines:])

    def holdings(self) -> host.Holdings:
        return host.observe(self.base, self.address, self.cgroup_parent)

    def remove_containers(self) -> None:
        listed = self.api("GET", "/containers/json", query={"all": 1})
        assert listed.status == 200, listed.body
        for container in listed.json():
            self.api("DELETE", f"/containers/{container['Id']}", query={"force": 1, "v": 1})

    def close(self) -> dict[str, list[str] | int]:
        """Remove every container, look for what stays behind, stop, clean up. Gives the leaks; empty is well."""
        leaks: dict[str, list[str] | int] = {}
        assert self.process is not None
        if self.process.poll() is None:
            self.remove_containers()
            leaks = self.settled(ignore=("processes", "rules"))
            self.stop()
        leaks.update(self.settled(ignore=("rules",)))
        self.clean()
        return leaks

    def settled(self, ignore: Sequence[str], patience: float = 3) -> dict[str, list[str] | int]:
        """What is still held after a moment in which the last removals may end."""
        deadline = time.monotonic() + patience
        while True:
            held = {name: what for name, what in (self.holdings() - host.Holdings()).items() if name not in ignore}
            if isinstance(mounts := held.pop("mounts", []), list) and (left := set(mounts) - self.own_mounts):
                held["mounts"] = sorted(left)
            if self.kind == "dockerd":  # keeps one "default" sandbox and one container-less mount
                held = {}
            if not held or time.monotonic() > deadline:
                return held
            time.sleep(0.05)

    def clean(self) -> None:
        """Take away whatever is left, leaked or kept on purpose."""
        sweep(self.base, self.address)
        if self.iptables:
            subprocess.run(["iptables-restore"], input=self.iptables, check=False)
        host.remove_cgroup_parent(self.cgroup_parent)
