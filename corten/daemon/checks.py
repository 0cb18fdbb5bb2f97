"""What must hold of a configuration beyond the form of each value; texts follow dockerd's."""

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING

from corten.distribution.config import RegistryConfig
from corten.distribution.proxy import Proxies
from corten.engine.blobretention import check_mode
from corten.errors import InvalidArgument
from corten.runtime.logdrivers import registry as logdrivers

if TYPE_CHECKING:
    from corten.daemon.config import Config

LOG_LEVELS = ("trace", "debug", "info", "warn", "warning", "error", "fatal", "panic")
BUILTIN_RUNTIMES = ("crun", "runc")


def check(config: "Config") -> None:
    """Raise InvalidArgument for the first thing that is wrong."""
    _check_choices(config)
    _check_labels(config.labels)
    _check_runtimes(config)
    _check_numbers(config)
    _check_networks(config)
    registry_config(config)
    try:
        logdrivers.validate(config.log_driver, config.log_options)
    except InvalidArgument as error:
        raise InvalidArgument(f"failed to set log opts: {error}") from error
    for host in config.hosts:
        check_host(host)


def registry_config(config: "Config") -> RegistryConfig:
    """The part that the client of registries gets. InvalidArgument when it is wrong."""
    return RegistryConfig.make(
        mirrors=config.registry_mirrors,
        insecure=config.insecure_registries,
        realms=config.registry_realms,
        attempts=config.max_download_attempts,
        proxies=Proxies.from_environment(
            http_proxy=config.http_proxy, https_proxy=config.https_proxy, no_proxy=config.no_proxy
        ),
    )


def _check_choices(config: "Config") -> None:
    if config.log_level not in LOG_LEVELS:
        raise InvalidArgument(f"invalid logging level: {config.log_level}")
    if config.log_format not in ("text", "json"):
        raise InvalidArgument(f"invalid log format: {config.log_format}")
    if config.storage_driver not in ("", "overlay2", "overlayfs", "overlay"):
        raise InvalidArgument(
            f"error initializing graphdriver: driver not supported: {config.storage_driver} (overlay2 or overlayfs)"
        )
    check_mode(config.blob_retention)
    if config.default_ipc_mode not in ("private", "shareable"):
        raise InvalidArgument(f'IPC mode "{config.default_ipc_mode}" is not supported as default')
    if config.default_cgroupns_mode not in ("", "private", "host"):
        raise InvalidArgument(f"default cgroup namespace mode ({config.default_cgroupns_mode}) is invalid")
    if config.features.get("containerd-snapshotter") is False:
        raise InvalidArgument("feature containerd-snapshotter cannot be off: images are always kept by content")
    for option in config.exec_options:
        key, _, value = option.partition("=")
        if key != "native.cgroupdriver" or value != "cgroupfs":
            raise InvalidArgument(f"exec option '{option}' is not supported: only native.cgroupdriver=cgroupfs")


def _check_labels(labels: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for label in labels:
        key, equals, value = label.partition("=")
        if not equals or not key:
            raise InvalidArgument(f"bad attribute format: {label}")
        if seen.setdefault(key, value) != value:
            raise InvalidArgument(f"conflict labels for {key}={value} and {key}={seen[key]}")


def _check_runtimes(config: "Config") -> None:
    for name in config.runtimes:
        if name in BUILTIN_RUNTIMES:
            raise InvalidArgument(f"runtime name '{name}' is reserved")
    if config.default_runtime not in (*BUILTIN_RUNTIMES, *config.runtimes):
        raise InvalidArgument(f"specified default runtime '{config.default_runtime}' does not exist")


def _check_numbers(config: "Config") -> None:
    bounds = (
        ("default MTU", config.mtu, 0),
        ("max concurrent downloads", config.max_concurrent_downloads, 0),
        ("max concurrent uploads", config.max_concurrent_uploads, 0),
        ("max download attempts", config.max_download_attempts, 1),
        ("default shm size", config.default_shm_size, 1),
        ("audit log size", config.audit_log_max_size, 64 << 10),
        ("number of audit log files", config.audit_log_max_file, 1),
    )
    for name, value, least in bounds:
        if value < least:
            raise InvalidArgument(f"invalid {name}: {value}")
    if not -1000 <= config.oom_score_adjust <= 1000:
        raise InvalidArgument(f"invalid oom-score-adjust: {config.oom_score_adjust}")


def _check_networks(config: "Config") -> None:
    if config.bip and config.bridge:
        raise InvalidArgument("you specified --bridge and --bip, mutually exclusive options")
    for address in (config.ip, *config.dns, config.default_gateway, config.default_gateway_v6):
        if address:
            _check_address(address)
    for address in config.host_gateway_ips:
        _check_address(address)
    for cidr in (config.bip, config.bip6):
        if cidr:
            _check_cidr(cidr, host=True)
    for cidr in (config.fixed_cidr, config.fixed_cidr_v6):
        if cidr:
            _check_cidr(cidr, host=False)


def _check_address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise InvalidArgument(f"{text} is not an ip address") from error


def _check_cidr(text: str, host: bool) -> None:
    try:
        if "/" not in text:
            raise ValueError("no prefix length")
        ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        kind = "interface address" if host else "network"
        raise InvalidArgument(f"invalid CIDR address: {text} (expected {kind} with prefix length)") from error


def check_host(text: str) -> None:
    """Refuse an address that cortend cannot listen on."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise InvalidArgument(f"unable to parse docker host `{text}`")
    if scheme not in ("unix", "tcp", "fd"):
        raise InvalidArgument(f"invalid bind address format: {text} (unix://, tcp:// or fd://)")
    if scheme == "unix" and rest and not rest.startswith("/"):
        raise InvalidArgument(f"the socket's path must be absolute: {text}")
