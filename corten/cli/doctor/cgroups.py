"""The layout of control groups, and the controllers that limits need."""

from __future__ import annotations

import os

from corten.cli.doctor.finding import ADVICE, OK, PROBLEM, Finding, read

ROOT = "/sys/fs/cgroup"
WANTED = ("cpu", "cpuset", "memory", "pids")
"""Controllers behind the common limits; without blkio or hugetlb only their own options are refused."""
MOUNT_HUGETLB = f"mkdir {ROOT}/hugetlb && mount -t cgroup -o hugetlb cgroup {ROOT}/hugetlb"


def findings(root: str = ROOT) -> list[Finding]:
    if os.path.exists(f"{root}/cgroup.controllers"):
        return [Finding("cgroups", OK, "version 2"), controllers(set(read(f"{root}/cgroup.controllers").split()))]
    mounted = {name for name in os.listdir(root) if os.path.isdir(f"{root}/{name}")} if os.path.isdir(root) else set()
    if not mounted:
        return [Finding("cgroups", PROBLEM, f"nothing is mounted at {root}", f"mount -t cgroup2 cgroup {root}")]
    return [layout(root, mounted), controllers(mounted)]


def layout(root: str, mounted: set[str]) -> Finding:
    unified = read(f"{root}/unified/cgroup.controllers").split()
    if not unified:
        return Finding("cgroups", OK, "version 1" + (", hybrid" if "unified" in mounted else ""))
    if "hugetlb" in unified and "hugetlb" not in mounted:
        text = "hybrid, with hugetlb on version 2 alone: crun refuses to start containers"
        return Finding("cgroups", PROBLEM, text, MOUNT_HUGETLB)
    text = f"hybrid; on version 2: {', '.join(unified)}"
    return Finding(
        "cgroups", ADVICE, text, "Limits of those controllers are not available; version 2 alone is simpler."
    )


def controllers(have: set[str]) -> Finding:
    lacking = [name for name in WANTED if name not in have and not (name == "cpu" and "cpu,cpuacct" in have)]
    if lacking:
        remedy = "Enable them at boot, for example cgroup_enable=memory; limits that need them are refused."
        return Finding("controllers", PROBLEM, f"missing: {', '.join(lacking)}", remedy)
    return Finding("controllers", OK, ", ".join(sorted(have & {*WANTED, "blkio", "io", "hugetlb", "devices"})))
