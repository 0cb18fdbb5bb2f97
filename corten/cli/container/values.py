"""Values of the flags that describe a container. Messages are docker's."""

from __future__ import annotations

import os

from corten.cli import values
from corten.cli.values import BadValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def parse(kind: str, text: str) -> Any:
    """``text`` as a value of one of the kinds below."""
    return _PARSERS[kind](text)


def _attach(text: str) -> str:
    if text.lower() not in ("stdin", "stdout", "stderr"):
        raise BadValue("valid streams are STDIN, STDOUT and STDERR")
    return text.lower()


def env(text: str) -> str:
    """``NAME=VALUE``; a name alone takes this process's value, or stays, which unsets the image's variable."""
    name, equals, _ = text.partition("=")
    if not name:
        raise BadValue(f"invalid environment variable: {text}")
    if equals:
        return text
    value = os.environ.get(name)
    return name if value is None else f"{name}={value}"


def _label(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name.strip():
        raise BadValue(f"invalid label '{text}': empty name")
    return name, value


def _device_rule(text: str) -> str:
    parts = text.split(" ")
    kind, numbers, access = ([*parts, "", ""])[:3]
    major, colon, minor = numbers.partition(":")
    valid = len(parts) == 3 and kind in ("a", "b", "c") and colon and access and set(access) <= set("rwm")
    if not valid or not all(part == "*" or part.isdigit() for part in (major, minor)):
        raise BadValue(f"invalid device cgroup format '{text}'")
    return text


_SYSCTLS = frozenset(
    [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
        "kernel.domainname",
    ]
)


def _sysctl(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not (name in _SYSCTLS or name.startswith(("net.", "fs.mqueue.", "user."))):
        raise BadValue(f"sysctl '{text}' is not allowed")
    return name, value


def address(text: str) -> str | None:
    """``text`` when it is an IPv4 or IPv6 address, else None."""
    import socket

    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        socket.inet_pton(family, text)
    except (OSError, ValueError):
        return None
    return text


def _ip(text: str) -> str:
    if address(text) is None:
        raise BadValue(f"IP address is not correctly formatted: {text}")
    return text


def _add_host(text: str) -> str:
    name, equals, target = text.partition("=")
    if not equals:
        name, colon, target = text.partition(":")
        equals = colon
    if not equals or not name or not target:
        raise BadValue(f'bad format for add-host: "{text}"')
    if target.startswith("[") and target.endswith("]"):
        target = target[1:-1]
    if target != "host-gateway" and address(target) is None:
        raise BadValue(f'invalid IP address in add-host: "{target}"')
    return f"{name}:{target}"


_ULIMITS = frozenset(
    [
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ]
)


def _ulimit(text: str) -> dict[str, object]:
    name, equals, limits = text.partition("=")
    if not equals:
        raise BadValue(f"invalid ulimit argument: {text}")
    if name not in _ULIMITS:
        raise BadValue(f"invalid ulimit type: {name}")
    first, colon, second = limits.partition(":")
    soft = int(values.parse("int", first))
    hard = int(values.parse("int", second)) if colon else soft
    if hard != -1 and (soft == -1 or soft > hard):
        raise BadValue(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return {"Name": name, "Soft": soft, "Hard": hard}


def _device_value(text: str) -> tuple[str, str]:
    path, colon, value = text.partition(":")
    if not colon or not path or not value:
        raise BadValue(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise BadValue(f"bad format for device path: {text}")
    return path, value


def _weight_device(text: str) -> dict[str, object]:
    path, value = _device_value(text)
    if not value.isdigit() or (int(value) and not 10 <= int(value) <= 1000):
        raise BadValue(f"invalid weight for device: {text}")
    return {"Path": path, "Weight": int(value)}


def _rate_device(text: str) -> dict[str, object]:
    path, value = _device_value(text)
    try:
        rate = values.ram_bytes(value)
    except BadValue:
        rate = -1
    if rate < 0:
        raise BadValue(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. "
            "Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
        )
    return {"Path": path, "Rate": rate}


def _iops_device(text: str) -> dict[str, object]:
    path, value = _device_value(text)
    if not value.isdigit():
        raise BadValue(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>. "
            "Number must be a positive integer"
        )
    return {"Path": path, "Rate": int(value)}


def _gpus(text: str) -> dict[str, object]:
    request: dict[str, Any] = {"Driver": "", "Count": 0, "DeviceIDs": None, "Capabilities": [], "Options": {}}
    capabilities: list[str] = []
    for field in fields(text):
        key, equals, value = field.partition("=")
        if not equals:
            key, value = "count", key
        if key == "driver":
            request["Driver"] = value
        elif key == "count":
            request["Count"] = _gpu_count(value)
        elif key == "device":
            request["DeviceIDs"] = value.split(",")
        elif key == "capabilities":
            capabilities = value.split(",")
        elif key == "options":
            request["Options"] = dict(item.partition("=")[::2] for item in value.split(","))
        else:
            raise BadValue(f"unexpected key '{key}' in '{field}'")
    if not request["Count"] and request["DeviceIDs"] is None:
        request["Count"] = 1
    request["Capabilities"] = [[*capabilities, *([] if "gpu" in capabilities else ["gpu"])]]
    return request


def _gpu_count(text: str) -> int:
    if text == "all":
        return -1
    try:
        return int(text)
    except ValueError:
        raise BadValue(
            f'invalid count ({text}): value must be either "all" or an integer: '
            f'strconv.Atoi: parsing "{text}": invalid syntax'
        ) from None


def fields(text: str) -> list[str]:
    """The fields of one line of CSV (RFC 4180), as --mount, --gpus and --network take them."""
    import csv

    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise BadValue(str(error)) from None
    return rows[0] if rows else []


def _mount(text: str) -> dict[str, object]:
    from corten.cli.container import mounts

    return mounts.parse(text)


def _network(text: str) -> dict[str, object]:
    from corten.cli.container import networks

    return networks.parse(text)


_PARSERS: dict[str, Callable[[str], Any]] = {
    "attach": _attach,
    "env": env,
    "label": _label,
    "device-rule": _device_rule,
    "sysctl": _sysctl,
    "ip-list": _ip,
    "add-host": _add_host,
    "ulimit": _ulimit,
    "weight-device": _weight_device,
    "rate-device": _rate_device,
    "iops-device": _iops_device,
    "gpu-request": _gpus,
    "mount": _mount,
    "network": _network,
}
