"""What this host can do, found out once when the daemon starts."""

import os
import platform
import resource
from dataclasses import dataclass, field

from corten.linux import cgroup, controllers
from corten.linux.cgroup import CgroupLayout

_CAPABILITY_BITS = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
ALL_CAPABILITIES = tuple(f"CAP_{name}" for name in _CAPABILITY_BITS.split())
"""In the kernel's order: the index is the bit number (linux/capability.h)."""

RLIMITS = {
    "core": resource.RLIMIT_CORE,
    "cpu": resource.RLIMIT_CPU,
    "data": resource.RLIMIT_DATA,
    "fsize": resource.RLIMIT_FSIZE,
    "locks": 10,  # RLIMIT_LOCKS, which Python does not name
    "memlock": resource.RLIMIT_MEMLOCK,
    "msgqueue": resource.RLIMIT_MSGQUEUE,
    "nice": resource.RLIMIT_NICE,
    "nofile": resource.RLIMIT_NOFILE,
    "nproc": resource.RLIMIT_NPROC,
    "rss": resource.RLIMIT_RSS,
    "rtprio": resource.RLIMIT_RTPRIO,
    "rttime": 15,  # RLIMIT_RTTIME
    "sigpending": resource.RLIMIT_SIGPENDING,
    "stack": resource.RLIMIT_STACK,
}
"""Docker's ulimit names to the numbers of getrlimit(2)."""

_GO_ARCH = {
    "x86_64": "amd64",
    "i386": "386",
    "i686": "386",
    "aarch64": "arm64",
    "armv7l": "arm",
    "armv6l": "arm",
    "mips64": "mips64",
    "riscv64": "riscv64",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "loongarch64": "loong64",
}


@dataclass(frozen=True, slots=True)
class Host:
    """Facts about kernel and machine. Sizes in bytes; ``rlimits`` maps ulimit name to (soft, hard), -1 = unlimited."""

    kernel: str
    architecture: str
    hostname: str
    cgroups: CgroupLayout
    bounding: frozenset[str] = frozenset(ALL_CAPABILITIES)
    rlimits: dict[str, tuple[int, int]] = field(default_factory=dict)
    seccomp: bool = True
    apparmor: bool = False
    selinux: bool = False
    memory_total: int = 0
    cpus: int = 1
    cpus_online: frozenset[int] = frozenset({0})
    memory_nodes: frozenset[int] = frozenset({0})
    limits: frozenset[str] = frozenset()
    """What cgroups can limit here: names of ``corten.linux.controllers``."""
    unprivileged_ports: bool = True
    """The kernel has net.ipv4.ip_unprivileged_port_start and ping_group_range."""
    lowest_oom_score_adj: int = -1000
    """Below this the kernel refuses to go: the daemon's own value when it lacks CAP_SYS_RESOURCE."""
    thermal_throttle: tuple[str, ...] = ()

    @property
    def kernel_version(self) -> tuple[int, int]:
        """(major, minor)."""
        major, _, rest = self.kernel.partition(".")
        minor = rest.partition(".")[0].partition("-")[0]
        return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)

    @property
    def can_raise_limits(self) -> bool:
        """Whether a hard limit above the daemon's own can be set."""
        return "CAP_SYS_RESOURCE" in self.bounding


def detect() -> Host:
    """Read everything from /proc and /sys of the running system."""
    uname = os.uname()
    layout = cgroup.detect()
    bounding = _bounding(_read("/proc/self/status"))
    return Host(
        kernel=uname.release,
        architecture=_GO_ARCH.get(platform.machine(), platform.machine()),
        hostname=uname.nodename,
        cgroups=layout,
        bounding=bounding,
        rlimits={name: resource.getrlimit(number) for name, number in RLIMITS.items()},
        seccomp="Seccomp:" in _read("/proc/self/status"),
        apparmor=_read("/sys/module/apparmor/parameters/enabled").strip() == "Y"
        and os.path.isdir("/sys/kernel/security/apparmor"),
        selinux=os.path.isfile("/sys/fs/selinux/enforce"),
        memory_total=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        cpus=os.sysconf("SC_NPROCESSORS_ONLN"),
        cpus_online=number_set(_read("/sys/devices/system/cpu/online").strip() or "0"),
        memory_nodes=number_set(_read("/sys/devices/system/node/online").strip() or "0"),
        limits=controllers.features(layout),
        unprivileged_ports=os.path.exists("/proc/sys/net/ipv4/ip_unprivileged_port_start"),
        lowest_oom_score_adj=-1000 if "CAP_SYS_RESOURCE" in bounding else int(_read("/proc/self/oom_score_adj") or 0),
        thermal_throttle=_thermal_throttle(),
    )


def number_set(text: str) -> frozenset[int]:
    """The kernel's list format: "0-2,4" is {0, 1, 2, 4}, "" the empty set (cpuset(7)). ValueError for anything else."""
    numbers: set[int] = set()
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        if not part.isascii() or not first.isdecimal() or (dash and not last.isdecimal()) or len(part) > 20:
            raise ValueError(f"not a list of numbers: {text!r}")
        low, high = int(first), int(last or first)
        if high < low or high > 1 << 16:
            raise ValueError(f"not a list of numbers: {text!r}")
        numbers.update(range(low, high + 1))
    return frozenset(numbers)


def _bounding(status: str) -> frozenset[str]:
    for line in status.splitlines():
        if line.startswith("CapBnd:"):
            mask = int(line.split()[1], 16)
            return frozenset(name for bit, name in enumerate(ALL_CAPABILITIES) if mask >> bit & 1)
    return frozenset()


def _thermal_throttle() -> tuple[str, ...]:
    """Per-CPU directories whose counters leak other tenants' load; they are masked in containers."""
    base = "/sys/devices/system/cpu"
    if not os.path.isdir(base):
        return ()
    names = (name for name in os.listdir(base) if name.startswith("cpu") and name[3:].isdecimal())
    paths = (f"{base}/{name}/thermal_throttle" for name in names)
    return tuple(sorted(path for path in paths if os.path.isdir(path)))


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""
