"""Info, version and disk usage as the API shows them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from corten.api import imageshape
from corten.api.routes.volumes import volume_document
from corten.api.times import rfc3339
from corten.api.versions import MAX_TEXT, MIN_TEXT, Version
from corten.model.system import DiskUsage, RuntimeInfo, SystemInfo, SystemVersion

DISK_USAGE_TYPES = ("container", "image", "volume", "build-cache")
INDEX = "https://index.docker.io/v1/"
_LOCAL_RANGES = ["::1/128", "127.0.0.0/8"]


def info(value: SystemInfo, version: Version) -> dict[str, Any]:
    """``GET /info``."""
    document: dict[str, Any] = {
        "ID": value.id,
        "Containers": value.counts.total,
        "ContainersRunning": value.counts.running,
        "ContainersPaused": value.counts.paused,
        "ContainersStopped": value.counts.stopped,
        "Images": value.images,
        "Driver": value.driver,
        "DriverStatus": [list(pair) for pair in value.driver_status],
        "Plugins": {
            "Volume": value.volume_drivers,
            "Network": value.network_drivers,
            "Authorization": None,
            "Log": value.log_drivers,
        },
        "MemoryLimit": "memory" in value.limits,
        "SwapLimit": "swap" in value.limits,
        "CpuCfsPeriod": "cpu_cfs" in value.limits,
        "CpuCfsQuota": "cpu_cfs" in value.limits,
        "CPUShares": "cpu_shares" in value.limits,
        "CPUSet": "cpuset" in value.limits,
        "PidsLimit": "pids" in value.limits,
        "IPv4Forwarding": value.ip_forwarding,
        "Debug": value.debug,
        "NFd": value.descriptors,
        "OomKillDisable": "oom_kill_disable" in value.limits,
        "NGoroutines": value.tasks,
        "SystemTime": rfc3339(value.time),
        "LoggingDriver": value.logging_driver,
        "CgroupDriver": value.cgroup_driver,
        "CgroupVersion": value.cgroup_version,
        "NEventsListener": value.listeners,
        "KernelVersion": value.kernel,
        "OperatingSystem": value.operating_system,
        "OSVersion": value.os_version,
        "OSType": "linux",
        "Architecture": value.machine,
        "IndexServerAddress": INDEX,
        "RegistryConfig": _registries(value),
        "NCPU": value.cpus,
        "MemTotal": value.memory_total,
        "GenericResources": None,
        "DockerRootDir": value.data_root,
        "HttpProxy": value.http_proxy,
        "HttpsProxy": value.https_proxy,
        "NoProxy": value.no_proxy,
        "Name": value.name,
        "Labels": value.labels,
        "ExperimentalBuild": value.experimental,
        "ServerVersion": value.version,
        "Runtimes": {name: _runtime(each, version) for name, each in value.runtimes.items()},
        "DefaultRuntime": value.default_runtime,
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": False,
            "Error": "",
            "RemoteManagers": None,
        },
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": value.init_program,
        "ContainerdCommit": {"ID": ""},
        "RuncCommit": {"ID": _default_runtime_version(value)},
        "InitCommit": {"ID": ""},
        "SecurityOptions": value.security_options,
        "CDISpecDirs": value.cdi_spec_dirs,
        "Warnings": value.warnings or None,
    }
    if value.address_pools:
        document["DefaultAddressPools"] = [{"Base": base, "Size": size} for base, size in value.address_pools]
    if version >= (1, 49):
        document["FirewallBackend"] = {"Driver": value.firewall}
    if version < (1, 50):
        document |= {"BridgeNfIptables": False, "BridgeNfIp6tables": False}
    if version < (1, 49):
        for name in ("ContainerdCommit", "RuncCommit", "InitCommit"):
            document[name]["Expected"] = document[name]["ID"]
    return document


def _default_runtime_version(value: SystemInfo) -> str:
    runtime = value.runtimes.get(value.default_runtime)
    return runtime.version if runtime else ""


def _runtime(runtime: RuntimeInfo, version: Version) -> dict[str, Any]:
    document: dict[str, Any] = {"path": runtime.path}
    if runtime.arguments:
        document["runtimeArgs"] = list(runtime.arguments)
    if version >= (1, 44) and runtime.version:
        document["status"] = {"version": runtime.version}
    return document


def _registries(value: SystemInfo) -> dict[str, Any]:
    """Names and ranges of insecure registries apart, and the default index."""
    ranges = [text for text in value.insecure_registries if "/" in text]
    names = [text for text in value.insecure_registries if "/" not in text]
    index = {"Name": "docker.io", "Mirrors": value.registry_mirrors, "Secure": True, "Official": True}
    insecure = {name: {"Name": name, "Mirrors": [], "Secure": False, "Official": False} for name in names}
    return {
        "InsecureRegistryCIDRs": [*_LOCAL_RANGES, *ranges],
        "IndexConfigs": {"docker.io": index, **insecure},
        "Mirrors": value.registry_mirrors or None,
    }


def version(value: SystemVersion) -> dict[str, Any]:
    """``GET /version``."""
    details = {
        "ApiVersion": MAX_TEXT,
        "Arch": value.architecture,
        "BuildTime": "",
        "Experimental": "true" if value.experimental else "false",
        "GitCommit": "",
        "GoVersion": value.interpreter,
        "KernelVersion": value.kernel,
        "MinAPIVersion": MIN_TEXT,
        "Os": "linux",
    }
    engine = {"Name": "Engine", "Version": value.version, "Details": details}
    others = [{"Name": each.name, "Version": each.version, "Details": each.details} for each in value.components]
    return {
        "Platform": {"Name": "Corten"},
        "Version": value.version,
        "ApiVersion": MAX_TEXT,
        "MinAPIVersion": MIN_TEXT,
        "Os": "linux",
        "Arch": value.architecture,
        "Components": [engine, *others],
        "GitCommit": "",
        "GoVersion": value.interpreter,
        "KernelVersion": value.kernel,
        **({"Experimental": True} if value.experimental else {}),
        "BuildTime": "",
    }


class _Sum(NamedTuple):
    """How many there are and are used, bytes in all and bytes that could be freed."""

    total: int
    active: int
    size: int
    reclaimable: int


def disk_usage(usage: DiskUsage, rows: Sequence[dict[str, Any]], version: Version, verbose: bool) -> dict[str, Any]:
    """``GET /system/df``; *rows* are the containers as the list shows them.

    Below 1.52 the lists of items; from then on sums, and the items with *verbose*, else the old lists beside them.
    """
    images: list[dict[str, Any]] | None = None
    if usage.images is not None:  # counted here whatever the version, unlike in the list of images
        images = [imageshape.summary(each, version) | {"Containers": each.containers} for each in usage.images]
    volumes = [volume_document(each) for each in usage.volumes] if usage.volumes is not None else None
    containers = list(rows) if usage.containers is not None else None
    legacy = {
        "LayersSize": usage.layers_size,
        "Images": images,
        "Containers": containers,
        "Volumes": volumes,
        "BuildCache": [],
    }
    if version < (1, 52):
        return legacy
    document: dict[str, Any] = {} if verbose else dict(legacy)
    parts = (
        ("ImageUsage", _image_sum(usage), images),
        ("ContainerUsage", _container_sum(usage), containers),
        ("VolumeUsage", _volume_sum(usage), volumes),
    )
    for name, found, items in parts:
        if found is not None:
            document[name] = _group(found, items if verbose else None)
    document["BuildCacheUsage"] = {}
    return document


def _group(found: _Sum, items: list[dict[str, Any]] | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "ActiveCount": found.active,
        "Items": items,
        "Reclaimable": found.reclaimable,
        "TotalCount": found.total,
        "TotalSize": found.size,
    }
    return {key: value for key, value in document.items() if value}


def _image_sum(usage: DiskUsage) -> _Sum | None:
    if usage.images is None:
        return None
    used = [image for image in usage.images if image.containers > 0]
    held = sum(image.size - max(image.shared_size, 0) for image in used)
    return _Sum(len(usage.images), len(used), usage.layers_size, max(usage.layers_size - held, 0))


def _container_sum(usage: DiskUsage) -> _Sum | None:
    if usage.containers is None:
        return None
    active = [each for each in usage.containers if each.active]
    size = sum(each.own for each in usage.containers)
    return _Sum(len(usage.containers), len(active), size, size - sum(each.own for each in active))


def _volume_sum(usage: DiskUsage) -> _Sum | None:
    if usage.volumes is None:
        return None
    known = [each.usage for each in usage.volumes if each.usage is not None]
    size = sum(max(each.size, 0) for each in known)
    unused = sum(max(each.size, 0) for each in known if not each.ref_count)
    return _Sum(len(usage.volumes), sum(each.ref_count > 0 for each in known), size, unused)
