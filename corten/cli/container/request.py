"""The body of POST /containers/create, made of the flags of run and create."""

from __future__ import annotations

import os

from corten.cli.container import envfile, mounts, networks, ports, security
from corten.cli.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corten.cli.flags import Options


def build(options: Options, image: str, command: list[str]) -> dict[str, Any]:
    """Config, HostConfig and NetworkingConfig in one. Failure (125) for what docker's client refuses itself."""
    exposed, bindings = ports.published(options.texts("publish"))
    exposed.update(ports.exposed(options.texts("expose")))
    binds, anonymous = mounts.volumes(options.texts("volume"))
    body = _config(options, image, command)
    body["ExposedPorts"] = exposed
    body["Volumes"] = anonymous
    host = _host_config(options)
    host["Binds"] = binds
    host["PortBindings"] = bindings
    body["HostConfig"] = _without_empty(host)
    body["NetworkingConfig"] = {"EndpointsConfig": networks.endpoints(options)}
    return _without_empty(body)


def _without_empty(section: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if value is not None and value not in ("", {}) and value != []}


def _config(options: Options, image: str, command: list[str]) -> dict[str, Any]:
    streams = attached(options)
    stdin = options.on("interactive")
    return {
        "Hostname": options.text("hostname"),
        "Domainname": options.text("domainname"),
        "User": options.text("user"),
        "AttachStdin": "stdin" in streams,
        "AttachStdout": "stdout" in streams,
        "AttachStderr": "stderr" in streams,
        "Tty": options.on("tty"),
        "OpenStdin": stdin,
        "StdinOnce": stdin and "stdin" in streams,
        "Env": environment(options),
        "Cmd": command,
        "Image": image,
        "WorkingDir": options.text("workdir"),
        "Entrypoint": _entrypoint(options),
        "Labels": _labels(options),
        "Healthcheck": _health(options),
        "StopSignal": options.text("stop-signal"),
        "StopTimeout": options.number("stop-timeout") if options.given("stop-timeout") else None,
    }


def attached(options: Options) -> list[str]:
    """The streams to attach: those of ``-a``, else both outputs and, with ``-i``, the input."""
    streams = options.texts("attach")
    if streams:
        return streams
    if "detach" in options and options.on("detach"):
        return []
    return ["stdout", "stderr", *(["stdin"] if options.on("interactive") else [])]


def environment(options: Options) -> list[str]:
    """Variables of ``--env-file`` and then of ``--env``."""
    result = [line for path in options.texts("env-file") for line in envfile.read(path, os.environ.get)]
    return result + options.texts("env")


def _entrypoint(options: Options) -> list[str] | None:
    if not options.given("entrypoint"):
        return None
    return [options.text("entrypoint")]


def _labels(options: Options) -> dict[str, str]:
    lines = [line for path in options.texts("label-file") for line in envfile.read(path, lambda name: None)]
    labels = dict(line.partition("=")[::2] for line in lines)
    labels.update(options.value("label"))
    return labels


_HEALTH_FLAGS = ("cmd", "interval", "retries", "start-interval", "start-period", "timeout")


def _health(options: Options) -> dict[str, Any] | None:
    given = [name for name in _HEALTH_FLAGS if options.value(f"health-{name}")]
    if options.on("no-healthcheck"):
        if given:
            raise Failure("--no-healthcheck conflicts with --health-* options", 125)
        return {"Test": ["NONE"]}
    if not given:
        return None
    for name in ("interval", "timeout", "start-period", "start-interval", "retries"):
        if options.number(f"health-{name}") < 0:
            raise Failure(f"--health-{name} cannot be negative", 125)
    command = options.text("health-cmd")
    return {
        "Test": ["CMD-SHELL", command] if command else [],
        "Interval": options.number("health-interval"),
        "Timeout": options.number("health-timeout"),
        "StartPeriod": options.number("health-start-period"),
        "StartInterval": options.number("health-start-interval"),
        "Retries": options.number("health-retries"),
    }


def _host_config(options: Options) -> dict[str, Any]:
    security_options, system_paths = security.split_system_paths(security.options(options.texts("security-opt")))
    return {
        **resources(options),
        **_limits(options),
        **_namespaces(options),
        "NetworkMode": networks.mode(options),
        "RestartPolicy": restart_policy(options.text("restart")),
        "AutoRemove": _auto_remove(options),
        "LogConfig": _log_config(options),
        "VolumeDriver": options.text("volume-driver"),
        "VolumesFrom": options.texts("volumes-from"),
        "Mounts": _mounts(options),
        "Tmpfs": mounts.tmpfs(options.texts("tmpfs")),
        "Annotations": dict(options.value("annotation")),
        "CapAdd": [capability(name) for name in options.texts("cap-add")],
        "CapDrop": [capability(name) for name in options.texts("cap-drop")],
        "Dns": options.texts("dns"),
        "DnsOptions": options.texts("dns-option"),
        "DnsSearch": options.texts("dns-search"),
        "ExtraHosts": options.texts("add-host"),
        "GroupAdd": options.texts("group-add"),
        "Links": options.texts("link"),
        "Privileged": options.on("privileged") or None,
        "PublishAllPorts": options.on("publish-all") or None,
        "ReadonlyRootfs": options.on("read-only") or None,
        "SecurityOpt": security_options,
        "Sysctls": dict(options.value("sysctl")),
        "StorageOpt": _storage(options),
        "Runtime": options.text("runtime"),
        "Isolation": options.text("isolation"),
        "Init": options.on("init") if options.given("init") else None,
        "ContainerIDFile": options.text("cidfile"),
        **({"MaskedPaths": (), "ReadonlyPaths": ()} if system_paths else {}),
    }


def resources(options: Options) -> dict[str, Any]:
    """The limits that ``update`` can change too; what was not given is left out."""
    names = {
        "blkio-weight": "BlkioWeight",
        "cpu-period": "CpuPeriod",
        "cpu-quota": "CpuQuota",
        "cpu-rt-period": "CpuRealtimePeriod",
        "cpu-rt-runtime": "CpuRealtimeRuntime",
        "cpu-shares": "CpuShares",
        "cpus": "NanoCpus",
        "cpuset-cpus": "CpusetCpus",
        "cpuset-mems": "CpusetMems",
        "memory": "Memory",
        "memory-reservation": "MemoryReservation",
        "memory-swap": "MemorySwap",
        "pids-limit": "PidsLimit",
    }
    return {name: options.value(flag) for flag, name in names.items() if options.given(flag)}


def _limits(options: Options) -> dict[str, Any]:
    swappiness = options.number("memory-swappiness")
    if not -1 <= swappiness <= 100:
        raise Failure(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100", 125)
    return {
        "BlkioWeightDevice": options.value("blkio-weight-device"),
        "BlkioDeviceReadBps": options.value("device-read-bps"),
        "BlkioDeviceWriteBps": options.value("device-write-bps"),
        "BlkioDeviceReadIOps": options.value("device-read-iops"),
        "BlkioDeviceWriteIOps": options.value("device-write-iops"),
        "CgroupParent": options.text("cgroup-parent"),
        "Devices": [_device(text) for text in options.texts("device") if not is_cdi(text)],
        "DeviceCgroupRules": options.texts("device-cgroup-rule"),
        "DeviceRequests": _device_requests(options),
        "MemorySwappiness": swappiness,
        "OomKillDisable": options.on("oom-kill-disable") or None,
        "OomScoreAdj": options.number("oom-score-adj") or None,
        "ShmSize": options.number("shm-size") or None,
        "Ulimits": sorted(
            {item["Name"]: item for item in options.value("ulimit")}.values(), key=lambda u: str(u["Name"])
        ),
    }


def _namespaces(options: Options) -> dict[str, str]:
    kinds = {
        "pid": ("PidMode", "PID", ("host", "")),
        "uts": ("UTSMode", "UTS", ("host", "")),
        "userns": ("UsernsMode", "USER", ("host", "")),
        "cgroupns": ("CgroupnsMode", "CGROUP", ("host", "private", "")),
        "ipc": ("IpcMode", "IPC", None),
    }
    result: dict[str, str] = {}
    for flag, (name, title, allowed) in kinds.items():
        value = options.text(flag)
        container = flag == "pid" and value.startswith("container:") and len(value) > len("container:")
        if allowed is not None and value not in allowed and not container:
            raise Failure(f"--{flag}: invalid {title} mode", 125)
        result[name] = value
    return result


def _auto_remove(options: Options) -> bool | None:
    policy = options.text("restart")
    if options.on("rm") and policy not in ("", "no"):
        raise Failure("conflicting options: cannot specify both --restart and --rm", 125)
    return options.on("rm") or None


def restart_policy(text: str) -> dict[str, Any]:
    """``--restart`` as the API's RestartPolicy."""
    name, colon, count = text.partition(":")
    if colon and not name:
        raise Failure("invalid restart policy format: no policy provided before colon", 125)
    if not colon:
        return {"Name": name, "MaximumRetryCount": 0}
    if not count.lstrip("-").isdigit():
        raise Failure("invalid restart policy format: maximum retry count must be an integer", 125)
    return {"Name": name, "MaximumRetryCount": int(count)}


def _log_config(options: Options) -> dict[str, Any]:
    driver, values = options.text("log-driver"), options.texts("log-opt")
    if driver == "none" and values:
        raise Failure("invalid logging opts for driver none", 125)
    return _without_empty({"Type": driver, "Config": dict(value.partition("=")[::2] for value in values)})


def _storage(options: Options) -> dict[str, str]:
    result: dict[str, str] = {}
    for text in options.texts("storage-opt"):
        name, equals, value = text.partition("=")
        if not equals:
            raise Failure("invalid storage option", 125)
        result[name] = value
    return result


def _mounts(options: Options) -> list[dict[str, Any]]:
    return list(options.value("mount"))


def capability(name: str) -> str:
    """A capability's name as the API takes it: ``CAP_NET_ADMIN``, or ``ALL``."""
    upper = name.upper()
    return upper if upper == "ALL" or upper.startswith("CAP_") else f"CAP_{upper}"


def is_cdi(text: str) -> bool:
    """Whether ``--device`` names a CDI device (``vendor.com/class=name``)."""
    kind, equals, name = text.partition("=")
    vendor, slash, device_class = kind.partition("/")
    return bool(equals and slash and name and vendor and device_class and "/" not in device_class and ":" not in kind)


def _device(text: str) -> dict[str, str]:
    parts = text.split(":")
    source, target, access = parts[0], parts[0], "rwm"
    if len(parts) > 3:
        raise Failure(f"invalid device specification: {text}", 125)
    if len(parts) == 3:
        target, access = parts[1], parts[2]
        if not access or len(set(access)) != len(access) or not set(access) <= set("rwm"):
            raise Failure(f"invalid device specification: {text}", 125)
    elif len(parts) == 2:
        if parts[1] and len(set(parts[1])) == len(parts[1]) and set(parts[1]) <= set("rwm"):
            access = parts[1]
        else:
            target = parts[1]
    if not target.startswith("/"):
        raise Failure(f"{target} is not an absolute path", 125)
    return {"PathOnHost": source, "PathInContainer": target, "CgroupPermissions": access}


def _device_requests(options: Options) -> list[dict[str, Any]]:
    requests = list(options.value("gpus"))
    names = [text for text in options.texts("device") if is_cdi(text)]
    if names:
        requests.append({"Driver": "cdi", "DeviceIDs": names})
    return requests
