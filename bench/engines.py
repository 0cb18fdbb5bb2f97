"""The engines that are compared: each with private directories, its own bridge and the same images."""

import os
import shutil
import subprocess
import time
from functools import cache
from resource import RLIMIT_NOFILE, RLIMIT_NPROC, getrlimit

from tests.support.daemon import Daemon
from tests.support.registry import free_port
from tests.support.stock import Docker

PODMAN_BRIDGE = "cni-podman0"
NAMES = ("cortend", "dockerd", "podman")


class Engine(Daemon):
    """A running engine with the stock CLI pointed at it."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.docker = Docker(self.url)
        self.had_bridge = os.path.exists(f"/sys/class/net/{PODMAN_BRIDGE}")

    def command(self) -> list[str]:
        if self.kind != "podman":
            return super().command()
        roots = ["--root", self.data_root, "--runroot", self.exec_root, "--tmpdir", f"{self.base}/tmp"]
        networks = ["--network-config-dir", f"{self.base}/networks"]
        return ["podman", *roots, *networks, "--cgroup-manager", "cgroupfs", "system", "service", "-t", "0", self.url]

    def environment(self) -> dict[str, str]:
        if self.kind != "podman":
            return {}
        # podman asks for more descriptors and processes than this host may give, and lowers its own processes first
        files, processes = getrlimit(RLIMIT_NOFILE)[1], min(getrlimit(RLIMIT_NPROC)[1], 32768)
        limits = [f'"nofile={files}:{files}"', f'"nproc={processes}:{processes}"']
        path = f"{self.base}/containers.conf"
        with open(path, "w") as file:
            file.write(f"[containers]\ndefault_ulimits = [{', '.join(limits)}]\n")
        registries = f"{self.base}/registries.conf"
        with open(registries, "w") as file:  # the others take loopback for insecure by themselves
            for port in registry_ports():
                file.write(f'[[registry]]\nlocation = "127.0.0.1:{port}"\ninsecure = true\n')
        return {"CONTAINERS_CONF": path, "CONTAINERS_REGISTRIES_CONF": registries}

    def settle(self) -> None:
        """Let what the last measurement started come to an end, so that the next one is not charged for it."""
        self.remove_containers()
        os.sync()
        time.sleep(0.05)

    def close(self) -> dict[str, list[str] | int]:
        self.docker.close()
        if self.process is not None and self.process.poll() is None:
            self.remove_containers()
            self.stop()
        self.clean()
        if self.kind == "podman" and not self.had_bridge:
            subprocess.run(["ip", "link", "delete", PODMAN_BRIDGE], check=False, capture_output=True)
        return {}


def available(kind: str) -> str:
    """Empty when the engine can run here, else what lacks."""
    if kind == "cortend":
        return ""
    return "" if shutil.which(kind) else f"{kind} is not installed"


@cache
def registry_ports() -> tuple[int, int]:
    """Where the registries of this run listen: the one with the prepared images, and the one that is pushed to."""
    return free_port(), free_port()
