"""From a container's record to the OCI runtime's ``config.json`` (runtime-spec 1.0.2: config.md, config-linux.md)."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from corten.errors import InvalidArgument, NotSupported
from corten.linux import cgroup
from corten.linux import path as rooted
from corten.linux.host import Host
from corten.model.mount import SpecMount
from corten.model.record import Record
from corten.runtime import (
    annotations,
    capabilities,
    cdi,
    devices,
    initprogram,
    resources,
    seccomp,
    seccomp_filter,
    security,
    spec_mounts,
    spec_process,
    user,
)
from corten.runtime.limits import rlimits

OCI_VERSION = "1.0.2"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecInput:
    """Everything that a container's start knows.

    ``rootfs`` is the host path of the mounted root. ``netns`` is the path of the network namespace to join; None makes
    a new one, unless the network mode is host. ``pid_ns``, ``ipc_ns`` and ``uts_ns`` are paths like /proc/PID/ns/pid
    for the modes ``container:ID``. ``shm_source`` is a host directory to be /dev/shm (shareable and shared IPC); ""
    means a tmpfs of its own. ``hostname`` "" means that of the config.
    """

    record: Record
    rootfs: str
    host: Host
    mounts: Sequence[SpecMount] = ()
    netns: str | None = None
    pid_ns: str = ""
    ipc_ns: str = ""
    uts_ns: str = ""
    shm_source: str = ""
    hostname: str = ""
    hosts_file: str = ""
    hostname_file: str = ""
    resolv_conf: str = ""
    cgroup_path: str = ""
    init_path: str = ""
    """Host path of the init program (tini, catatonit) for ``HostConfig.Init``."""
    default_init: bool = False
    default_ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    default_seccomp: str = ""
    """The daemon's own default profile: "", "unconfined" or JSON."""
    default_cgroupns: str = ""
    cdi_directories: Sequence[str] = cdi.DIRECTORIES


@dataclass(frozen=True, slots=True)
class SpecResult:
    """The document, and what the host could not honour. ``spec`` may hold ``msgspec.Raw``: use ``encode``."""

    spec: dict[str, Any]
    warnings: list[str]

    def encode(self) -> bytes:
        """The bytes of config.json."""
        return msgspec.json.encode(self.spec)


def build_spec(wanted: SpecInput) -> SpecResult:
    """The runtime's document for one start of the container.

    Makes the working directory in the root when it is missing. InvalidArgument when the root, the user, a device or the
    working directory cannot be used.
    """
    record, host_config = wanted.record, wanted.record.host_config
    options = security.parse(host_config.security_opt)
    warnings: list[str] = []
    if not host_config.privileged:
        spec_mounts.check_targets(wanted.mounts)
    with rooted.opened(rooted.open_root(wanted.rootfs)) as root_fd:
        check_rootfs(root_fd)
        who = user.resolve(root_fd, record.config.user, host_config.group_add)
        cwd = spec_process.ensure_cwd(
            root_fd, record.config.working_dir, [mount.destination for mount in wanted.mounts]
        )
    caps, missing = _capabilities(record, wanted.host)
    if missing and not host_config.privileged:
        warnings.append(capabilities.warning(missing))
    limits, limit_warnings = rlimits(host_config.ulimits, wanted.default_ulimits, wanted.host)
    warnings += limit_warnings
    with_init = _with_init(wanted)
    process = spec_process.container_process(
        record, who, cwd, caps, limits, options, wanted.host, wanted.hostname, with_init
    )
    spec: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "process": process,
        "root": {"path": wanted.rootfs, "readonly": host_config.readonly_rootfs},
        "mounts": spec_mounts.all_mounts(
            record,
            wanted.mounts,
            files={
                "/etc/resolv.conf": wanted.resolv_conf,
                "/etc/hostname": wanted.hostname_file,
                "/etc/hosts": wanted.hosts_file,
                spec_process.INIT_PATH: wanted.init_path if with_init else "",
            },
            shm_source=wanted.shm_source,
            writable_cgroups=options.writable_cgroups,
        ),
        "linux": _linux(wanted, options, caps),
    }
    if not (host_config.uts_mode or wanted.uts_ns) and (hostname := wanted.hostname or record.config.hostname):
        spec["hostname"] = hostname
    notes = annotations.harmless(host_config.annotations)
    section = spec["linux"].get("seccomp")
    if section is not None and (program := seccomp_filter.annotation(section)):
        notes[seccomp_filter.ANNOTATION] = program
    if notes:
        spec["annotations"] = notes
    if host_config.device_requests:
        cdi.apply(spec, host_config.device_requests, wanted.cdi_directories)
    return SpecResult(spec, warnings)


def check_rootfs(root_fd: int) -> None:
    """Refuse a root whose /dev, /proc or /sys is a symbolic link or no directory.

    Runtimes mount there and open nodes below; several have been led out of the root that way (CVE-2026-88264 and its
    family), so such an image never reaches them.
    """
    for name in ("/dev", "/proc", "/sys"):
        try:
            fd = rooted.open_in_root(root_fd, name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InvalidArgument(f"the image's {name} is not a directory; refusing to start on it") from error
        os.close(fd)


def _hidden_paths(record: Record, host: Host, options: security.SecurityOptions) -> tuple[list[str], list[str]]:
    """(masked, read-only) paths. The client's lists replace the defaults; privileged hides nothing."""
    config = record.host_config
    if config.privileged:
        return [], []
    masked, readonly = config.masked_paths, config.readonly_paths
    if options.system_paths_unconfined:
        return list(masked or ()), list(readonly or ())
    return (
        list(masked) if masked is not None else security.masked_paths(host),
        list(readonly) if readonly is not None else list(security.READONLY_PATHS),
    )


def cgroup_path(record: Record) -> str:
    """The container's cgroup path, as ``CgroupParent`` wants it."""
    return cgroup.container_path(record.id, record.host_config.cgroup_parent)


def _capabilities(record: Record, host: Host) -> tuple[list[str], list[str]]:
    config = record.host_config
    return capabilities.clamp(capabilities.effective(config.cap_add, config.cap_drop, config.privileged), host.bounding)


def _with_init(wanted: SpecInput) -> bool:
    """Whether process 1 is the init program; never where another container's or the host's process 1 is."""
    config = wanted.record.host_config
    if config.init and not config.pid_mode and not wanted.init_path:
        raise NotSupported(f"--init needs one of {', '.join(initprogram.PROGRAMS)}, statically linked, on this host")
    return (
        bool(wanted.init_path) and (wanted.default_init if config.init is None else config.init) and not config.pid_mode
    )


def _linux(wanted: SpecInput, options: security.SecurityOptions, caps: list[str]) -> dict[str, Any]:
    record, host_config = wanted.record, wanted.record.host_config
    device_set = devices.for_container(host_config)
    linux: dict[str, Any] = {
        "cgroupsPath": wanted.cgroup_path or cgroup_path(record),
        "namespaces": _namespaces(wanted),
        "resources": resources.for_host(host_config, wanted.host, device_set.rules),
    }
    if device_set.nodes:
        linux["devices"] = device_set.nodes
    masked, readonly = _hidden_paths(record, wanted.host, options)
    if masked:
        linux["maskedPaths"] = masked
    if readonly:
        linux["readonlyPaths"] = readonly
    if sysctls := _sysctls(wanted):
        linux["sysctl"] = sysctls
    if propagation := spec_mounts.root_propagation(wanted.mounts):
        linux["rootfsPropagation"] = propagation
    profile = options.seccomp or (seccomp.UNCONFINED if host_config.privileged else wanted.default_seccomp)
    section = seccomp.section(profile, tuple(caps), wanted.host) if wanted.host.seccomp else None
    if section is not None:
        linux["seccomp"] = section
    return linux


def cgroupns_mode(record: Record, host: Host, default: str = "") -> str:
    """ "private" or "host". Without a word from anybody: private on cgroup v2, host on v1, as Docker has it."""
    return record.host_config.cgroupns_mode or default or ("private" if host.cgroups.is_v2 else "host")


def _namespaces(wanted: SpecInput) -> list[dict[str, str]]:
    config = wanted.record.host_config
    result: list[dict[str, str]] = [{"type": "mount"}]
    for kind, path, shared_with_host in (
        ("network", wanted.netns or "", config.network_mode == "host"),
        ("pid", wanted.pid_ns, config.pid_mode == "host"),
        ("ipc", wanted.ipc_ns, config.ipc_mode == "host"),
        ("uts", wanted.uts_ns, config.uts_mode == "host"),
    ):
        if path:
            result.append({"type": kind, "path": path})
        elif not shared_with_host:
            result.append({"type": kind})
    if cgroupns_mode(wanted.record, wanted.host, wanted.default_cgroupns) == "private":
        result.append({"type": "cgroup"})
    return result


def _sysctls(wanted: SpecInput) -> dict[str, str]:
    """The client's settings over Docker's two defaults: low ports and ping without capabilities."""
    config, result = wanted.record.host_config, dict[str, str]()
    own_network = config.network_mode != "host" and not config.network_mode.startswith("container:")
    if own_network and wanted.host.unprivileged_ports:
        result = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
    if wanted.record.config.domainname and config.uts_mode != "host":
        result["kernel.domainname"] = wanted.record.config.domainname
    result.update(config.sysctls or {})
    return result
