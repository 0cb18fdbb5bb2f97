"""The table of cortend's options: one row makes a flag, a key of daemon.json and a field of ``Config``.

Names and meanings are dockerd's (dockerd(8)); what cannot be honoured has a row too, with the sentence that refuses it.
"""

from typing import Any, NamedTuple


class Option(NamedTuple):
    """``kind``: text, bool, int, size, list, map, switches, runtime, ulimit, pools, gc.

    ``key`` "" is not for the file.
    """

    field: str
    flag: str
    key: str
    kind: str
    help: str
    short: str = ""
    reloadable: bool = False
    refusal: str = ""
    accepted: tuple[str, ...] = ()
    """Values that are honoured although others are refused with ``refusal``."""


def _same(name: str, kind: str, text: str, **more: Any) -> Option:
    return Option(name.replace("-", "_"), name, name, kind, text, **more)


def _refused(flag: str, kind: str, refusal: str, *accepted: str, key: str | None = None) -> Option:
    return Option("", flag, flag if key is None else key, kind, "Not supported", refusal=refusal, accepted=accepted)


_NO_SWARM = "Corten has no swarm mode"

OPTIONS: tuple[Option, ...] = (
    Option("runtimes", "add-runtime", "runtimes", "runtime", "Register an OCI runtime (NAME=PATH)", reloadable=True),
    _same("audit-log", "text", "Record every change and who asked for it in this file"),
    _same("audit-log-max-file", "int", "Files of the audit log that are kept"),
    _same("audit-log-max-size", "size", "Size at which the audit log is rotated"),
    _same("bip", "text", "IPv4 address and prefix of the default bridge"),
    _same("bip6", "text", "IPv6 address and prefix of the default bridge"),
    _same(
        "blob-retention",
        "text",
        'Compressed layers after unpacking: "keep" | "auto" (until room is short) | "drop"',
        reloadable=True,
    ),
    _same("bridge", "text", 'Attach containers to this bridge; "none" switches it off', short="b"),
    Option("cdi_spec_dirs", "cdi-spec-dir", "cdi-spec-dirs", "list", "Directories with CDI specifications"),
    _same("cgroup-parent", "text", "Parent cgroup of all containers"),
    Option("config_file", "config-file", "", "text", "Configuration file"),
    _same("data-root", "text", "Directory of everything durable"),
    _same("debug", "bool", "Log at level debug", short="D", reloadable=True),
    _same("default-cgroupns-mode", "text", 'Cgroup namespace of containers ("host" | "private")'),
    _same("default-gateway", "text", "IPv4 gateway of the default bridge"),
    _same("default-gateway-v6", "text", "IPv6 gateway of the default bridge"),
    _same("default-ipc-mode", "text", 'IPC namespace of containers ("shareable" | "private")'),
    _same("default-runtime", "text", "OCI runtime of containers that name none", reloadable=True),
    _same("default-shm-size", "size", "Size of /dev/shm", reloadable=True),
    Option("default_ulimits", "default-ulimit", "default-ulimits", "ulimit", "Ulimits of containers"),
    Option("dns", "dns", "dns", "list", "DNS servers of containers"),
    Option("dns_options", "dns-opt", "dns-opts", "list", "DNS options of containers"),
    _same("dns-search", "list", "DNS search domains of containers"),
    Option("exec_options", "exec-opt", "exec-opts", "list", "Runtime options (native.cgroupdriver=cgroupfs)"),
    _same("exec-root", "text", "Directory of everything that does not survive a boot"),
    _same("experimental", "bool", "Switch experimental features on"),
    Option("features", "feature", "features", "switches", "Switch a feature on or off", reloadable=True),
    _same("fixed-cidr", "text", "IPv4 range that the default bridge gives addresses from"),
    _same("fixed-cidr-v6", "text", "IPv6 range of the default bridge"),
    _same(
        "gc",
        "gc",
        "Garbage collection (KEY=VALUE): enabled, interval, max-age, keep-storage, min-free-space, tagged, "
        "partial-max-age",
        reloadable=True,
    ),
    _same("group", "text", "Group that owns the unix socket", short="G"),
    Option("hosts", "host", "hosts", "list", "Where to listen (unix://, tcp://, fd://)", short="H"),
    Option("host_gateway_ips", "host-gateway-ip", "host-gateway-ips", "list", 'What "host-gateway" stands for'),
    _same("http-proxy", "text", "Proxy for plain HTTP to registries; in the file below proxies"),
    _same("https-proxy", "text", "Proxy for HTTPS to registries; in the file below proxies"),
    _same("icc", "bool", "Let containers of the default bridge reach each other"),
    _same("init", "bool", "Run an init in every container"),
    _same("init-path", "text", "Program of the init"),
    _same("insecure-tcp", "bool", "Allow tcp:// without client certificates: whoever reaches it is root"),
    Option(
        "insecure_registries",
        "insecure-registry",
        "insecure-registries",
        "list",
        "Registries without TLS checks",
        reloadable=True,
    ),
    _same("ip", "text", "Host address of published ports"),
    _same("ip-forward", "bool", "Switch IP forwarding on"),
    _same("ip-masq", "bool", "Masquerade the default bridge"),
    _same(
        "ip6tables",
        "bool",
        "Make IPv6 firewall rules; goes with --iptables",
        accepted=("true",),
        refusal="rules for IPv4 and IPv6 are one set here: switch both off with --iptables=false",
    ),
    _same("iptables", "bool", "Make firewall rules"),
    _same("ipv6", "bool", "IPv6 on the default bridge"),
    Option("labels", "label", "labels", "list", "Labels of the daemon (KEY=VALUE)", reloadable=True),
    _same(
        "live-restore",
        "bool",
        "Containers outlive the daemon; always on",
        accepted=("true",),
        refusal="containers always outlive cortend: live-restore cannot be switched off",
    ),
    _same("log-driver", "text", "Log driver of containers that name none"),
    _same("log-format", "text", 'Format of the daemon\'s own log ("text" | "json")'),
    _same("log-level", "text", '"debug" | "info" | "warn" | "error" | "fatal"', short="l", reloadable=True),
    Option("log_options", "log-opt", "log-opts", "map", "Options of the default log driver"),
    _same("max-concurrent-downloads", "int", "Downloads at once per pull", reloadable=True),
    _same("max-concurrent-uploads", "int", "Uploads at once per push", reloadable=True),
    _same("max-download-attempts", "int", "Attempts per download", reloadable=True),
    _same("mtu", "int", "MTU of container interfaces"),
    _same("no-proxy", "text", "Hosts that are reached without a proxy; in the file below proxies"),
    _same("no-new-privileges", "bool", "No new privileges for every container"),
    _same("oom-score-adjust", "int", "oom_score_adj of the daemon"),
    _same("pidfile", "text", "File with the daemon's process id", short="p"),
    _same("raw-logs", "bool", "No ANSI colours in the daemon's log"),
    Option(
        "registry_mirrors",
        "registry-mirror",
        "registry-mirrors",
        "list",
        "Mirrors of the default registry",
        reloadable=True,
    ),
    Option(
        "registry_realms",
        "registry-realm",
        "registry-realms",
        "map",
        "Another host that a registry's credentials may be sent to for a token (REGISTRY=HOST)",
        reloadable=True,
    ),
    _same("seccomp-profile", "text", "Seccomp profile: a file, builtin or unconfined"),
    _same("shutdown-timeout", "int", "Seconds that a stop of containers may take", reloadable=True),
    _same("storage-driver", "text", "overlay2 or overlayfs", short="s"),
    _same("tls", "bool", "Use TLS; implied by --tlsverify"),
    _same("tlscacert", "text", "Certificates of the CA that signs clients"),
    _same("tlscert", "text", "The daemon's certificate"),
    _same("tlskey", "text", "The daemon's key"),
    _same("tlsverify", "bool", "Use TLS and demand a client certificate"),
    _same("userland-proxy", "bool", "Accepted; ports need no proxy process here"),
    Option("validate", "validate", "", "bool", "Check the configuration and leave"),
    Option("version", "version", "", "bool", "Print the version and leave", short="v"),
    Option("help", "help", "", "bool", "Print this text and leave", short="h"),
    # What Docker has and Corten refuses.
    _refused("allow-nondistributable-artifacts", "list", "layers are pushed as their media type says"),
    _refused("api-cors-header", "text", "cross-origin access to the API is not offered"),
    _refused("authorization-plugin", "list", "authorisation plugins are not supported", key="authorization-plugins"),
    _refused("containerd", "text", "Corten runs without containerd"),
    _refused("containerd-namespace", "text", "Corten runs without containerd"),
    _refused(
        "containerd-plugins-namespace", "text", "Corten runs without containerd", key="containerd-plugin-namespace"
    ),
    _refused("cpu-rt-period", "int", "real-time limits of the parent cgroup are not set by Corten", "0"),
    _refused("cpu-rt-runtime", "int", "real-time limits of the parent cgroup are not set by Corten", "0"),
    _refused("cri-containerd", "bool", "Corten runs without containerd", "false", key=""),
    _refused("default-address-pool", "pools", "the pools of new networks are fixed", key="default-address-pools"),
    _refused("min-api-version", "text", "every API version from 1.24 on is served", "1.24"),
    _refused("metrics-addr", "text", "a metrics listener is not built yet"),
    _refused("network-control-plane-mtu", "int", _NO_SWARM, "1500"),
    _refused("node-generic-resource", "list", _NO_SWARM, key="node-generic-resources"),
    _refused("rootless", "bool", "cortend needs root", "false", key=""),
    _refused("selinux-enabled", "bool", "SELinux labels are not supported", "false"),
    _refused("storage-opt", "list", "storage driver options are not supported", key="storage-opts"),
    _refused("swarm-default-advertise-addr", "text", _NO_SWARM),
    _refused("userland-proxy-path", "text", "ports need no proxy process"),
    _refused("userns-remap", "text", "user namespace remapping is not supported", "", "host"),
)

BY_FLAG = {option.flag: option for option in OPTIONS}
BY_SHORT = {option.short: option for option in OPTIONS if option.short}
BY_KEY = {option.key: option for option in OPTIONS if option.key}
BY_FIELD = {option.field: option for option in OPTIONS if option.field}


def usage() -> str:
    """The text of ``--help``."""
    lines = ["Usage:\tcortend [OPTIONS]", "", "A self-sufficient engine for containers.", "", "Options:"]
    for option in OPTIONS:
        if not option.field:
            continue
        short = f"-{option.short}, " if option.short else "    "
        value = (
            ""
            if option.kind == "bool"
            else " " + {"text": "string", "runtime": "runtime"}.get(option.kind, option.kind)
        )
        lines.append(f"  {short}--{option.flag + value:<34} {option.help}")
    return "\n".join(lines) + "\n"
