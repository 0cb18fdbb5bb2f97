"""Container Device Interface: devices that a vendor describes in files on the host (CNCF CDI specification 1.0).

A description says what a container needs for a device: nodes, mounts, variables, hooks. Files are JSON or YAML in the
given directories; a device in a later directory replaces one of the same name in an earlier, and one that two files of
a directory describe cannot be had. Only the administrator writes there; names in images or labels never get here.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from corten.errors import InvalidArgument
from corten.model.container import DeviceRequest
from corten.runtime import devices as device_nodes

DIRECTORIES = ("/etc/cdi", "/var/run/cdi")
_GPU_KIND = "nvidia.com/gpu"
_MAX_FILE = 16 << 20
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*/[A-Za-z][A-Za-z0-9_-]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")
_HOOKS = frozenset(("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"))


class DeviceNode(msgspec.Struct, frozen=True, rename="camel"):
    path: str
    host_path: str = ""
    type: str = ""
    major: int = 0
    minor: int = 0
    file_mode: int | None = None
    permissions: str = ""
    uid: int | None = None
    gid: int | None = None


class Mount(msgspec.Struct, frozen=True, rename="camel"):
    host_path: str
    container_path: str
    options: list[str] | None = None
    type: str = ""


class Hook(msgspec.Struct, frozen=True, rename="camel"):
    hook_name: str
    path: str
    args: list[str] | None = None
    env: list[str] | None = None
    timeout: int | None = None


class Edits(msgspec.Struct, frozen=True, rename="camel"):
    env: list[str] | None = None
    device_nodes: list[DeviceNode] | None = None
    hooks: list[Hook] | None = None
    mounts: list[Mount] | None = None
    intel_rdt: dict[str, Any] | None = None
    additional_gids: list[int] | None = msgspec.field(default=None, name="additionalGIDs")


class Device(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    container_edits: Edits = Edits()


class Description(msgspec.Struct, frozen=True, rename="camel"):
    """One file."""

    cdi_version: str
    kind: str
    devices: list[Device]
    container_edits: Edits = Edits()


@dataclass(slots=True)
class Registry:
    """Every known device by its qualified name "vendor.com/class=name", and the files that are wrong."""

    devices: dict[str, tuple[Description, Device]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    _conflicts: set[str] = field(default_factory=set)

    def add(self, found: Sequence[Description]) -> None:
        """The devices of one directory."""
        here: dict[str, tuple[Description, Device]] = {}
        twice: set[str] = set()
        for description in found:
            for device in description.devices:
                name = f"{description.kind}={device.name}"
                if name in here:
                    twice.add(name)
                here[name] = (description, device)
        self._conflicts = (self._conflicts - here.keys()) | twice
        self.devices.update(here)

    def find(self, names: Sequence[str]) -> list[tuple[Description, Device]]:
        """InvalidArgument with Docker's words when one of *names* is not there."""
        missing = [name for name in names if name not in self.devices or name in self._conflicts]
        if missing:
            raise InvalidArgument(f"CDI device injection failed: unresolvable CDI devices {', '.join(missing)}")
        return [self.devices[name] for name in names]


def read(directories: Sequence[str] = DIRECTORIES) -> Registry:
    """What the directories describe now. A file that is wrong is named in ``problems`` and offers nothing."""
    registry = Registry()
    for directory in directories:
        found: list[Description] = []
        for path in _files(directory):
            try:
                found.append(_load(path))
            except (OSError, ValueError) as error:
                registry.problems[path] = str(error)
        registry.add(found)
    return registry


def apply(spec: dict[str, Any], requests: Sequence[DeviceRequest], directories: Sequence[str]) -> None:
    """Put what *requests* ask for into the runtime's document *spec*, in place.

    InvalidArgument in Docker's words for a driver that is not known and for devices that are not described.
    """
    registry = read(directories)
    names = [name for request in requests for name in _wanted(request, registry)]
    seen: list[str] = []
    for description, device in registry.find(list(dict.fromkeys(names))):
        if description.kind not in seen:  # what the devices of a kind have in common comes once
            seen.append(description.kind)
            _edit(spec, description.container_edits)
        _edit(spec, device.container_edits)


def _wanted(request: DeviceRequest, registry: Registry) -> list[str]:
    """Qualified names: as they are for the driver "cdi", translated for requests for GPUs when CDI knows some."""
    if request.driver == "cdi":
        return list(request.device_ids or ())
    asks_for_gpu = any("gpu" in group for group in request.capabilities or ())
    gpus = [name for name in registry.devices if name.startswith(f"{_GPU_KIND}=")]
    if request.driver not in ("", "nvidia") or not asks_for_gpu or not gpus:
        wanted = " ".join("[" + " ".join(group) + "]" for group in request.capabilities or ())
        raise InvalidArgument(f'could not select device driver "{request.driver}" with capabilities: [{wanted}]')
    if request.device_ids:
        return [f"{_GPU_KIND}={name}" for name in request.device_ids]
    if request.count < 0:
        every = f"{_GPU_KIND}=all"
        return [every] if every in gpus else gpus
    return [f"{_GPU_KIND}={number}" for number in range(request.count or 1)]


def _files(directory: str) -> Iterator[str]:
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return
    for name in names:
        if name.endswith((".json", ".yaml", ".yml")):
            yield f"{directory}/{name}"


def _load(path: str) -> Description:
    with open(path, "rb") as file:
        data = file.read(_MAX_FILE + 1)
    if len(data) > _MAX_FILE:
        raise ValueError(f"larger than {_MAX_FILE} bytes")
    if path.endswith(".json"):
        description = msgspec.json.decode(data, type=Description)
    else:
        description = msgspec.yaml.decode(data, type=Description)
    if not _KIND.fullmatch(description.kind):
        raise ValueError(f"invalid kind {description.kind!r}")
    for device in description.devices:
        if not _NAME.fullmatch(device.name):
            raise ValueError(f"invalid device name {device.name!r}")
    return description


def _edit(spec: dict[str, Any], edits: Edits) -> None:
    linux, process = spec["linux"], spec["process"]
    if edits.env:
        names = {entry.partition("=")[0] for entry in edits.env}
        process["env"] = [entry for entry in process["env"] if entry.partition("=")[0] not in names] + edits.env
    for wanted in edits.device_nodes or ():
        _add_node(linux, wanted)
    for mount in edits.mounts or ():
        options = mount.options or ["ro", "nosuid", "nodev", "rbind", "rprivate"]
        entry = {"destination": mount.container_path, "source": mount.host_path, "options": options}
        spec["mounts"] = [old for old in spec["mounts"] if old["destination"] != mount.container_path]
        spec["mounts"].append({**entry, "type": mount.type or "bind"})
    for hook in edits.hooks or ():
        _add_hook(spec, hook)
    if edits.intel_rdt:
        linux["intelRdt"] = edits.intel_rdt
    if edits.additional_gids:
        user = process["user"]
        user["additionalGids"] = sorted(
            {*user.get("additionalGids", ()), *(gid for gid in edits.additional_gids if gid)}
        )


def _add_node(linux: dict[str, Any], wanted: DeviceNode) -> None:
    if wanted.type and wanted.major:
        entry: dict[str, Any] | None = {
            "type": wanted.type,
            "path": wanted.path,
            "major": wanted.major,
            "minor": wanted.minor,
        }
    else:
        source = wanted.host_path or wanted.path
        try:
            entry = device_nodes.node(source, wanted.path)
        except OSError as error:
            raise InvalidArgument(f"CDI device injection failed: {source}: {os.strerror(error.errno or 0)}") from error
    if entry is None:
        raise InvalidArgument(f"CDI device injection failed: {wanted.path} is not a device node")
    for key, value in (("fileMode", wanted.file_mode), ("uid", wanted.uid), ("gid", wanted.gid)):
        if value is not None:
            entry[key] = value
    linux["devices"] = [old for old in linux.get("devices", ()) if old["path"] != wanted.path] + [entry]
    rules = linux["resources"].get("devices", [])
    linux["resources"]["devices"] = [*rules, device_nodes.rule_for(entry, wanted.permissions or "rwm")]


def _add_hook(spec: dict[str, Any], hook: Hook) -> None:
    if hook.hook_name not in _HOOKS or not hook.path.startswith("/"):
        raise InvalidArgument(f"CDI device injection failed: invalid hook {hook.hook_name!r}")
    optional = {"args": hook.args, "env": hook.env, "timeout": hook.timeout}
    entry = {"path": hook.path, **{key: value for key, value in optional.items() if value}}
    spec.setdefault("hooks", {}).setdefault(hook.hook_name, []).append(entry)
