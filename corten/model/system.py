"""What the daemon says about itself: info, version, disk usage."""

import msgspec

from corten.model.base import Value
from corten.model.image import ImageSummary
from corten.model.volume import Volume


class RuntimeInfo(Value, frozen=True):
    """A registered OCI runtime; ``version`` "" when it does not tell."""

    path: str
    arguments: tuple[str, ...] = ()
    version: str = ""


class ContainerCounts(Value, frozen=True):
    """Containers by state; ``stopped`` is every one that is neither running nor paused."""

    total: int = 0
    running: int = 0
    paused: int = 0
    stopped: int = 0


class SystemInfo(Value, frozen=True):
    """``limits`` names what cgroups can limit (``corten.linux.controllers``); ``time`` is nanoseconds, sizes bytes."""

    id: str
    name: str
    counts: ContainerCounts
    images: int
    driver: str
    driver_status: list[tuple[str, str]]
    volume_drivers: list[str]
    network_drivers: list[str]
    log_drivers: list[str]
    limits: frozenset[str]
    ip_forwarding: bool
    debug: bool
    descriptors: int
    tasks: int
    time: int
    logging_driver: str
    cgroup_driver: str
    cgroup_version: str
    listeners: int
    kernel: str
    operating_system: str
    os_version: str
    machine: str
    insecure_registries: list[str]
    registry_mirrors: list[str]
    cpus: int
    memory_total: int
    data_root: str
    http_proxy: str
    https_proxy: str
    no_proxy: str
    labels: list[str]
    experimental: bool
    version: str
    runtimes: dict[str, RuntimeInfo]
    default_runtime: str
    init_program: str
    security_options: list[str]
    firewall: str
    cdi_spec_dirs: list[str]
    address_pools: list[tuple[str, int]] = msgspec.field(default_factory=list)
    warnings: list[str] = msgspec.field(default_factory=list)


class Component(Value, frozen=True):
    """A program that Corten stands on."""

    name: str
    version: str
    details: dict[str, str] = msgspec.field(default_factory=dict)


class SystemVersion(Value, frozen=True):
    """``architecture`` in Go's words (amd64), ``interpreter`` the Python that runs the daemon."""

    version: str
    kernel: str
    architecture: str
    interpreter: str
    experimental: bool
    components: list[Component]


class ContainerUsage(Value, frozen=True):
    """Bytes of a container's writable layer and of its whole file system."""

    id: str
    active: bool
    own: int
    whole: int


class DiskUsage(Value, frozen=True):
    """Bytes on disk; None for a kind that was not asked for. ``layers_size`` counts what images share once."""

    layers_size: int = 0
    images: list[ImageSummary] | None = None
    containers: list[ContainerUsage] | None = None
    volumes: list[Volume] | None = None
