"""What a container is asked to be: portable config, host config, mounts, endpoints.

Field names are the Engine API's names in snake case; ``corten.api.decode`` maps them by rule. A list or map that the
client never sent is ``None`` and is echoed as null; a sent but empty one stays empty (API reference, "Reading rules").
Durations are nanoseconds, sizes bytes.
"""

from typing import Any

from corten.model.base import Value

StringMap = dict[str, str]


class Healthcheck(Value, frozen=True):
    """Probe settings. ``test`` is ["NONE"], ["CMD", ...], ["CMD-SHELL", text]; empty or None inherits the image's."""

    test: list[str] | None = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class ContainerConfig(Value, frozen=True):
    """Portable settings (API ``Config``), after the merge with the image's config when read back from a container."""

    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: dict[str, Any] | None = None
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: list[str] | None = None
    cmd: list[str] | None = None
    healthcheck: Healthcheck | None = None
    args_escaped: bool = False
    image: str = ""
    volumes: dict[str, Any] | None = None
    working_dir: str = ""
    entrypoint: list[str] | None = None
    network_disabled: bool = False
    mac_address: str = ""
    on_build: list[str] | None = None
    labels: StringMap | None = None
    stop_signal: str = ""
    stop_timeout: int | None = None
    shell: list[str] | None = None


class LogConfig(Value, frozen=True):
    """Log driver and its options; type "" means the daemon's default."""

    type: str = ""
    config: StringMap | None = None


class PortBinding(Value, frozen=True):
    """One wanted or actual host side of a port. ``host_port`` "" or "0" picks a free one; "8000-8010" is a range."""

    host_ip: str = ""
    host_port: str = ""


class RestartPolicy(Value, frozen=True):
    """``name``: "no", "always", "unless-stopped" or "on-failure" (with ``maximum_retry_count``, 0 = no bound)."""

    name: str = ""
    maximum_retry_count: int = 0


class WeightDevice(Value, frozen=True):
    path: str = ""
    weight: int = 0


class ThrottleDevice(Value, frozen=True):
    path: str = ""
    rate: int = 0


class DeviceMapping(Value, frozen=True):
    path_on_host: str = ""
    path_in_container: str = ""
    cgroup_permissions: str = ""


class DeviceRequest(Value, frozen=True):
    """A request to a device driver; driver "cdi" resolves ``device_ids`` as CDI names."""

    driver: str = ""
    count: int = 0
    device_ids: list[str] | None = None
    capabilities: list[list[str]] | None = None
    options: StringMap | None = None


class Ulimit(Value, frozen=True):
    name: str = ""
    soft: int = 0
    hard: int = 0


class BindOptions(Value, frozen=True):
    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


class DriverConfig(Value, frozen=True):
    name: str = ""
    options: StringMap | None = None


class VolumeOptions(Value, frozen=True):
    no_copy: bool = False
    labels: StringMap | None = None
    subpath: str = ""
    driver_config: DriverConfig | None = None


class ImageOptions(Value, frozen=True):
    subpath: str = ""


class TmpfsOptions(Value, frozen=True):
    size_bytes: int = 0
    mode: int = 0
    options: list[list[str]] | None = None


class MountSpec(Value, frozen=True):
    """One entry of ``HostConfig.Mounts``. ``type``: bind, volume, tmpfs, image (npipe and cluster are refused)."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    image_options: ImageOptions | None = None
    tmpfs_options: TmpfsOptions | None = None


class HostConfig(Value, frozen=True):
    """Host-dependent settings (API ``HostConfig``)."""

    binds: list[str] | None = None
    container_id_file: str = ""
    log_config: LogConfig = LogConfig()
    network_mode: str = ""
    port_bindings: dict[str, list[PortBinding] | None] | None = None
    restart_policy: RestartPolicy = RestartPolicy()
    auto_remove: bool = False
    volume_driver: str = ""
    volumes_from: list[str] | None = None
    console_size: list[int] | None = None
    annotations: StringMap | None = None
    cap_add: list[str] | None = None
    cap_drop: list[str] | None = None
    cgroupns_mode: str = ""
    dns: list[str] | None = None
    dns_options: list[str] | None = None
    dns_search: list[str] | None = None
    extra_hosts: list[str] | None = None
    group_add: list[str] | None = None
    ipc_mode: str = ""
    cgroup: str = ""
    links: list[str] | None = None
    oom_score_adj: int = 0
    pid_mode: str = ""
    privileged: bool = False
    publish_all_ports: bool = False
    readonly_rootfs: bool = False
    security_opt: list[str] | None = None
    storage_opt: StringMap | None = None
    tmpfs: StringMap | None = None
    uts_mode: str = ""
    userns_mode: str = ""
    shm_size: int = 0
    sysctls: StringMap | None = None
    runtime: str = ""
    isolation: str = ""
    cpu_shares: int = 0
    memory: int = 0
    nano_cpus: int = 0
    cgroup_parent: str = ""
    blkio_weight: int = 0
    blkio_weight_device: list[WeightDevice] | None = None
    blkio_device_read_bps: list[ThrottleDevice] | None = None
    blkio_device_write_bps: list[ThrottleDevice] | None = None
    blkio_device_read_iops: list[ThrottleDevice] | None = None
    blkio_device_write_iops: list[ThrottleDevice] | None = None
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    devices: list[DeviceMapping] | None = None
    device_cgroup_rules: list[str] | None = None
    device_requests: list[DeviceRequest] | None = None
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    pids_limit: int | None = None
    ulimits: list[Ulimit] | None = None
    cpu_count: int = 0
    cpu_percent: int = 0
    io_maximum_iops: int = 0
    io_maximum_bandwidth: int = 0
    mounts: list[MountSpec] | None = None
    masked_paths: list[str] | None = None
    readonly_paths: list[str] | None = None
    init: bool | None = None


class EndpointIPAMConfig(Value, frozen=True):
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: list[str] | None = None


class EndpointSettings(Value, frozen=True):
    """An endpoint: first what was asked for, then (empty while stopped) what it has."""

    ipam_config: EndpointIPAMConfig | None = None
    links: list[str] | None = None
    aliases: list[str] | None = None
    driver_opts: StringMap | None = None
    gw_priority: int = 0
    network_id: str = ""
    endpoint_id: str = ""
    gateway: str = ""
    ip_address: str = ""
    mac_address: str = ""
    ip_prefix_len: int = 0
    ipv6_gateway: str = ""
    global_ipv6_address: str = ""
    global_ipv6_prefix_len: int = 0
    dns_names: list[str] | None = None


class MountPoint(Value, frozen=True):
    """A mount that results from binds, mounts, volumes-from and image volumes (API ``Mounts`` of inspect).

    ``source`` is the host path (volume: its ``_data``), ``name`` the volume's name. The fields after ``propagation``
    are Corten's own and never leave the engine.
    """

    type: str = ""
    name: str = ""
    source: str = ""
    destination: str = ""
    driver: str = ""
    mode: str = ""
    rw: bool = True
    propagation: str = ""
    # internal
    anonymous: bool = False
    no_copy: bool = False
    subpath: str = ""
    non_recursive: bool = False
    create_source: bool = False
    read_only_recursive: bool = True
    read_only_force_recursive: bool = False
    tmpfs_options: str = ""
    image_id: str = ""
