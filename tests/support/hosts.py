"""Hosts that do not exist, for tests that need no kernel."""

from corten.linux.cgroup import CgroupLayout
from corten.linux.host import ALL_CAPABILITIES, Host

CONTROLLERS = frozenset(("cpu", "cpuset", "io", "memory", "pids"))
_LIMITS = """
memory swap swappiness reservation oom_kill_disable pids cpu_shares cpu_cfs cpu_realtime cpuset
blkio_weight blkio_weight_device blkio_throttle
"""
ALL_LIMITS = frozenset(_LIMITS.split())
V1 = CgroupLayout(
    "v1", {name: f"/cg/{name}" for name in ("cpu", "cpuacct", "memory", "pids", "devices")}, "", frozenset()
)
V2 = CgroupLayout("v2", {}, "/cg", CONTROLLERS)


def host(**changes) -> Host:
    """A host with everything, on cgroup v2; *changes* replace fields."""
    values = {
        "kernel": "6.1.0-test",
        "architecture": "amd64",
        "hostname": "box",
        "cgroups": V2,
        "bounding": frozenset(ALL_CAPABILITIES),
        "rlimits": {"nofile": (1024, 4096)},
        "memory_total": 8 << 30,
        "cpus": 4,
        "cpus_online": frozenset(range(4)),
        "limits": ALL_LIMITS,
    }
    return Host(**(values | changes))
