"""What a request hands out of the host: one classification, whichever field or endpoint asks for it.

A grant is a short text: "privileged", "capability:SYS_ADMIN", "host-path:/etc:rw", "pid:host", "device:/dev/sda:rwm".
A path of the host is the same grant as a bind, as a mount, behind a volume whose options bind it, or taken over from
another container. What is refused later is classified all the same, since it was asked for.
"""

import posixpath
from collections.abc import Callable, Iterable, Sequence

from corten import errors
from corten.model.container import DriverConfig, HostConfig, MountPoint, MountSpec
from corten.model.exec import ExecOptions
from corten.model.record import Record
from corten.model.volume import Volume
from corten.runtime.capabilities import DEFAULT_CAPABILITIES
from corten.runtime.security import MASKED_PATHS, READONLY_PATHS
from corten.volume import modes, mountspec

PRIVILEGED = "privileged"
_SHARED = ("shared", "rshared", "slave", "rslave")
_OVERLAY_PATHS = ("lowerdir", "upperdir", "workdir")


class Grants:
    """*volume* and *record* look objects up; they raise NotFound. *runtime* gives the default runtime's name."""

    def __init__(
        self, volume: Callable[[str], Volume], record: Callable[[str], Record], runtime: Callable[[], str]
    ) -> None:
        self._volume, self._record, self._runtime = volume, record, runtime

    def of_create(self, host: HostConfig) -> list[str]:
        """Of a container that is to be made, or of the changes in an update."""
        return _unique([*self._of_settings(host), *self._of_wanted_mounts(host)])

    def of_record(self, record: Record) -> list[str]:
        """Of a container that exists, as its next start gives them out."""
        mounts = [text for point in record.mounts for text in self._of_point(point)]
        return _unique([*self._of_settings(record.host_config), *mounts])

    @staticmethod
    def of_exec(options: ExecOptions) -> list[str]:
        return [PRIVILEGED] if options.privileged else []

    @staticmethod
    def of_volume(options: dict[str, str] | None, writable: bool = True, place: str = "") -> list[str]:
        """Of a volume's driver options, to whoever mounts it. *place* is a path below what is mounted."""
        options = options or {}
        words = [word for word in options.get("o", "").split(",") if word]
        device, kind = options.get("device", ""), options.get("type", "")
        mode = "ro" if not writable or "ro" in words else "rw"
        if "bind" in words or "rbind" in words:
            return [f"host-path:{_below(device, place)}:{mode}", *_propagation(words)]
        if kind == "overlay":
            paths = [word.partition("=") for word in words]
            found = [part for key, _, value in paths if key in _OVERLAY_PATHS for part in value.split(":")]
            return [f"host-path:{mountspec.clean(path)}:{mode}" for path in found if path]
        if kind and kind != "tmpfs":
            return [f"volume-mount:{kind}:{device}:{mode}"]
        return []

    def _of_settings(self, host: HostConfig) -> list[str]:
        found = [PRIVILEGED] if host.privileged else []
        known = {*DEFAULT_CAPABILITIES}
        for text in host.cap_add or ():
            name = "CAP_" + text.upper().removeprefix("CAP_")
            if name not in known:
                found.append(f"capability:{name.removeprefix('CAP_')}")
        for kind, mode in (
            ("pid", host.pid_mode),
            ("ipc", host.ipc_mode),
            ("network", host.network_mode),
            ("uts", host.uts_mode),
            ("userns", host.userns_mode),
        ):
            if mode == "host" or mode.startswith("container:"):
                found.append(f"{kind}:{mode}")
        found += [f"device:{each.path_on_host}:{each.cgroup_permissions or 'rwm'}" for each in host.devices or ()]
        found += [f"device-rule:{rule}" for rule in host.device_cgroup_rules or ()]
        for request in host.device_requests or ():
            found.append(f"device-request:{request.driver}:{','.join(request.device_ids or ())}")
        found += _of_security(host)
        if host.runtime and host.runtime != self._runtime():
            found.append(f"runtime:{host.runtime}")
        return found

    def _of_wanted_mounts(self, host: HostConfig) -> list[str]:
        specs: list[MountSpec] = list(host.mounts or ())
        for text in host.binds or ():
            try:
                specs.append(mountspec.parse_bind(text, host.volume_driver)[0])
            except errors.InvalidArgument:
                continue  # the request will be refused for it
        found = [text for spec in specs for text in self._of_spec(spec)]
        for text in host.volumes_from or ():
            reference, _, mode = text.partition(":")
            try:
                other = self._record(reference)
            except errors.CortenError:
                continue
            writable = not mode or modes.writable(mode)
            found += [text for point in other.mounts for text in self._of_point(point, writable)]
        return found

    def _of_spec(self, spec: MountSpec) -> list[str]:
        if spec.type == "bind":
            propagation = spec.bind_options.propagation if spec.bind_options else ""
            mode = "ro" if spec.read_only else "rw"
            return [f"host-path:{mountspec.clean(spec.source)}:{mode}", *_propagation([propagation])]
        if spec.type != "volume":
            return []
        options = spec.volume_options
        driver = (options.driver_config if options else None) or DriverConfig()
        place = options.subpath if options else ""
        return self._of_named(spec.source, driver.options, not spec.read_only, place)

    def _of_point(self, point: MountPoint, writable: bool = True) -> list[str]:
        writable = writable and point.rw
        if point.type == "bind":
            mode = "rw" if writable else "ro"
            return [f"host-path:{point.source}:{mode}", *_propagation([point.propagation])]
        return self._of_named(point.name, None, writable, point.subpath) if point.type == "volume" else []

    def _of_named(self, name: str, options: dict[str, str] | None, writable: bool, place: str) -> list[str]:
        """A volume that exists keeps its options, whatever a request says."""
        try:
            options = self._volume(name).options
        except errors.CortenError:
            pass  # it will be made with the options of the request
        return self.of_volume(options, writable, place)


def _of_security(host: HostConfig) -> list[str]:
    found = []
    opened = False
    for option in host.security_opt or ():
        key, _, value = option.replace(":", "=", 1).partition("=") if "=" not in option else option.partition("=")
        if key == "systempaths":
            opened = True
        elif key in ("seccomp", "apparmor") and value != "builtin":
            found.append(f"{key}:{value if value == 'unconfined' or key == 'apparmor' else 'own profile'}")
        elif key == "writable-cgroups" and value.lower() in ("true", "1", "t"):
            found.append("writable-cgroups")
    lifted = (host.masked_paths is not None and not {*MASKED_PATHS} <= {*host.masked_paths}) or (
        host.readonly_paths is not None and not {*READONLY_PATHS} <= {*host.readonly_paths}
    )
    if (opened or lifted) and not host.privileged:
        found.append("system-paths")
    return found


def _propagation(words: Iterable[str]) -> list[str]:
    return [f"propagation:{word}" for word in words if word in _SHARED]


def _below(device: str, place: str) -> str:
    return mountspec.clean(posixpath.join(device, place)) if place else mountspec.clean(device)


def _unique(texts: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(texts))
