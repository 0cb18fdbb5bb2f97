"""The ``mounts`` of the runtime's document: what every container has, the engine's files, then the user's mounts."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from corten.errors import InvalidArgument
from corten.model.mount import SpecMount
from corten.model.record import Record

DEFAULT_SHM_SIZE = 64 << 20

_BASE: tuple[dict[str, Any], ...] = (
    {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
    {
        "destination": "/dev",
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
        "destination": "/dev/pts",
        "type": "devpts",
        "source": "devpts",
        "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
    {
        "destination": "/sys/fs/cgroup",
        "type": "cgroup",
        "source": "cgroup",
        "options": ["ro", "nosuid", "noexec", "nodev"],
    },
)
_PROC_FILES = frozenset(
    f"/proc/{name}"
    for name in (
        "cpuinfo",
        "diskstats",
        "meminfo",
        "stat",
        "swaps",
        "uptime",
        "loadavg",
        "slabinfo",
        "net/dev",
        "sys/kernel/ns_last_pid",
    )
)
_KEPT_WRITABLE = frozenset(("/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"))
"""Writable also under a read-only root, as with Docker."""


def all_mounts(
    record: Record,
    user_mounts: Sequence[SpecMount],
    files: Mapping[str, str],
    shm_source: str,
    writable_cgroups: bool | None,
) -> list[dict[str, Any]]:
    """Every mount in the order in which the runtime makes them: parents before what lies below.

    *files* maps a destination to the engine's host file that is bound there, "" for none. A user's mount replaces the
    engine's at the same place, and one on /dev replaces all that is below it.
    """
    config = record.host_config
    taken = {mount.destination.rstrip("/") for mount in user_mounts}
    defaults = [
        mount
        for mount in (*_BASE, *_ipc_mounts(record, shm_source))
        if mount["destination"] not in taken and not ("/dev" in taken and mount["destination"].startswith("/dev/"))
    ]
    if config.readonly_rootfs:
        defaults = [mount if mount["destination"] in _KEPT_WRITABLE else _read_only(mount) for mount in defaults]
    elif config.privileged:
        defaults = [_writable(mount) if mount["type"] in ("sysfs", "cgroup") else mount for mount in defaults]
    if writable_cgroups is not None:
        change = _writable if writable_cgroups else _read_only
        defaults = [change(mount) if mount["type"] == "cgroup" else mount for mount in defaults]
    extra = [
        _bind(source, target, read_only=config.readonly_rootfs or target.startswith("/sbin/"))
        for target, source in files.items()
        if source and target not in taken
    ]
    extra += [
        {"destination": mount.destination, "type": mount.type, "source": mount.source, "options": list(mount.options)}
        for mount in user_mounts
    ]
    extra.sort(key=lambda mount: mount["destination"].rstrip("/").count("/"))
    return defaults + extra


def check_targets(user_mounts: Sequence[SpecMount]) -> None:
    """Refuse mounts that would make a runtime trust what the user mounts.

    Runtimes take /dev/null for their masks from the container's /dev, and hand security labels over through its /proc.
    Whoever can change a directory mounted there could swap them for links meanwhile (CVE-2025-31133, CVE-2025-52881,
    CVE-2019-16884). So on /dev and /proc only the host's own may be bound (or a fresh tmpfs on /dev), and below /proc
    only files that tell about resources, as runc allows them.
    """
    for mount in user_mounts:
        target = os.path.normpath(mount.destination)
        if target == "/dev":
            trusted = mount.type == "tmpfs" or _same_tree(mount.source, "/dev")
        elif target == "/proc":
            trusted = mount.type == "proc" or _same_tree(mount.source, "/proc")
        elif target.startswith("/proc/"):
            if target not in _PROC_FILES:
                raise InvalidArgument(f'"{target}" cannot be mounted because it is inside /proc')
            continue
        else:
            continue
        if not trusted:
            raise InvalidArgument(f'"{target}" cannot be mounted: only the host\'s own tree may be bound there')


def _same_tree(source: str, tree: str) -> bool:
    try:
        return os.path.samestat(os.stat(source), os.stat(tree))
    except OSError:
        return False


def root_propagation(user_mounts: Sequence[SpecMount]) -> str:
    """What the root mount must be so that the user's propagation works: "shared", "rslave", or "" for the default."""
    words = {option for mount in user_mounts for option in mount.options}
    if words & {"shared", "rshared"}:
        return "shared"
    return "rslave" if words & {"slave", "rslave"} else ""


def _ipc_mounts(record: Record, shm_source: str) -> list[dict[str, Any]]:
    config = record.host_config
    if config.ipc_mode == "host":
        return [_bind(path, path) for path in ("/dev/mqueue", "/dev/shm") if os.path.isdir(path)]
    flags = ["nosuid", "noexec", "nodev"]
    result: list[dict[str, Any]] = [
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": flags}
    ]
    if config.ipc_mode == "none":
        return result
    if shm_source:
        result.append(_bind(shm_source, "/dev/shm"))
    else:
        options = [*flags, "mode=1777", f"size={config.shm_size or DEFAULT_SHM_SIZE}"]
        result.append({"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": options})
    return result


def _bind(source: str, target: str, read_only: bool = False) -> dict[str, Any]:
    options = ["rbind", "rprivate", *(["ro"] if read_only else [])]
    return {"destination": target, "type": "bind", "source": source, "options": options}


def _read_only(mount: dict[str, Any]) -> dict[str, Any]:
    return mount if "ro" in mount["options"] else {**mount, "options": [*mount["options"], "ro"]}


def _writable(mount: dict[str, Any]) -> dict[str, Any]:
    return {**mount, "options": [option for option in mount["options"] if option != "ro"]}
