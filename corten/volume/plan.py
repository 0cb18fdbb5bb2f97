"""From what a client asks for to the list of mount points of a container, at create time.

Order of precedence as in Docker: ``VolumesFrom`` first, ``Binds`` and ``Mounts`` override it, the volumes that the
image or ``Config.Volumes`` declares fill only what is still free.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from corten import errors
from corten.model.container import ContainerConfig, DriverConfig, HostConfig, MountPoint, MountSpec
from corten.model.record import Record
from corten.model.volume import Volume
from corten.volume import modes, mountspec, tmpfs

if TYPE_CHECKING:
    from corten.volume.store import Volumes

Lookup = Callable[[str], Record]


def plan(
    volumes: "Volumes",
    container_id: str,
    config: ContainerConfig,
    host: HostConfig,
    image_volumes: list[str],
    lookup: Lookup,
) -> list[MountPoint]:
    """The mount points by destination. Volumes made here are removed again when a later mount is refused.

    Raises InvalidArgument with Docker's texts, NotFound for a volume driver or image.
    """
    made: list[str] = []
    try:
        return _Plan(volumes, container_id, host, made).build(config, image_volumes, lookup)
    except BaseException:
        for name in made:
            volumes.remove(name, force=True, ignoring=container_id)
        volumes.drop_holds(container_id)
        raise


class _Plan:
    def __init__(self, volumes: "Volumes", container_id: str, host: HostConfig, made: list[str]) -> None:
        self.volumes, self.container_id, self.host, self.made = volumes, container_id, host, made
        self.tmpfs = {mountspec.clean(target) for target in host.tmpfs or {}}
        self.points: dict[str, MountPoint] = {}
        self.asked: set[str] = set()

    def build(self, config: ContainerConfig, image_volumes: list[str], lookup: Lookup) -> list[MountPoint]:
        wanted = self._parse()  # everything is checked before the first volume is made
        for target, options in (self.host.tmpfs or {}).items():
            mountspec.check_target(target)
            tmpfs.runtime_options(options)
        declared = {mountspec.clean(target): target for target in [*(config.volumes or {}), *image_volumes]}
        for target in declared.values():
            mountspec.check_target(target)
        self._take_over(lookup)
        for spec, mode, is_bind_text in wanted:
            point = self._make(spec, mode)
            if point.type == "bind" and is_bind_text:
                point = replace(point, create_source=True)
            self.points[point.destination] = point
        for target in sorted(declared):
            if target not in self.points and target not in self.tmpfs:
                spec = MountSpec(type="volume", target=target)
                self.points[target] = replace(self._make(spec, ""), mode="")
        return [self.points[target] for target in sorted(self.points)]

    def _parse(self) -> list[tuple[MountSpec, str, bool]]:
        wanted: list[tuple[MountSpec, str, bool]] = []
        for text in self.host.binds or []:
            spec, mode = mountspec.parse_bind(text, self.host.volume_driver)
            wanted.append((spec, mode, True))
        for spec in self.host.mounts or []:
            mountspec.check(spec)
            wanted.append((spec, "", False))
        for spec, *_ in wanted:
            target = mountspec.clean(spec.target)
            if target in self.asked or target in self.tmpfs:
                raise errors.InvalidArgument(f"Duplicate mount point: {target}")
            self.asked.add(target)
        return wanted

    def _take_over(self, lookup: Lookup) -> None:
        """The mounts of other containers (``VolumesFrom``: "container[:mode]"); they are never filled again."""
        for text in self.host.volumes_from or []:
            if not text:
                raise errors.InvalidArgument("volumes-from specification cannot be an empty string")
            reference, colon, mode = text.partition(":")
            if colon and (not modes.valid(mode) or modes.propagation(mode) or modes.no_copy(mode)):
                raise errors.InvalidArgument(f"invalid mode: {mode}")
            try:
                other = lookup(reference)
            except errors.NotFound as error:
                raise errors.InvalidArgument(str(error)) from error
            for point in other.mounts:
                if point.type == "volume":
                    self.volumes.hold(point.name, self.container_id)
                self.points[point.destination] = replace(
                    point, rw=point.rw and modes.writable(mode), mode="", no_copy=True
                )

    def _make(self, spec: MountSpec, mode: str) -> MountPoint:
        """The mount point for a checked *spec*, its volume made or its image found."""
        point = mountspec.mount_point(spec, mode)
        if spec.type == "volume":
            volume = self._volume(spec)
            return replace(
                point, name=volume.name, source=volume.mountpoint, driver=volume.driver, mode=point.mode or "z"
            )
        if spec.type == "image":
            if self.volumes.images is None:
                raise errors.NotSupported("mounts of type image need an image store")
            return replace(point, image_id=self.volumes.images.resolve(spec.source))
        return point

    def _volume(self, spec: MountSpec) -> Volume:
        options = spec.volume_options
        driver = (options.driver_config if options else None) or DriverConfig(name=self.host.volume_driver)
        volume, new = self.volumes.create(
            spec.source,
            driver.name,
            driver.options,
            options.labels if options else None,
            holder=self.container_id,
        )
        if new:
            self.made.append(volume.name)
        return volume
