"""A volume, as the volume API shows it."""

from corten.model.base import Value

ANONYMOUS_LABEL = "com.docker.volume.anonymous"


class VolumeUsage(Value, frozen=True):
    """``size`` in bytes (-1 unknown), ``ref_count`` the number of containers that name it, running or not."""

    size: int = -1
    ref_count: int = -1


class Volume(Value, frozen=True):
    """``mountpoint`` is the host path of the data; ``created`` nanoseconds since the epoch."""

    name: str
    driver: str = "local"
    mountpoint: str = ""
    created: int = 0
    labels: dict[str, str] | None = None
    options: dict[str, str] | None = None
    scope: str = "local"
    usage: VolumeUsage | None = None

    @property
    def anonymous(self) -> bool:
        """Made without a name, for one container."""
        return ANONYMOUS_LABEL in (self.labels or {})
