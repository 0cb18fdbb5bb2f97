"""Which limits the host's cgroup controllers can set.

Names: memory, swap, swappiness, reservation, oom_kill_disable, pids, cpu_shares, cpu_cfs, cpu_realtime, cpuset,
blkio_weight, blkio_weight_device, blkio_throttle. Sources: the kernel's cgroup-v1 directory and cgroup-v2.rst.
"""

import os

from corten.linux.cgroup import CgroupLayout

_V1_FILES = {
    "memory": ("memory", "memory.limit_in_bytes"),
    "swap": ("memory", "memory.memsw.limit_in_bytes"),
    "swappiness": ("memory", "memory.swappiness"),
    "reservation": ("memory", "memory.soft_limit_in_bytes"),
    "oom_kill_disable": ("memory", "memory.oom_control"),
    "pids": ("pids", "cgroup.procs"),
    "cpu_shares": ("cpu", "cpu.shares"),
    "cpu_cfs": ("cpu", "cpu.cfs_quota_us"),
    "cpu_realtime": ("cpu", "cpu.rt_runtime_us"),
    "cpuset": ("cpuset", "cgroup.procs"),
    # not bfq's own weight files: crun cannot write them, and Docker does not count them either
    "blkio_weight": ("blkio", "blkio.weight"),
    "blkio_weight_device": ("blkio", "blkio.weight_device"),
    "blkio_throttle": ("blkio", "blkio.throttle.read_bps_device"),
}
_V2_LIMITS = {
    "memory": ("memory", "swap", "reservation"),
    "pids": ("pids",),
    "cpu": ("cpu_shares", "cpu_cfs"),
    "cpuset": ("cpuset",),
    "io": ("blkio_weight", "blkio_throttle"),
}


def features(layout: CgroupLayout) -> frozenset[str]:
    """The limits that can be set on this host."""
    if layout.is_v2:
        return frozenset(
            limit for controller, limits in _V2_LIMITS.items() if controller in layout.controllers for limit in limits
        )
    return frozenset(name for name, (controller, file) in _V1_FILES.items() if _has(layout, controller, file))


def _has(layout: CgroupLayout, controller: str, file: str) -> bool:
    directory = layout.directory(controller, "")
    return bool(directory) and os.path.exists(f"{directory}/{file}")
