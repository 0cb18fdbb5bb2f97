"""Use cases of volumes: list, get, create, remove, prune, usage; and their events."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from typing import TypeVar

from msgspec.structs import replace

from corten.engine.events import Events
from corten.engine.images import Images
from corten.model.record import Record
from corten.model.volume import Volume
from corten.store.snapshot import Snapshots
from corten.volume.store import LOCAL, Volumes

T = TypeVar("T")
Names = list[str]


class VolumeUseCases:
    """What the API does with volumes. *records* gives every container's record, from any thread."""

    def __init__(
        self,
        volumes: Volumes,
        events: Events,
        records: Callable[[], Iterable[Record]],
        pool: Executor,
        damaged: Callable[[str], Names] = lambda name: [],
    ) -> None:
        """*damaged* gives the containers whose record cannot be read and seems to name the volume."""
        self._volumes = volumes
        self._events = events
        self._records = records
        self._pool = pool
        self._damaged = damaged
        volumes.users = self._users
        volumes.emit = self._emit

    async def get(self, name: str) -> Volume:
        """The volume. NotFound "get x: no such volume"."""
        return self._volumes.get(name)

    async def list(self, filters: Mapping[str, Sequence[str]] | None = None) -> "Sequence[Volume]":
        """By name. Filters dangling, driver, label, name; InvalidArgument for others."""
        return self._volumes.list({key: list(values) for key, values in (filters or {}).items()})

    async def create(
        self,
        name: str = "",
        driver: str = LOCAL,
        options: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
    ) -> Volume:
        """A new volume, or the one of that name. InvalidArgument, NotFound (driver)."""
        volume, _ = await self._call(lambda: self._volumes.create(name, driver, options, labels))
        return volume

    async def remove(self, name: str, force: bool = False) -> None:
        """NotFound unless *force*; Conflict "remove x: volume is in use - [ids]"."""
        await self._call(lambda: self._volumes.remove(name, force))

    async def prune(self, filters: Mapping[str, Sequence[str]] | None = None) -> "tuple[Sequence[str], int]":
        """Names of the removed volumes and the freed bytes. Filters all, label, label!.

        Only anonymous volumes go unless ``all`` is true; the API sets it for clients below 1.42.
        """
        wanted = {key: list(values) for key, values in (filters or {}).items()}
        removed, freed = await self._call(lambda: self._volumes.prune(wanted))
        self._events.emit("volume", "prune", "", {"reclaimed": str(freed)})
        return removed, freed

    async def usage(self) -> "Sequence[Volume]":
        """Every volume with its ``usage`` (for ``/system/df``)."""

        def measure() -> "Sequence[Volume]":
            return [replace(volume, usage=self._volumes.usage(volume.name)) for volume in self._volumes.list()]

        return await self._call(measure)

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _users(self, name: str) -> Names:
        return [
            record.id
            for record in self._records()
            if any(point.type == "volume" and point.name == name for point in record.mounts)
        ] + self._damaged(name)

    def _emit(self, action: str, name: str, attributes: dict[str, str]) -> None:
        self._events.emit("volume", action, name, attributes)


class ImageMounts:
    """Images as a source of mounts (``corten.volume.store.ImageTrees``)."""

    def __init__(self, images: Images, snapshots: Snapshots) -> None:
        self._images = images
        self._snapshots = snapshots

    def resolve(self, reference: str) -> str:
        """The image's id."""
        return self._images.resolve(reference).id

    def layers(self, image_id: str) -> list[str]:
        """The unpacked layers' directories, top first."""
        return self._snapshots.lower_dirs(self._images.resolve(image_id).chain_id)
