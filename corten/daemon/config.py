"""cortend's configuration: one frozen value out of the command line and daemon.json.

The file has dockerd's keys. What stands in both places is an error, as in Docker; lists are not merged. ``Config.load``
is called once, ``Config.reload`` at each SIGHUP; the latter takes over only what may change in a running daemon.
"""

import json
import os
from collections.abc import Sequence
from typing import Any

import msgspec

from corten import errors
from corten.daemon import flags
from corten.daemon.checks import check
from corten.daemon.options import BY_FIELD, BY_FLAG, BY_KEY, OPTIONS, Option, usage
from corten.daemon.values import Runtime, from_json
from corten.model.base import Value
from corten.model.container import Ulimit

DEFAULT_FILE = "/etc/corten/daemon.json"
DEFAULT_SOCKET = "unix:///run/corten/corten.sock"
MAX_FILE = 1024 * 1024
PROXIES = frozenset(("http-proxy", "https-proxy", "no-proxy"))


def _certificates() -> str:
    return os.environ.get("DOCKER_CERT_PATH") or os.path.expanduser("~/.docker")


class Config(Value, frozen=True):
    """Every setting of the daemon. Sizes are bytes, ``shutdown_timeout`` seconds; "" means "not set"."""

    # where
    hosts: tuple[str, ...] = (DEFAULT_SOCKET,)
    data_root: str = "/var/lib/corten"
    exec_root: str = "/run/corten"
    pidfile: str = "/run/corten/cortend.pid"
    config_file: str = DEFAULT_FILE
    group: str = "docker"
    # doors
    insecure_tcp: bool = False
    tls: bool = False
    tlsverify: bool = False
    tlscacert: str = msgspec.field(default_factory=lambda: os.path.join(_certificates(), "ca.pem"))
    tlscert: str = msgspec.field(default_factory=lambda: os.path.join(_certificates(), "cert.pem"))
    tlskey: str = msgspec.field(default_factory=lambda: os.path.join(_certificates(), "key.pem"))
    # the daemon itself
    debug: bool = False
    log_level: str = "info"
    log_format: str = "text"
    raw_logs: bool = False
    audit_log: str = ""
    audit_log_max_size: int = 100 << 20
    audit_log_max_file: int = 5
    labels: tuple[str, ...] = ()
    experimental: bool = False
    features: dict[str, bool] = msgspec.field(default_factory=dict)
    live_restore: bool = True
    shutdown_timeout: int = 15
    oom_score_adjust: int = 0
    # containers
    runtimes: dict[str, Runtime] = msgspec.field(default_factory=dict)
    """The registered ones; crun and runc are known besides."""
    default_runtime: str = "crun"
    init: bool = False
    init_path: str = ""
    cgroup_parent: str = ""
    exec_options: tuple[str, ...] = ()
    default_cgroupns_mode: str = ""
    default_ipc_mode: str = "private"
    default_shm_size: int = 64 * 1024 * 1024
    default_ulimits: dict[str, Ulimit] = msgspec.field(default_factory=dict)
    no_new_privileges: bool = False
    seccomp_profile: str = ""
    cdi_spec_dirs: tuple[str, ...] = ("/etc/cdi", "/var/run/cdi")
    log_driver: str = "json-file"
    log_options: dict[str, str] = msgspec.field(default_factory=dict)
    storage_driver: str = ""
    # networks
    bridge: str = ""
    bip: str = ""
    bip6: str = ""
    fixed_cidr: str = ""
    fixed_cidr_v6: str = ""
    default_gateway: str = ""
    default_gateway_v6: str = ""
    ip: str = "0.0.0.0"
    mtu: int = 1500
    icc: bool = True
    ip_forward: bool = True
    ip_masq: bool = True
    iptables: bool = True
    ip6tables: bool = True
    ipv6: bool = False
    userland_proxy: bool = True
    dns: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    host_gateway_ips: tuple[str, ...] = ()
    # registries
    insecure_registries: tuple[str, ...] = ()
    registry_mirrors: tuple[str, ...] = ()
    registry_realms: dict[str, str] = msgspec.field(default_factory=dict)
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    max_concurrent_downloads: int = 3
    max_concurrent_uploads: int = 5
    max_download_attempts: int = 5
    blob_retention: str = "auto"
    gc: dict[str, Any] = msgspec.field(default_factory=dict)
    # what to do instead of serving
    validate: bool = False
    version: bool = False
    help: bool = False

    @classmethod
    def load(cls, words: Sequence[str]) -> "Config":
        """The configuration of a daemon started with *words* (without the program's name).

        InvalidArgument, with a text for the terminal, when anything is wrong. With ``--help`` or ``--version`` the
        file is not read.
        """
        given = flags.parse(words)
        for name, value in given.items():
            _refuse(BY_FLAG[name], value)
        from_flags = {BY_FLAG[name].field: value for name, value in given.items() if BY_FLAG[name].field}
        if from_flags.get("help") or from_flags.get("version"):
            return _build(from_flags)
        path = from_flags.get("config_file", DEFAULT_FILE)
        try:
            content = _read_file(path, must_exist="config_file" in from_flags)
            _check_conflicts(given, content)
        except errors.InvalidArgument as error:
            text = f"unable to configure the Docker daemon with file {path}: {error}"
            raise errors.InvalidArgument(text) from error
        config = _build({**{BY_KEY[key].field: value for key, value in content.items()}, **from_flags})
        check(config)
        return config

    @classmethod
    def reload(cls, current: "Config", words: Sequence[str]) -> tuple["Config", list[str]]:
        """The configuration after a SIGHUP and the keys that changed in the file but need a restart."""
        fresh = cls.load(words)
        changes, waiting = {}, []
        for option in OPTIONS:
            if not option.field or getattr(fresh, option.field) == getattr(current, option.field):
                continue
            if option.reloadable:
                changes[option.field] = getattr(fresh, option.field)
            else:
                waiting.append(option.key or option.flag)
        return msgspec.structs.replace(current, **changes), waiting

    @property
    def level(self) -> str:
        """The level of the daemon's own log."""
        return "debug" if self.debug else self.log_level

    def reload_attributes(self) -> dict[str, str]:
        """What the ``daemon reload`` event tells: the reloadable settings, as Docker writes them."""
        return {
            "debug": json.dumps(self.debug),
            "default-runtime": self.default_runtime,
            "features": json.dumps(self.features),
            "insecure-registries": json.dumps(list(self.insecure_registries)),
            "labels": json.dumps(list(self.labels)),
            "live-restore": "true",
            "max-concurrent-downloads": str(self.max_concurrent_downloads),
            "max-concurrent-uploads": str(self.max_concurrent_uploads),
            "max-download-attempts": str(self.max_download_attempts),
            "registry-mirrors": json.dumps(list(self.registry_mirrors)),
            "runtimes": " ".join(f"{name}:{runtime.path}" for name, runtime in sorted(self.runtimes.items())),
            "shutdown-timeout": str(self.shutdown_timeout),
        }


HELP = usage()


def _build(fields: dict[str, Any]) -> Config:
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    return Config(**values)


def _refuse(option: Option, value: Any) -> None:
    """Refuse what Corten cannot honour, unless the value is the one that changes nothing."""
    shown = json.dumps(value) if isinstance(value, bool) else str(value)
    if option.refusal and shown not in option.accepted and value != []:
        raise errors.InvalidArgument(f"--{option.flag} is not supported: {option.refusal}")


def _read_file(path: str, must_exist: bool) -> dict[str, Any]:
    """Key -> value of daemon.json; an empty map when the default file is missing."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE + 1)
    except FileNotFoundError as error:
        if must_exist:
            raise errors.InvalidArgument(f"open {path}: no such file or directory") from error
        return {}
    except OSError as error:
        raise errors.InvalidArgument(f"open {path}: {error.strerror}") from error
    if len(data) > MAX_FILE:
        raise errors.InvalidArgument(f"the file is larger than {MAX_FILE} bytes")
    if not data.strip():
        return {}
    try:
        content = json.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        raise errors.InvalidArgument(f"invalid JSON: {error}") from error
    if not isinstance(content, dict):
        raise errors.InvalidArgument("expected a JSON object")
    unknown = sorted((content.keys() - BY_KEY.keys() - {"proxies"}) | (content.keys() & PROXIES))
    if unknown:
        raise errors.InvalidArgument(
            f"the following directives don't match any configuration option: {', '.join(unknown)}"
        )
    content.update(_proxies(content.pop("proxies", None)))
    return {key: value for key, raw in content.items() if (value := _file_value(key, raw)) is not None}


def _proxies(section: Any) -> dict[str, Any]:
    """The one section of the file: its keys are those of flags."""
    if section is None:
        return {}
    if not isinstance(section, dict) or section.keys() - PROXIES:
        raise errors.InvalidArgument(
            f'invalid value for "proxies": expected an object with {", ".join(sorted(PROXIES))}'
        )
    return section


def _file_value(key: str, raw: Any) -> Any:
    option = BY_KEY[key]
    if raw is None:
        return None
    try:
        value = from_json(option.kind, raw)
    except ValueError as error:
        raise errors.InvalidArgument(f'invalid value for "{key}": {error}') from error
    _refuse(option, value)
    return value if option.field else None


def _check_conflicts(given: dict[str, Any], content: dict[str, Any]) -> None:
    conflicts = [
        f"{key}: (from flag: {_go_text(given[BY_KEY[key].flag])}, from file: {_go_text(value)})"
        for key, value in content.items()
        if BY_KEY[key].flag in given
    ]
    if conflicts:
        raise errors.InvalidArgument(
            "the following directives are specified both as a flag and in the configuration file: "
            + ", ".join(conflicts)
        )


def _go_text(value: Any) -> str:
    """A value as Go's %v shows it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{' '.join(_go_text(entry) for entry in value)}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_go_text(value[key])}' for key in sorted(value))}]"
    if isinstance(value, Runtime):
        return value.path
    return str(value)


if not set(BY_FIELD) <= {field.name for field in msgspec.structs.fields(Config)}:
    raise RuntimeError("the table of options names a field that Config lacks")
