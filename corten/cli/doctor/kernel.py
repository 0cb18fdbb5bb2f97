"""The kernel: its version, namespaces, file systems, seccomp, security modules."""

from __future__ import annotations

import ctypes
import os
import re

from corten.cli.doctor.finding import ADVICE, OK, PROBLEM, Finding, read

FLOOR = (5, 12)
"""mount_setattr, which read-only recursive binds and image mounts need, came with 5.12 (mount_setattr(2))."""
RECURSIVE_REMEDY = f"Use Linux {FLOOR[0]}.{FLOOR[1]} or newer; Debian 12 has 6.1."
NAMESPACES = ("mnt", "pid", "net", "ipc", "uts", "cgroup", "user", "time")
OPTIONAL_NAMESPACES = ("user", "time")
SYS_OPENAT2 = 437
ENOSYS = 38


def findings() -> list[Finding]:
    return [version(), namespaces(), overlay(), openat2(), seccomp(), apparmor(), forwarding(), keys()]


def version() -> Finding:
    release = os.uname().release
    match = re.match(r"(\d+)\.(\d+)", release)
    numbers = (int(match[1]), int(match[2])) if match else (0, 0)
    if numbers < FLOOR:
        return Finding("kernel", PROBLEM, f"Linux {release} is too old", RECURSIVE_REMEDY)
    return Finding("kernel", OK, f"Linux {release}")


def namespaces() -> Finding:
    lacking = [name for name in NAMESPACES if not os.path.exists(f"/proc/self/ns/{name}")]
    needed = [name for name in lacking if name not in OPTIONAL_NAMESPACES]
    if needed:
        remedy = "Run a kernel built with CONFIG_NAMESPACES and its members."
        return Finding("namespaces", PROBLEM, f"missing: {', '.join(needed)}", remedy)
    if lacking:
        return Finding("namespaces", ADVICE, f"without {', '.join(lacking)}", "Only needed by options that name them.")
    return Finding("namespaces", OK, ", ".join(NAMESPACES))


def overlay() -> Finding:
    if "\toverlay\n" in read("/proc/filesystems"):
        return Finding("overlayfs", OK, "built in or loaded")
    module = f"/lib/modules/{os.uname().release}"
    if os.path.isdir(module) and "overlay" in read(f"{module}/modules.dep"):
        return Finding("overlayfs", OK, "a module, loaded when needed")
    return Finding("overlayfs", PROBLEM, "the kernel does not offer it", "Load it: modprobe overlay")


def openat2() -> Finding:
    """Names inside images are resolved by openat2 alone; some sandboxes refuse it."""
    library = ctypes.CDLL(None, use_errno=True)
    how = (ctypes.c_uint64 * 3)(os.O_PATH | os.O_CLOEXEC, 0, 0)
    descriptor = library.syscall(SYS_OPENAT2, -100, b"/", how, ctypes.sizeof(how))
    if descriptor < 0:
        reason = os.strerror(ctypes.get_errno())
        return Finding(
            "openat2", PROBLEM, f"refused: {reason}", "Use Linux 5.6 or newer, and a sandbox that allows it."
        )
    os.close(descriptor)
    return Finding("openat2", OK, "works")


def seccomp() -> Finding:
    actions = read("/proc/sys/kernel/seccomp/actions_avail").split()
    if "errno" in actions:
        return Finding("seccomp", OK, "filters work")
    remedy = "Run a kernel with CONFIG_SECCOMP_FILTER; containers run without a system-call filter otherwise."
    return Finding("seccomp", PROBLEM, "no filters", remedy)


def apparmor() -> Finding:
    if read("/sys/module/apparmor/parameters/enabled").strip() == "Y":
        return Finding("AppArmor", OK, "on")
    return Finding("AppArmor", ADVICE, "off", "One layer of confinement less; boot with security=apparmor to have it.")


def forwarding() -> Finding:
    if read("/proc/sys/net/ipv4/ip_forward").strip() == "1":
        return Finding("IP forwarding", OK, "on")
    return Finding("IP forwarding", ADVICE, "off", "cortend switches it on when it makes its bridge.")


def keys() -> Finding:
    """A session keyring per container counts against root's quota when the runtime makes one."""
    text = read("/proc/sys/kernel/keys/root_maxkeys").strip()
    if text.isdigit() and int(text) < 10_000:
        remedy = "sysctl -w kernel.keys.root_maxkeys=1000000"
        return Finding("kernel keys", ADVICE, f"root may hold {text}; thousands of containers need more", remedy)
    return Finding("kernel keys", OK, "enough")
