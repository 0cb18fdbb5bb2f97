"""``HostConfig.SecurityOpt`` taken apart.

Forms: "no-new-privileges[=true|false]", "seccomp=unconfined|builtin|JSON", "apparmor=PROFILE", "label=...",
"systempaths=unconfined", "writable-cgroups=true|false". ":" is accepted for "=" as old clients send it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from corten.errors import InvalidArgument
from corten.linux.host import Host
from corten.runtime import seccomp

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""As with Docker: what leaks about the host is masked, what changes the host is read-only."""


@dataclass(frozen=True, slots=True)
class SecurityOptions:
    """``seccomp`` is "" for the daemon's default, "builtin", "unconfined", or a profile's JSON.

    ``writable_cgroups`` is None when not said.
    """

    no_new_privileges: bool = False
    seccomp: str = ""
    apparmor: str = ""
    labels: tuple[str, ...] = ()
    system_paths_unconfined: bool = False
    writable_cgroups: bool | None = None


_NONE = SecurityOptions()
_BOOLEANS = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}


def parse(options: Sequence[str] | None) -> SecurityOptions:
    """The options, the last one of a kind wins. InvalidArgument with Docker's words for one that is unknown."""
    if not options:
        return _NONE
    values: dict[str, str] = {}
    labels: list[str] = []
    for option in options:
        key, value = _split(option)
        if key == "label":
            labels.append(value)
        else:
            values[key] = value
    profile = values.get("seccomp", "")
    if profile not in ("", seccomp.UNCONFINED, seccomp.BUILTIN):
        seccomp.parse(profile)
    return SecurityOptions(
        no_new_privileges=_boolean("no-new-privileges", values.get("no-new-privileges", "false")),
        seccomp=profile,
        apparmor=values.get("apparmor", ""),
        labels=tuple(labels),
        system_paths_unconfined="systempaths" in values,
        writable_cgroups=_boolean("writable-cgroups", values["writable-cgroups"])
        if "writable-cgroups" in values
        else None,
    )


def masked_paths(host: Host) -> list[str]:
    """The default list of hidden paths on this host."""
    return [*MASKED_PATHS, *host.thermal_throttle]


def _split(option: str) -> tuple[str, str]:
    if option == "no-new-privileges":
        return option, "true"
    if option == "disable":  # the old spelling of label=disable
        return "label", "disable"
    separator = "=" if "=" in option else ":"
    key, found, value = option.partition(separator)
    if not found:
        raise InvalidArgument(f'invalid --security-opt 1: "{option}"')
    if key == "systempaths" and value == "unconfined":
        return key, value
    if key not in ("label", "apparmor", "seccomp", "no-new-privileges", "writable-cgroups"):
        raise InvalidArgument(f'invalid --security-opt 2: "{option}"')
    return key, value


def _boolean(name: str, value: str) -> bool:
    try:
        return _BOOLEANS[value.lower()]
    except KeyError:
        raise InvalidArgument(f'invalid --security-opt 2: "{name}={value}"') from None
