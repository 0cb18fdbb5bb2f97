"""What is wrong with a wanted container: refused with Docker's words, or named in ``Warnings``.

Mounts and volumes are checked by ``corten.volume``, names of networks and endpoints by ``corten.network``.
"""

import re
from collections.abc import Callable, Collection

from corten.errors import InvalidArgument
from corten.linux.host import Host
from corten.model.container import ContainerConfig, Healthcheck, HostConfig, RestartPolicy
from corten.runtime import (
    annotations,
    capabilities,
    devices,
    limits,
    modes,
    ports,
    resources,
    security,
    signals,
    spec_process,
    sysctls,
    user,
    validate_resources,
)

_MILLISECOND = 1_000_000
_MAX_HOSTNAME = 64  # sethostname(2)
_HOSTNAME = re.compile(r"[!-~]+")  # what may stand in /etc/hosts; Docker checks nothing


def check_create(
    config: ContainerConfig,
    host_config: HostConfig,
    host: Host,
    runtimes: Collection[str] | None = None,
    *,
    sent: ContainerConfig | None = None,
) -> list[str]:
    """Check a merged config and its host config at create time; returns the warnings for the client.

    *sent* is the config before the merge with the image's: only what the client itself asks for (not an image's
    exposed port) conflicts with a mode. *runtimes* are the names of the registered OCI runtimes; None skips that check.
    InvalidArgument with Docker's text for what can never work.
    """
    check_config(config)
    check_host_config(host_config)
    modes.check(sent or config, host_config, host)
    if runtimes is not None and host_config.runtime and host_config.runtime not in runtimes:
        raise InvalidArgument(f"unknown or invalid runtime name: {host_config.runtime}")
    warnings = validate_resources.check(host_config, host)
    warnings += resources.fit(host_config, host)[1]
    warnings += limits.rlimits(host_config.ulimits, {}, host)[1]
    warnings += _capability_warnings(host_config, host)
    warnings += _host_warnings(host_config, host)
    return warnings


def check_config(config: ContainerConfig) -> None:
    """What is wrong with the portable part."""
    spec_process.check_cwd(config.working_dir)
    if config.stop_signal:
        signals.parse(config.stop_signal)
    for entry in config.env or ():
        if not entry.partition("=")[0]:
            raise InvalidArgument(f"invalid environment variable: {entry}")
    for text in (*(config.env or ()), *(config.cmd or ()), *(config.entrypoint or ()), config.user):
        if "\0" in text:
            raise InvalidArgument("invalid config: a text of the command, environment or user contains a NUL byte")
    for what, name in (("hostname", config.hostname), ("domainname", config.domainname)):
        if name and (len(name) > _MAX_HOSTNAME or not _HOSTNAME.fullmatch(name)):
            raise InvalidArgument(f"invalid {what}: {name!r} is not {_MAX_HOSTNAME} or fewer visible ASCII characters")
    user.check_syntax(config.user)
    if config.healthcheck:
        _check_health(config.healthcheck)
    ports.check_exposed(config.exposed_ports or {})


def check_host_config(host_config: HostConfig) -> None:
    """What is wrong with the host-dependent part, whatever the host."""
    check_restart_policy(host_config.restart_policy)
    if host_config.auto_remove and host_config.restart_policy.name not in ("", "no"):
        raise InvalidArgument("can't create 'AutoRemove' container with restart policy")
    if host_config.isolation not in ("", "default"):
        raise InvalidArgument(f"invalid isolation '{host_config.isolation}' on linux")
    if host_config.storage_opt:
        raise InvalidArgument("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")
    annotations.check(host_config.annotations)
    _prefixed("invalid CapAdd", lambda: capabilities.normalise(host_config.cap_add))
    _prefixed("invalid CapDrop", lambda: capabilities.normalise(host_config.cap_drop))
    security.parse(host_config.security_opt)
    limits.check(host_config.ulimits)
    sysctls.check(host_config)
    ports.check_bindings(host_config.port_bindings or {})
    _check_extra_hosts(host_config.extra_hosts or [])
    for mapping in host_config.devices or ():
        devices.check_mapping(mapping)
    for rule in host_config.device_cgroup_rules or ():
        devices.parse_rule(rule)
    for kind, paths in (("MaskedPaths", host_config.masked_paths), ("ReadonlyPaths", host_config.readonly_paths)):
        for path in paths or ():
            if not path.startswith("/") or "\0" in path:
                raise InvalidArgument(f"invalid {kind}: {path!r} is not an absolute path")


def check_restart_policy(policy: RestartPolicy) -> None:
    """Shared by create and update."""
    count = policy.maximum_retry_count
    if policy.name in ("always", "no", "unless-stopped", ""):
        if count and policy.name:
            negative = " and cannot be negative" if count < 0 else ""
            text = "invalid restart policy: maximum retry count can only be used with 'on-failure'"
            raise InvalidArgument(text + negative)
    elif policy.name == "on-failure":
        if count < 0:
            raise InvalidArgument("invalid restart policy: maximum retry count cannot be negative")
    else:
        raise InvalidArgument(
            f"invalid restart policy: unknown policy '{policy.name}'; "
            "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )


def check_update(old: HostConfig, new: HostConfig, host: Host) -> list[str]:
    """Check the body of ``update``; returns the warnings. ``resources.update`` then makes the merged config."""
    check_restart_policy(new.restart_policy)
    warnings = validate_resources.check(new, host, update=True)
    merged = resources.update(old, new)
    return warnings + resources.fit(merged, host)[1]


def _prefixed(prefix: str, check: Callable[[], object]) -> None:
    try:
        check()
    except InvalidArgument as error:
        raise InvalidArgument(f"{prefix}: {error}") from error


def _check_health(check: Healthcheck) -> None:
    for name, value in (
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ):
        if value and value < _MILLISECOND:
            raise InvalidArgument(f"{name} in Healthcheck cannot be less than 1ms")
    if check.retries < 0:
        raise InvalidArgument("Retries in Healthcheck cannot be negative")
    if check.test and check.test[0] not in ("NONE", "CMD", "CMD-SHELL"):
        raise InvalidArgument(f"Unknown healthcheck type '{check.test[0]}' (expected 'CMD')")


def _check_extra_hosts(entries: list[str]) -> None:
    for entry in entries:
        name, _, address = entry.partition(":")
        if not name or not address:
            raise InvalidArgument(f'bad format for add-host: "{entry}"')
        if address != "host-gateway" and not ports.is_address(address.removeprefix("[").removesuffix("]")):
            raise InvalidArgument(f'invalid IP address in add-host: "{address}"')


def _capability_warnings(host_config: HostConfig, host: Host) -> list[str]:
    wanted = capabilities.effective(host_config.cap_add, host_config.cap_drop, host_config.privileged)
    missing = capabilities.clamp(wanted, host.bounding)[1]
    return [capabilities.warning(missing)] if missing else []


def _host_warnings(host_config: HostConfig, host: Host) -> list[str]:
    options = security.parse(host_config.security_opt)
    if options.seccomp not in ("", "unconfined", "builtin") and not host.seccomp:
        raise InvalidArgument("seccomp is not enabled in your kernel, cannot run a custom seccomp profile")
    warnings: list[str] = []
    if host_config.network_mode == "host" and host_config.port_bindings:
        warnings.append("Published ports are discarded when using host network mode")
    if options.apparmor not in ("", "unconfined") and not host.apparmor:
        warnings.append("This kernel has no AppArmor; the AppArmor profile is discarded.")
    if options.labels and "disable" not in options.labels:
        warnings.append("SELinux labels are not supported here; they are discarded.")
    if host_config.oom_score_adj < host.lowest_oom_score_adj:
        warnings.append(
            f"This host cannot lower the OOM score below {host.lowest_oom_score_adj}; using that instead of "
            f"{host_config.oom_score_adj}."
        )
    return warnings
