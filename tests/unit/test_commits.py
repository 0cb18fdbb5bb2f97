"""The use case ``commit`` over stand-ins for containers and images."""

import asyncio

import pytest
from msgspec.structs import replace

from corten import errors
from corten.engine import lifecycle
from corten.engine.commits import Commits
from corten.engine.container import Container
from corten.engine.events import Events
from corten.model.record import Record


class Containers:
    """One running container that ends, unless *frozen*, while the image is made."""

    def __init__(self, frozen):
        record = Record(id="a" * 64, name="box", created=1)
        state = lifecycle.started(record.state, pid=1, monitor_pid=2, now=3, health=False, by_policy=False)
        self.container = Container(replace(record, state=state))
        self.frozen = frozen

    def get(self, reference):
        return self.container

    async def pause(self, reference, *, passing=False):
        self.container.enter(lifecycle.paused(self.container.state))

    async def unpause(self, reference):
        raise errors.System("cannot thaw" if self.frozen else "Container is not paused")


class Images:
    def __init__(self, containers):
        self.containers = containers

    async def commit(self, request):
        container = self.containers.container
        assert container.committing.locked(), "a removal must wait until the image is made"
        if not self.containers.frozen:
            container.enter(lifecycle.exited(container.state, exit_code=137, now=9, oom=False))
        return "sha256:made"


@pytest.mark.parametrize("frozen", [False, True])
def test_a_container_that_ends_meanwhile_does_not_spoil_the_image(frozen):
    async def scene():
        containers = Containers(frozen)
        return await Commits(containers, Images(containers), Events()).commit("box", None)

    if frozen:
        with pytest.raises(errors.System, match="cannot thaw"):
            asyncio.run(scene())
    else:
        assert asyncio.run(scene()) == "sha256:made"


def test_a_container_that_ends_before_the_pause_needs_none():
    async def scene():
        containers = Containers(frozen=False)

        async def pause(reference, *, passing):
            container = containers.container
            container.enter(lifecycle.exited(container.state, exit_code=0, now=9, oom=False))
            raise errors.Conflict("container is not running")

        images = Images(containers)
        containers.pause, containers.frozen = pause, True  # frozen: the image's making leaves the state alone
        return await Commits(containers, images, Events()).commit("box", None)

    assert asyncio.run(scene()) == "sha256:made"
