"""``docker commit``: freeze the container for the moment, make the image, tell about it."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from corten import errors
from corten.engine.container import Container
from corten.engine.containers import Containers
from corten.engine.events import Events
from corten.engine.images import Images
from corten.engine.merge import merge
from corten.model.container import ContainerConfig
from corten.model.image import CommitRequest
from corten.model.record import Record
from corten.oci.image import Healthcheck, ImageConfig, RunConfig
from corten.oci.platform import Platform


class Commits:
    """The use case over containers and images."""

    def __init__(self, containers: Containers, images: Images, events: Events) -> None:
        self._containers = containers
        self._images = images
        self._events = events

    async def commit(
        self,
        reference: str,
        config: ContainerConfig | None,
        *,
        repo: str = "",
        tag: str = "",
        comment: str = "",
        author: str = "",
        pause: bool = True,
        changes: Sequence[str] = (),
    ) -> str:
        """The new image's id. What *config* sets wins over the container's own settings, *changes* (Dockerfile
        instructions) over both. Conflict for a container on its way out, InvalidArgument for bad names or changes.
        """
        container = self._containers.get(reference)
        record = container.record
        if record.state.status == "dead":
            raise errors.Conflict(f"You cannot commit container {record.id} which is Dead")
        if record.state.status == "removing":
            raise errors.Conflict(f"You cannot commit container {record.id} which is being removed")
        own = run_config(record.config)
        wanted = own if config is None else run_config(merge(config, ImageConfig(config=own)))
        request = CommitRequest(
            container_id=record.id,
            base=self._images.resolve(record.image, _platform(record)) if record.image else None,
            config=wanted,
            repo=repo,
            tag=tag,
            comment=comment,
            author=author,
            changes=list(changes),
            created_by=" ".join(record.config.cmd or ()),
        )
        async with container.committing:
            self._containers.get(container.id)  # somebody may have removed it while we waited
            image_id = await self._make(container, request, pause)
        name = f"{repo}:{tag}" if repo and tag else repo
        attributes = {**container.attributes(), "comment": comment, "imageID": image_id, "imageRef": name}
        self._events.emit("container", "commit", record.id, attributes)
        return image_id

    async def _make(self, container: Container, request: CommitRequest, pause: bool) -> str:
        paused = pause and await self._freeze(container)
        try:
            return await self._images.commit(request)
        finally:
            if paused:
                await self._thaw(container)

    async def _freeze(self, container: Container) -> bool:
        """Pause it; False when it does not run, which also holds still."""
        if container.state.status != "running":
            return False
        try:
            await self._containers.pause(container.id, passing=True)
        except errors.Conflict:
            if container.state.status == "running":
                raise
            return False
        return True

    async def _thaw(self, container: Container) -> None:
        """Let it go on. One that was ended, removed or thawed by somebody meanwhile does not spoil the image."""
        try:
            await self._containers.unpause(container.id)
        except (errors.NotFound, errors.Conflict):
            return
        except errors.System:
            if container.state.status == "paused":
                raise


def _platform(record: Record) -> Platform | None:
    if not record.platform_architecture:
        return None
    return Platform(os=record.platform_os, architecture=record.platform_architecture, variant=record.platform_variant)


def run_config(config: ContainerConfig) -> RunConfig:
    """The part of a container's config that images have too."""
    check = config.healthcheck
    fields = {field: getattr(config, field) for field in RunConfig.__struct_fields__ if field != "healthcheck"}
    found = RunConfig(**fields)
    return found if check is None else replace(found, healthcheck=Healthcheck(**msgspec.structs.asdict(check)))
