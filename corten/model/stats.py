"""One measurement of a container's use of resources (API ``GET /containers/{id}/stats``).

Field names are the API's. Times are nanoseconds since the epoch, as everywhere; ``UNSET`` marks what this host or this
container does not have, and is left out when written.
"""

from msgspec import UNSET, UnsetType

from corten.model.base import Value


class CpuUsage(Value, frozen=True, omit_defaults=False):
    """Nanoseconds."""

    total_usage: int = 0
    percpu_usage: list[int] | UnsetType = UNSET
    usage_in_kernelmode: int = 0
    usage_in_usermode: int = 0


class Throttling(Value, frozen=True, omit_defaults=False):
    """CFS bandwidth control; ``throttled_time`` in nanoseconds."""

    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0


class CpuStats(Value, frozen=True, omit_defaults=False):
    """``system_cpu_usage``: nanoseconds that all CPUs of the host have spent on anything, idling included."""

    cpu_usage: CpuUsage = CpuUsage()
    system_cpu_usage: int | UnsetType = UNSET
    online_cpus: int | UnsetType = UNSET
    throttling_data: Throttling = Throttling()


class MemoryStats(Value, frozen=True, omit_defaults=False):
    """Bytes; ``limit`` is the host's memory when the container has none."""

    usage: int | UnsetType = UNSET
    max_usage: int | UnsetType = UNSET
    stats: dict[str, int] | UnsetType = UNSET
    failcnt: int | UnsetType = UNSET
    limit: int | UnsetType = UNSET


class NetworkStats(Value, frozen=True, omit_defaults=False):
    """Counters of one interface, from the container's point of view."""

    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0


class PidsStats(Value, frozen=True, omit_defaults=False):
    current: int | UnsetType = UNSET
    limit: int | UnsetType = UNSET


class BlkioEntry(Value, frozen=True, omit_defaults=False):
    major: int = 0
    minor: int = 0
    op: str = ""
    value: int = 0


class BlkioStats(Value, frozen=True, omit_defaults=False):
    """None where the kernel does not count it."""

    io_service_bytes_recursive: list[BlkioEntry] | None = None
    io_serviced_recursive: list[BlkioEntry] | None = None
    io_queue_recursive: list[BlkioEntry] | None = None
    io_service_time_recursive: list[BlkioEntry] | None = None
    io_wait_time_recursive: list[BlkioEntry] | None = None
    io_merged_recursive: list[BlkioEntry] | None = None
    io_time_recursive: list[BlkioEntry] | None = None
    sectors_recursive: list[BlkioEntry] | None = None


class ContainerStats(Value, frozen=True, omit_defaults=False):
    """The whole answer. ``read`` and ``preread`` are 0 for "no sample"; ``name`` has no slash."""

    id: str = ""
    name: str = ""
    read: int = 0
    preread: int = 0
    cpu_stats: CpuStats = CpuStats()
    precpu_stats: CpuStats = CpuStats()
    memory_stats: MemoryStats = MemoryStats()
    networks: dict[str, NetworkStats] | UnsetType = UNSET
    pids_stats: PidsStats = PidsStats()
    blkio_stats: BlkioStats = BlkioStats()
    num_procs: int = 0
    storage_stats: dict[str, int] = {}
