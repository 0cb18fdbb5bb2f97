"""Limits: what is out of range or contradictory is refused, with Docker's words."""

import os

from corten.errors import InvalidArgument
from corten.linux.host import Host, number_set
from corten.model.container import HostConfig

_MIN_MEMORY = 6 << 20
_NANO = 1_000_000_000


def check(config: HostConfig, host: Host, *, update: bool = False) -> list[str]:
    """Refuse wrong limits; returns warnings about risky ones. For *update* a limit may rest on an earlier one."""
    _memory(config, update)
    _cpu(config, host)
    _cpuset("CPUs", "cpus", config.cpuset_cpus, host.cpus_online)
    _cpuset("memory nodes", "mems", config.cpuset_mems, host.memory_nodes)
    _blkio(config)
    _rest(config)
    warnings: list[str] = []
    if config.oom_kill_disable and not config.memory:
        warnings.append(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system "
            "running out of resources."
        )
    if config.cpu_percent > 0:
        warnings.append("linux does not support CPU percent. Percent discarded.")
    return warnings


def _memory(config: HostConfig, update: bool) -> None:
    memory, swap, reservation = config.memory, config.memory_swap, config.memory_reservation
    _refuse(0 < memory < _MIN_MEMORY or memory < 0, "Minimum memory limit allowed is 6MB")
    _refuse(memory > 0 and 0 < swap < memory, "Minimum memoryswap limit should be larger than memory limit, see usage")
    _refuse(
        memory == 0 and swap > 0 and not update,
        "You should always set the Memory limit when using Memoryswap limit, see usage",
    )
    _refuse(swap < -1, f"Invalid value: {swap}, memory swap is -1 (unlimited), 0 or a number of bytes")
    swappiness = config.memory_swappiness
    if swappiness is not None and swappiness != -1:
        _refuse(not 0 <= swappiness <= 100, f"Invalid value: {swappiness}, valid memory swappiness range is 0-100")
    _refuse(0 < reservation < _MIN_MEMORY or reservation < 0, "Minimum memory reservation allowed is 6MB")
    _refuse(
        0 < memory < reservation,
        "Minimum memory limit can not be less than memory reservation limit, see usage",
    )


def _cpu(config: HostConfig, host: Host) -> None:
    _refuse(
        config.nano_cpus != 0 and config.cpu_period != 0,
        "Conflicting options: Nano CPUs and CPU Period cannot both be set",
    )
    _refuse(
        config.nano_cpus != 0 and config.cpu_quota != 0,
        "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
    )
    _refuse(
        config.nano_cpus < 0 or config.nano_cpus > host.cpus * _NANO,
        f"range of CPUs is from 0.01 to {host.cpus}.00, as there are only {host.cpus} CPUs available",
    )
    _refuse(
        config.cpu_period != 0 and not 1000 <= config.cpu_period <= 1_000_000,
        "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
    )
    _refuse(0 < config.cpu_quota < 1000, "CPU cfs quota can not be less than 1ms (i.e. 1000)")
    _refuse(config.cpu_shares < 0, f"invalid CPU shares ({config.cpu_shares}): value must be a positive integer")
    _refuse(
        config.cpu_realtime_runtime > 0
        and config.cpu_realtime_period > 0
        and config.cpu_realtime_runtime > config.cpu_realtime_period,
        "cpu real-time runtime cannot be higher than cpu real-time period",
    )
    realtime = config.cpu_realtime_period or config.cpu_realtime_runtime
    _refuse(
        bool(realtime) and "cpu_realtime" not in host.limits, "Your kernel does not support CPU real-time scheduler"
    )


def _cpuset(what: str, name: str, text: str, available: frozenset[int]) -> None:
    if not text:
        return
    try:
        wanted = number_set(text)
    except ValueError as error:
        raise InvalidArgument(f"Invalid value {text} for cpuset {name}") from error
    have = ",".join(str(number) for number in sorted(available))
    _refuse(not wanted <= available, f"Requested {what} are not available - requested {text}, available: {have}")


def _blkio(config: HostConfig) -> None:
    weights = [config.blkio_weight, *(entry.weight for entry in config.blkio_weight_device or ())]
    _refuse(
        any(weight != 0 and not 10 <= weight <= 1000 for weight in weights),
        "Range of blkio weight is from 10 to 1000",
    )
    for entry in (
        *(config.blkio_weight_device or ()),
        *(config.blkio_device_read_bps or ()),
        *(config.blkio_device_write_bps or ()),
        *(config.blkio_device_read_iops or ()),
        *(config.blkio_device_write_iops or ()),
    ):
        if not os.path.exists(entry.path):
            raise InvalidArgument(f"{entry.path}: no such file or directory")
    _refuse(config.io_maximum_bandwidth != 0, "Invalid QoS settings: linux does not support Maximum IO Bandwidth")
    _refuse(config.io_maximum_iops != 0, "Invalid QoS settings: linux does not support Maximum IO IOps")


def _rest(config: HostConfig) -> None:
    score = config.oom_score_adj
    _refuse(not -1000 <= score <= 1000, f"Invalid value {score}, range for oom score adj is [-1000, 1000]")
    _refuse(config.shm_size < 0, "SHM size can not be less than 0")


def _refuse(wrong: bool, text: str) -> None:
    if wrong:
        raise InvalidArgument(text)
