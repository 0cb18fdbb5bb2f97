"""Reading a container's counters from its cgroups and network namespace.

Sources: cgroup-v1/{cpuacct,memory,blkio-controller,pids}, cgroup-v2.rst, proc(5) for /proc/stat and /proc/PID/net/dev.
What has no file reads as nothing: a container may end at any moment, and hosts differ in their controllers.
"""

import os
import time

from msgspec import UNSET, UnsetType

from corten.linux.host import Host
from corten.model.stats import (
    BlkioEntry,
    BlkioStats,
    ContainerStats,
    CpuStats,
    CpuUsage,
    MemoryStats,
    NetworkStats,
    PidsStats,
    Throttling,
)

_NANO = 1_000_000_000
_TICK = _NANO // os.sysconf("SC_CLK_TCK")
_UNLIMITED_PIDS = (1 << 64) - 1
_BUFFER = 64 << 10


class Reader:
    """Takes samples of containers. Holds no descriptors and no state; any thread."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._layout = host.cgroups
        self._read_cpu = self._cpu_v2 if host.cgroups.is_v2 else self._cpu_v1

    def sample(self, path: str, pid: int, *, networks: bool = True) -> ContainerStats:
        """A full sample of cgroup *path*; network counters through process *pid* unless the host's network is used."""
        v2 = self._layout.is_v2
        return ContainerStats(
            read=time.time_ns(),
            cpu_stats=self.cpu(path),
            memory_stats=self._memory_v2(path) if v2 else self._memory_v1(path),
            networks=(network_counters(pid) or UNSET) if networks and pid > 0 else UNSET,
            pids_stats=self._pids(path),
            blkio_stats=self._blkio_v2(path) if v2 else self._blkio_v1(path),
        )

    def cpu(self, path: str) -> CpuStats:
        """Only the CPU part: what the next sample needs as its predecessor."""
        usage, throttling = self._read_cpu(path)
        return CpuStats(
            cpu_usage=usage,
            system_cpu_usage=system_cpu(_read("/proc/stat")),
            online_cpus=self.host.cpus,
            throttling_data=throttling,
        )

    def _file(self, controller: str, path: str, name: str) -> str:
        directory = self._layout.directory(controller, path)
        return _read(f"{directory}/{name}") if directory else ""

    def _cpu_v1(self, path: str) -> tuple[CpuUsage, Throttling]:
        kernel = _number(self._file("cpuacct", path, "cpuacct.usage_sys"))
        user = _number(self._file("cpuacct", path, "cpuacct.usage_user"))
        usage = CpuUsage(
            total_usage=_number(self._file("cpuacct", path, "cpuacct.usage")),
            percpu_usage=[int(word) for word in self._file("cpuacct", path, "cpuacct.usage_percpu").split()],
            usage_in_kernelmode=kernel,
            usage_in_usermode=user,
        )
        stat = _table(self._file("cpu", path, "cpu.stat"))
        return usage, Throttling(
            periods=stat.get("nr_periods", 0),
            throttled_periods=stat.get("nr_throttled", 0),
            throttled_time=stat.get("throttled_time", 0),
        )

    def _cpu_v2(self, path: str) -> tuple[CpuUsage, Throttling]:
        stat = _table(self._file("cpu", path, "cpu.stat"))
        usage = CpuUsage(
            total_usage=stat.get("usage_usec", 0) * 1000,
            usage_in_kernelmode=stat.get("system_usec", 0) * 1000,
            usage_in_usermode=stat.get("user_usec", 0) * 1000,
        )
        return usage, Throttling(
            periods=stat.get("nr_periods", 0),
            throttled_periods=stat.get("nr_throttled", 0),
            throttled_time=stat.get("throttled_usec", 0) * 1000,
        )

    def _memory_v1(self, path: str) -> MemoryStats:
        limit = _number(self._file("memory", path, "memory.limit_in_bytes"))
        return MemoryStats(
            usage=_number(self._file("memory", path, "memory.usage_in_bytes")),
            max_usage=_number(self._file("memory", path, "memory.max_usage_in_bytes")),
            stats=_table(self._file("memory", path, "memory.stat")),
            failcnt=_number(self._file("memory", path, "memory.failcnt")) or UNSET,
            limit=self._limit(limit),
        )

    def _memory_v2(self, path: str) -> MemoryStats:
        return MemoryStats(
            usage=_number(self._file("memory", path, "memory.current")),
            stats=_table(self._file("memory", path, "memory.stat")),
            limit=self._limit(_number(self._file("memory", path, "memory.max"))),
        )

    def _limit(self, limit: int) -> int:
        total = self.host.memory_total
        return limit if 0 < limit < total else total

    def _pids(self, path: str) -> PidsStats:
        current = _number(self._file("pids", path, "pids.current"))
        limit = self._file("pids", path, "pids.max").strip()
        bound: int | UnsetType = UNSET
        if limit.isdecimal():
            bound = int(limit)
        elif limit == "max" and self._layout.is_v2:
            bound = _UNLIMITED_PIDS
        return PidsStats(current=current or UNSET, limit=bound)

    def _blkio_v1(self, path: str) -> BlkioStats:
        return BlkioStats(
            io_service_bytes_recursive=self._blkio_counter(path, "io_service_bytes_recursive"),
            io_serviced_recursive=self._blkio_counter(path, "io_serviced_recursive"),
            io_queue_recursive=[],
            io_service_time_recursive=[],
            io_wait_time_recursive=[],
            io_merged_recursive=[],
            io_time_recursive=[],
            sectors_recursive=[],
        )

    def _blkio_counter(self, path: str, name: str) -> list[BlkioEntry]:
        """From the scheduler that counts: bfq where it runs the device, else the throttling layer."""
        for prefix in ("blkio.bfq", "blkio.throttle"):
            entries = blkio_entries(self._file("blkio", path, f"{prefix}.{name}"))
            if entries:
                return entries
        return []

    def _blkio_v2(self, path: str) -> BlkioStats:
        entries: list[BlkioEntry] = []
        for line in self._file("io", path, "io.stat").splitlines():
            device, *pairs = line.split()
            major, _, minor = device.partition(":")
            values = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
            entries += [
                BlkioEntry(major=int(major), minor=int(minor), op=op, value=int(values[key]))
                for op, key in (("read", "rbytes"), ("write", "wbytes"))
                if key in values
            ]
        return BlkioStats(io_service_bytes_recursive=entries)


def system_cpu(stat: str) -> int:
    """Nanoseconds of all CPUs from the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq."""
    return sum(int(word) for word in stat.partition("\n")[0].split()[1:8]) * _TICK


def network_counters(pid: int) -> dict[str, NetworkStats]:
    """Interface counters of the network namespace of *pid*, without the loopback."""
    result: dict[str, NetworkStats] = {}
    for line in _read(f"/proc/{pid}/net/dev").splitlines()[2:]:
        name, _, numbers = line.partition(":")
        values = [int(word) for word in numbers.split()]
        if name.strip() == "lo" or len(values) < 12:
            continue
        result[name.strip()] = NetworkStats(
            rx_bytes=values[0],
            rx_packets=values[1],
            rx_errors=values[2],
            rx_dropped=values[3],
            tx_bytes=values[8],
            tx_packets=values[9],
            tx_errors=values[10],
            tx_dropped=values[11],
        )
    return result


def blkio_entries(text: str) -> list[BlkioEntry]:
    """Lines "8:0 Read 4096" of a blkio counter; the line with the grand total has no device and is skipped."""
    entries: list[BlkioEntry] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and ":" in words[0]:
            major, _, minor = words[0].partition(":")
            entries.append(BlkioEntry(major=int(major), minor=int(minor), op=words[1], value=int(words[2])))
    return entries


def _table(text: str) -> dict[str, int]:
    """Lines "name number"."""
    result: dict[str, int] = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if value.isdecimal():
            result[name] = int(value)
    return result


def _number(text: str) -> int:
    text = text.strip()
    return int(text) if text.isdecimal() else 0


def _read(path: str) -> str:
    """A small file of the kernel's in one read; "" when it or its process has gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, _BUFFER).decode("ascii", "replace")
    except OSError:
        return ""
    finally:
        os.close(fd)
