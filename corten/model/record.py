"""What the engine remembers of a container: the durable record and its run state.

``Record`` changes rarely and is written with a sync; ``RunState`` is the moving part. Both are plain values: only
``corten.engine.lifecycle`` derives a new ``RunState`` from an old one (rule 5 of the architecture).
"""

from corten.model.base import Value
from corten.model.container import ContainerConfig, EndpointSettings, HostConfig, MountPoint

KNOWN: frozenset[str] = frozenset()
"""What a record may need. A feature that would be lost in silence by a daemon which does not know its fields, such as
one that confines a container, gets a name here, and the containers that use it have it in ``Record.needs``."""

ZERO_TIME = 0
"""Times are integers: nanoseconds since the epoch; 0 means never and prints as 0001-01-01T00:00:00Z."""


class HealthResult(Value, frozen=True):
    start: int = 0
    end: int = 0
    exit_code: int = 0
    output: str = ""


class HealthState(Value, frozen=True):
    """``status``: starting, healthy, unhealthy. ``log`` holds the last five results, oldest first."""

    status: str = "starting"
    failing_streak: int = 0
    log: list[HealthResult] = []


class RunState(Value, frozen=True):
    """``status``: created, running, paused, restarting, removing, exited, dead."""

    status: str = "created"
    pid: int = 0
    monitor_pid: int = 0
    monitor_start_ticks: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: int = ZERO_TIME
    finished_at: int = ZERO_TIME
    restart_count: int = 0
    manually_stopped: bool = False
    has_been_started: bool = False
    health: HealthState | None = None


class Record(Value, frozen=True):
    """A container, as written in the database."""

    id: str
    name: str
    created: int
    image: str = ""
    """Image id, ``sha256:...`` of the target (manifest or index)."""
    manifest_digest: str = ""
    manifest_media_type: str = ""
    manifest_size: int = 0
    platform_os: str = "linux"
    platform_architecture: str = ""
    platform_variant: str = ""
    path: str = ""
    args: list[str] = []
    config: ContainerConfig = ContainerConfig()
    host_config: HostConfig = HostConfig()
    endpoints: dict[str, EndpointSettings] = {}
    """Keyed by network name; wanted settings plus what the endpoint got while running."""
    wanted_endpoints: dict[str, EndpointSettings] = {}
    """What was asked for: every start begins from these."""
    ports: dict[str, list[dict[str, str]] | None] = {}
    """Actual bindings while running: "80/tcp" -> [{"HostIp", "HostPort"}]."""
    mounts: list[MountPoint] = []
    runtime: str = ""
    log_driver: str = "json-file"
    log_options: dict[str, str] = {}
    apparmor_profile: str = ""
    limits_due: bool = False
    """The processes of a running container have not all been given the limits of ``host_config`` yet."""
    state: RunState = RunState()
    needs: list[str] = []
    """Names of what a daemon has to know to start it (``KNOWN``): an older one shows, stops and removes it only."""
