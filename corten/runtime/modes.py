"""Namespace modes: their forms, and which settings exclude each other."""

from corten.errors import InvalidArgument
from corten.linux.host import Host
from corten.model.container import ContainerConfig, HostConfig

_CONTAINER = "container:"


def container_ref(mode: str) -> str:
    """The other container of a mode ``container:REF``; "" for every other mode."""
    return mode.removeprefix(_CONTAINER) if mode.startswith(_CONTAINER) else ""


def check(config: ContainerConfig, host_config: HostConfig, host: Host) -> None:
    """InvalidArgument with Docker's words for an invalid mode or settings in conflict with one."""
    _check_forms(host_config)
    _check_network(config, host_config)
    if host_config.uts_mode == "host" and config.hostname:
        raise InvalidArgument("conflicting options: hostname and the UTS mode")
    if host_config.privileged and host_config.cgroupns_mode == "private" and not host.cgroups.is_v2:
        raise InvalidArgument(
            "privileged mode is incompatible with private cgroup namespaces on cgroup v1 host.  "
            "You must run the container in the host cgroup namespace when running privileged mode"
        )


def _check_forms(host_config: HostConfig) -> None:
    for what, mode, allowed, joins in (
        ("IPC mode", host_config.ipc_mode, ("", "none", "private", "shareable", "host"), True),
        ("PID mode", host_config.pid_mode, ("", "host"), True),
        ("UTS mode", host_config.uts_mode, ("", "host"), False),
        ("USER mode", host_config.userns_mode, ("", "host"), False),
        ("cgroup namespace mode", host_config.cgroupns_mode, ("", "private", "host"), False),
    ):
        if mode not in allowed and not (joins and container_ref(mode)):
            raise InvalidArgument(f"invalid {what}: {mode}")
    if host_config.network_mode.startswith(_CONTAINER) and not container_ref(host_config.network_mode):
        raise InvalidArgument("Invalid network mode: invalid container format container:<name|id>")


def _check_network(config: ContainerConfig, host_config: HostConfig) -> None:
    joined = bool(container_ref(host_config.network_mode))
    on_host = host_config.network_mode == "host"
    undefined = "can't be used with links. This would result in undefined behavior"
    conflicts = (
        (joined and config.hostname, "conflicting options: hostname and the network mode"),
        (joined and host_config.links, f"conflicting options: container type network {undefined}"),
        (on_host and host_config.links, f"conflicting options: host type networking {undefined}"),
        (joined and host_config.dns, "conflicting options: dns and the network mode"),
        (joined and host_config.extra_hosts, "conflicting options: custom host-to-IP mapping and the network mode"),
        ((joined or on_host) and config.mac_address, "conflicting options: mac-address and the network mode"),
        (
            joined and (host_config.port_bindings or host_config.publish_all_ports),
            "conflicting options: port publishing and the container type network mode",
        ),
        (
            joined and config.exposed_ports,
            "conflicting options: port exposing and the container type network mode",
        ),
    )
    for wrong, text in conflicts:
        if wrong:
            raise InvalidArgument(text)
