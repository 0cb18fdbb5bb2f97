"""A sample of a container's use of the host as a row of ``corten stats``."""

from __future__ import annotations

from corten.cli import units
from corten.cli.listing import Columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HEADINGS = {
    "Container": "CONTAINER",
    "ID": "CONTAINER ID",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
}
COLUMNS = Columns(
    "statsContext", ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"), _HEADINGS
)


def row(name: str, sample: dict[str, Any] | None, full: bool = False) -> dict[str, Any]:
    """The fields for ``name``, dashes without a sample."""
    if sample is None:
        return {**dict.fromkeys(_HEADINGS, "--"), "Container": name, "MemUsage": "-- / --"}
    identifier = sample.get("id") or sample.get("Id") or ""
    used, limit = memory(sample)
    received, sent = network(sample)
    read, written = block(sample)
    return {
        "Container": name,
        "ID": identifier if full else identifier[:12],
        "Name": (sample.get("name") or "").removeprefix("/"),
        "CPUPerc": f"{cpu_percent(sample):.2f}%",
        "MemUsage": f"{units.binary_size(used)} / {units.binary_size(limit)}",
        "MemPerc": f"{used / limit * 100 if limit else 0:.2f}%",
        "NetIO": f"{units.decimal_size(received, 3)} / {units.decimal_size(sent, 3)}",
        "BlockIO": f"{units.decimal_size(read, 3)} / {units.decimal_size(written, 3)}",
        "PIDs": str((sample.get("pids_stats") or {}).get("current") or 0),
    }


def cpu_percent(sample: dict[str, Any]) -> float:
    """Share of one CPU since the sample before, in percent; several CPUs give more than 100."""
    now, before = sample.get("cpu_stats") or {}, sample.get("precpu_stats") or {}
    usage = _total(now) - _total(before)
    system = (now.get("system_cpu_usage") or 0) - (before.get("system_cpu_usage") or 0)
    cpus = now.get("online_cpus") or len((now.get("cpu_usage") or {}).get("percpu_usage") or ()) or 1
    return usage / system * cpus * 100 if usage > 0 and system > 0 else 0.0


def _total(stats: dict[str, Any]) -> int:
    return int((stats.get("cpu_usage") or {}).get("total_usage") or 0)


def memory(sample: dict[str, Any]) -> tuple[int, int]:
    """(used, limit) in bytes; the page cache that can be given back does not count as used."""
    stats = sample.get("memory_stats") or {}
    usage, details = stats.get("usage") or 0, stats.get("stats") or {}
    for name in ("total_inactive_file", "inactive_file"):  # cgroup v1, v2
        if 0 < (details.get(name) or 0) < usage:
            usage -= details[name]
            break
    return usage, stats.get("limit") or 0


def network(sample: dict[str, Any]) -> tuple[int, int]:
    """Bytes (received, sent) over all interfaces."""
    interfaces = (sample.get("networks") or {}).values()
    return sum(item.get("rx_bytes", 0) for item in interfaces), sum(item.get("tx_bytes", 0) for item in interfaces)


def block(sample: dict[str, Any]) -> tuple[int, int]:
    """Bytes (read, written) on block devices."""
    totals = {"read": 0, "write": 0}
    for entry in (sample.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []:
        kind = entry["op"].lower()
        if kind in totals:
            totals[kind] += entry["value"]
    return totals["read"], totals["write"]
