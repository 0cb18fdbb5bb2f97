"""Device nodes and what the device cgroup lets a container do with them."""

import os
import re
import stat
from dataclasses import dataclass
from typing import Any

from corten.errors import InvalidArgument
from corten.model.container import DeviceMapping, HostConfig

_RULE = re.compile(r"([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})")
_SKIPPED = frozenset({"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"})
"""Directories of /dev that a container has of its own, or that hold no devices."""
_RUNTIME_MADE = frozenset(
    f"/dev/{name}" for name in ("null", "zero", "full", "tty", "urandom", "random", "console", "ptmx")
)
_MAX_DEVICES = 4096


@dataclass(frozen=True, slots=True)
class DeviceSet:
    """``nodes`` are entries of ``linux.devices``, ``rules`` of ``linux.resources.devices``."""

    nodes: list[dict[str, Any]]
    rules: list[dict[str, Any]]


def _allow(kind: str, major: int | None, minor: int | None, access: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"allow": True, "type": kind, "access": access}
    if major is not None:
        rule["major"] = major
    if minor is not None:
        rule["minor"] = minor
    return rule


DEFAULT_RULES: list[dict[str, Any]] = [
    {"allow": False, "access": "rwm"},
    _allow("c", None, None, "m"),
    _allow("b", None, None, "m"),
    *(_allow("c", major, minor, "rwm") for major, minor in ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2))),
    _allow("c", 136, None, "rwm"),
]
"""Nothing but null, zero, full, random, urandom, tty, ptmx and pseudo terminals; making nodes is up to CAP_MKNOD."""


def for_container(host: HostConfig) -> DeviceSet:
    """Nodes and rules of a container, from ``Privileged``, ``Devices`` and ``DeviceCgroupRules``.

    InvalidArgument with Docker's words when a device cannot be had.
    """
    if host.privileged:
        nodes = host_devices()
        taken = {node["path"] for node in nodes}
        for mapping in host.devices or ():
            if mapping.path_in_container and mapping.path_in_container not in taken:
                nodes += _mapped(mapping)[0]
        return DeviceSet(nodes, [{"allow": True, "access": "rwm"}])
    if not host.devices and not host.device_cgroup_rules:
        return DeviceSet([], DEFAULT_RULES)
    nodes, rules = [], list(DEFAULT_RULES)
    for mapping in host.devices or ():
        new_nodes, new_rules = _mapped(mapping)
        nodes += new_nodes
        rules += new_rules
    rules += [parse_rule(text) for text in host.device_cgroup_rules or ()]
    return DeviceSet(nodes, rules)


def parse_rule(text: str) -> dict[str, Any]:
    """``DeviceCgroupRules``: "c 1:* rwm" (type major:minor access), "a *:* rwm" means every device."""
    match = _RULE.fullmatch(text)
    if match is None:
        raise InvalidArgument(f"invalid device cgroup rule format: '{text}'")
    kind, major, minor, access = match.groups()
    rule: dict[str, Any] = {"allow": True, "type": kind, "access": access}
    for key, value in (("major", major), ("minor", minor)):
        if value != "*":
            if int(value) >= 1 << 32:
                raise InvalidArgument(f"invalid {key} value in device cgroup rule format: '{text}'")
            rule[key] = int(value)
    return rule


def check_mapping(mapping: DeviceMapping) -> None:
    """What is wrong with a mapping whatever the host has."""
    if mapping.cgroup_permissions and (set(mapping.cgroup_permissions) - set("rwm")):
        raise InvalidArgument(f"invalid device mode: {mapping.cgroup_permissions}")


def node(path: str, name: str | None = None) -> dict[str, Any] | None:
    """The ``linux.devices`` entry for the host's device *path*, called *name* inside; None when it is no device."""
    status = os.stat(path)
    kind = "c" if stat.S_ISCHR(status.st_mode) else "b" if stat.S_ISBLK(status.st_mode) else ""
    if not kind:
        return None
    return {
        "type": kind,
        "path": name or path,
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
        "fileMode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }


def rule_for(entry: dict[str, Any], access: str) -> dict[str, Any]:
    """The cgroup rule that allows *access* to the device of a ``linux.devices`` entry."""
    return _allow(entry["type"], entry["major"], entry["minor"], access)


def host_devices() -> list[dict[str, Any]]:
    """Every device node below the host's /dev, except those that the runtime makes in each container itself."""
    return [entry for entry in _below("/dev", "/dev") if entry["path"] not in _RUNTIME_MADE]


def _mapped(mapping: DeviceMapping) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    source = mapping.path_on_host
    target = mapping.path_in_container or source
    access = mapping.cgroup_permissions or "rwm"
    try:
        real = os.path.realpath(source, strict=True)
        nodes = _below(real, target) if os.path.isdir(real) else [entry for entry in [node(real, target)] if entry]
    except OSError as error:
        raise _cannot(source, os.strerror(error.errno or 0).lower()) from error
    if not nodes:
        raise _cannot(source, "not a device node")
    return nodes, [rule_for(entry, access) for entry in nodes]


def _below(directory: str, target: str) -> list[dict[str, Any]]:
    """The devices of a directory tree, links not followed, named below *target*."""
    found: list[dict[str, Any]] = []
    for top, directories, files in os.walk(directory):
        directories[:] = sorted(name for name in directories if name not in _SKIPPED)
        for name in sorted(files):
            path = f"{top}/{name}"
            if os.path.islink(path):
                continue
            try:
                entry = node(path, target + path.removeprefix(directory))
            except FileNotFoundError:
                continue  # unplugged meanwhile
            if entry:
                found.append(entry)
            if len(found) > _MAX_DEVICES:
                raise InvalidArgument(f"{directory} holds more than {_MAX_DEVICES} devices")
    return found


def _cannot(path: str, reason: str) -> InvalidArgument:
    return InvalidArgument(f'error gathering device information while adding custom device "{path}": {reason}')
