"""Limits: from ``HostConfig`` to the runtime spec's ``linux.resources``, and the merge that ``update`` does."""

import os
from collections.abc import Iterable
from typing import Any

import msgspec

from corten.errors import InvalidArgument
from corten.linux.host import Host
from corten.model.container import HostConfig, RestartPolicy, ThrottleDevice, WeightDevice

UNLIMITED_PIDS = 1 << 22
"""PID_MAX_LIMIT of the kernel, the highest limit it takes: crun cannot write "max" when it updates a container."""
CPU_PERIOD = 100_000
"""Microseconds of a CFS period where the client gives ``NanoCpus``."""

_UPDATABLE = (
    "blkio_weight",
    "blkio_weight_device",
    "blkio_device_read_bps",
    "blkio_device_write_bps",
    "blkio_device_read_iops",
    "blkio_device_write_iops",
    "cpu_shares",
    "cpu_period",
    "cpu_quota",
    "cpu_realtime_period",
    "cpu_realtime_runtime",
    "cpuset_cpus",
    "cpuset_mems",
    "memory",
    "memory_swap",
    "memory_reservation",
    "nano_cpus",
    "pids_limit",
)
"""Fields of ``POST /containers/{id}/update``; one that is empty leaves the old value."""


def for_host(host_config: HostConfig, host: Host, devices: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """``linux.resources`` with what this host can set; for a start with *devices*, for an update without."""
    return oci(fit(host_config, host)[0], devices, swap="swap" in host.limits)


def oci(host: HostConfig, devices: list[dict[str, Any]] | None = None, *, swap: bool = True) -> dict[str, Any]:
    """``linux.resources``, only with what was asked for.

    *devices* are the cgroup rules of ``runtime.devices`` (none for an update). *swap* False leaves swap alone, for
    hosts without swap accounting.
    """
    result: dict[str, Any] = {}
    if devices:
        result["devices"] = devices
    parts = {"memory": _memory(host, swap), "cpu": _cpu(host), "blockIO": _blkio(host)}
    result.update({key: part for key, part in parts.items() if part})
    if host.pids_limit is not None:
        result["pids"] = {"limit": host.pids_limit if host.pids_limit > 0 else UNLIMITED_PIDS}
    return result


def update(old: HostConfig, new: HostConfig, sent_fields: Iterable[str] = ()) -> HostConfig:
    """*old* with the limits and restart policy that *new* sets.

    *sent_fields* may name (in snake case) fields that count although they are empty; without it empty means unchanged,
    as in the Engine API. InvalidArgument when the outcome contradicts itself, in Docker's words.
    """
    sent = frozenset(sent_fields)
    changes: dict[str, Any] = {}
    for name in _UPDATABLE:
        value = getattr(new, name)
        if value or (name == "pids_limit" and value is not None and name in (sent or {name})):
            changes[name] = value
    if new.restart_policy.name:
        changes["restart_policy"] = new.restart_policy
    _check_update(old, new)
    merged = msgspec.structs.replace(old, **changes)
    if new.nano_cpus:
        merged = msgspec.structs.replace(merged, cpu_period=0, cpu_quota=0)
    if new.memory and not new.memory_swap and 0 < old.memory_swap < new.memory:
        raise InvalidArgument(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        )
    return merged


_DISCARDED: tuple[tuple[str, str, Any, str], ...] = (
    ("memory", "memory", 0, "memory limit capabilities or the cgroup is not mounted. Limitation discarded."),
    ("swap", "memory_swap", 0, "swap limit capabilities or the cgroup is not mounted. Memory limited without swap."),
    (
        "swappiness",
        "memory_swappiness",
        None,
        "memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.",
    ),
    (
        "reservation",
        "memory_reservation",
        0,
        "memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.",
    ),
    ("oom_kill_disable", "oom_kill_disable", None, "OomKillDisable. OomKillDisable discarded."),
    ("pids", "pids_limit", None, "PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded."),
    ("cpu_shares", "cpu_shares", 0, "CPU shares or the cgroup is not mounted. Shares discarded."),
    ("cpu_cfs", "cpu_period", 0, "CPU CFS scheduler or the cgroup is not mounted. Period discarded."),
    ("cpu_cfs", "cpu_quota", 0, "CPU CFS scheduler or the cgroup is not mounted. Quota discarded."),
    ("cpuset", "cpuset_cpus", "", "cpuset or the cgroup is not mounted. Cpuset discarded."),
    ("cpuset", "cpuset_mems", "", "cpuset or the cgroup is not mounted. Cpuset discarded."),
    ("blkio_weight", "blkio_weight", 0, "Block I/O weight or the cgroup is not mounted. Weight discarded."),
    (
        "blkio_weight_device",
        "blkio_weight_device",
        None,
        "Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.",
    ),
    (
        "blkio_throttle",
        "blkio_device_read_bps",
        None,
        "BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit discarded.",
    ),
    (
        "blkio_throttle",
        "blkio_device_write_bps",
        None,
        "BPS Block I/O write limit or the cgroup is not mounted. Block I/O BPS write limit discarded.",
    ),
    (
        "blkio_throttle",
        "blkio_device_read_iops",
        None,
        "IOPS Block read limit or the cgroup is not mounted. Block I/O IOPS read limit discarded.",
    ),
    (
        "blkio_throttle",
        "blkio_device_write_iops",
        None,
        "IOPS Block write limit or the cgroup is not mounted. Block I/O IOPS write limit discarded.",
    ),
)
"""(limit of ``corten.linux.controllers``, field, its value for "not set", rest of Docker's warning)."""


def fit(host_config: HostConfig, host: Host) -> tuple[HostConfig, list[str]]:
    """(what of the limits this host can set, a warning for each that it cannot)."""
    changes: dict[str, Any] = {}
    warnings: list[str] = []
    for limit, field, unset, text in _DISCARDED:
        value = getattr(host_config, field)
        if value and limit not in host.limits:
            if not (field == "memory_swap" and value == -1):
                warnings.append(f"Your kernel does not support {text}")
            changes[field] = unset
    if host_config.nano_cpus and "cpu_cfs" not in host.limits:
        raise InvalidArgument(
            "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted"
        )
    return (msgspec.structs.replace(host_config, **changes) if changes else host_config), warnings


def swap_limit(host: HostConfig) -> int:
    """Memory plus swap in bytes as the kernel gets it: twice the memory unless said; -1 unlimited, 0 none asked."""
    if host.memory > 0 and host.memory_swap == 0:
        return host.memory * 2
    return host.memory_swap


def _check_update(old: HostConfig, new: HostConfig) -> None:
    if new.nano_cpus and (old.cpu_period or old.cpu_quota) and not old.nano_cpus:
        what = "Period" if old.cpu_period else "Quota"
        raise InvalidArgument(f"Conflicting options: Nano CPUs cannot be updated as CPU {what} has already been set")
    if (new.cpu_period or new.cpu_quota) and old.nano_cpus:
        what = "Period" if new.cpu_period else "Quota"
        raise InvalidArgument(f"Conflicting options: CPU {what} cannot be updated as NanoCPUs has already been set")
    if new.restart_policy.name and old.auto_remove and new.restart_policy != RestartPolicy(name="no"):
        raise InvalidArgument("Restart policy cannot be updated because AutoRemove is enabled for the container")


def _memory(host: HostConfig, with_swap: bool) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if host.memory > 0:
        result["limit"] = host.memory
    if host.memory_reservation > 0:
        result["reservation"] = host.memory_reservation
    if with_swap and (swap := swap_limit(host)):
        result["swap"] = swap
    if host.memory_swappiness is not None and host.memory_swappiness >= 0:
        result["swappiness"] = host.memory_swappiness
    if host.oom_kill_disable:
        result["disableOOMKiller"] = True
    return result


def _cpu(host: HostConfig) -> dict[str, Any]:
    period, quota = host.cpu_period, host.cpu_quota
    if host.nano_cpus > 0:
        period, quota = CPU_PERIOD, host.nano_cpus * CPU_PERIOD // 1_000_000_000
    values = {
        "shares": host.cpu_shares,
        "period": period,
        "quota": quota,
        "realtimePeriod": host.cpu_realtime_period,
        "realtimeRuntime": host.cpu_realtime_runtime,
        "cpus": host.cpuset_cpus,
        "mems": host.cpuset_mems,
    }
    return {key: value for key, value in values.items() if value}


def _blkio(host: HostConfig) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if host.blkio_weight:
        result["weight"] = host.blkio_weight
    if host.blkio_weight_device:
        result["weightDevice"] = [{**_device(entry), "weight": entry.weight} for entry in host.blkio_weight_device]
    for key, entries in (
        ("throttleReadBpsDevice", host.blkio_device_read_bps),
        ("throttleWriteBpsDevice", host.blkio_device_write_bps),
        ("throttleReadIOPSDevice", host.blkio_device_read_iops),
        ("throttleWriteIOPSDevice", host.blkio_device_write_iops),
    ):
        if entries:
            result[key] = [{**_device(entry), "rate": entry.rate} for entry in entries]
    return result


def _device(entry: WeightDevice | ThrottleDevice) -> dict[str, int]:
    try:
        number = os.stat(entry.path).st_rdev
    except OSError as error:
        raise InvalidArgument(f"{entry.path}: {os.strerror(error.errno or 0).lower()}") from error
    return {"major": os.major(number), "minor": os.minor(number)}
