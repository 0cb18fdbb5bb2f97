"""What the daemon's configuration means to the engine."""

from dataclasses import dataclass, field

from corten.distribution.config import RegistryConfig
from corten.model.container import Ulimit
from corten.model.gc import GcPolicy
from corten.network.config import NetworkConfig


@dataclass(slots=True, kw_only=True)
class Settings:
    """Settings of one engine. ``runtimes`` maps a name to (program, arguments); the rest follows dockerd's flags.

    What a reload may change is changed in place (``corten.engine.engine.RELOADABLE``).
    """

    data_root: str = "/var/lib/corten"
    exec_root: str = "/run/corten"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    runtimes: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    default_runtime: str = "crun"
    conmon: str = "/usr/bin/conmon"
    init: bool = False
    init_path: str = ""
    cgroup_parent: str = ""
    default_cgroupns_mode: str = ""
    default_ipc_mode: str = "private"
    default_shm_size: int = 64 << 20
    default_ulimits: dict[str, Ulimit] = field(default_factory=dict)
    seccomp_profile: str = ""
    """JSON, "unconfined" or ""."""
    no_new_privileges: bool = False
    cdi_spec_dirs: tuple[str, ...] = ("/etc/cdi", "/var/run/cdi")
    log_driver: str = "json-file"
    log_options: dict[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    debug: bool = False
    experimental: bool = False
    insecure_registries: tuple[str, ...] = ()
    registry_mirrors: tuple[str, ...] = ()
    max_concurrent_uploads: int = 5
    """Of one push; 0 is no bound of the user's."""
    registry: RegistryConfig = field(default_factory=RegistryConfig)
    """The two above and what else the client of registries is told."""
    max_concurrent_downloads: int = 3
    """Blobs that all pulls together fetch at once."""
    max_download_attempts: int = 5
    blob_retention: str = "auto"
    gc: GcPolicy = field(default_factory=GcPolicy)
    """See ``corten.engine.blobretention``."""
