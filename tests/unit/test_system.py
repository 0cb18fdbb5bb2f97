"""Info, version and disk usage: values and their JSON."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from corten import errors
from corten.api import systemshape
from corten.distribution.config import RegistryConfig
from corten.distribution.proxy import Proxies
from corten.engine import programs
from corten.engine.events import Events
from corten.engine.settings import Settings
from corten.engine.system import System
from corten.linux import host as hosts
from corten.model.image import ImageSummary
from corten.model.record import RunState
from corten.model.system import ContainerUsage, DiskUsage, RuntimeInfo
from corten.model.volume import Volume, VolumeUsage
from corten.oci.manifest import Descriptor


class Images:
    calls = 0

    def count(self):
        return 3

    async def list(self, query):
        Images.calls += 1
        await asyncio.sleep(0.02)
        return []

    async def layers_size(self):
        return 100


def make(pool, **settings):
    states = ("running", "paused", "exited", "created", "restarting")
    containers = [SimpleNamespace(id=status, state=RunState(status=status)) for status in states]

    async def sizes(container_id):
        if container_id == "exited":
            raise errors.NotFound("gone")
        return 10, 30

    async def volumes():
        return [Volume(name="v", usage=VolumeUsage(size=5, ref_count=0))]

    return System(
        settings=Settings(**settings), host=hosts.detect(), events=Events(), containers=lambda: containers,
        sizes=sizes, images=Images(), volumes=volumes, pool=pool,
        facts={"id": lambda: "me", "default_runtime": lambda: "crun", "init_program": lambda: "/usr/bin/tini"},
    )  # fmt: skip


def run(work):
    with ThreadPoolExecutor(1) as pool:
        return asyncio.run(work(pool))


def test_info():
    registry = RegistryConfig.make(proxies=Proxies(http="http://user:secret@proxy:3128"))

    async def work(pool):
        return await make(pool, labels=("a=b",), registry=registry, insecure_registries=("r:5000", "10.0.0.0/8")).info()

    document = systemshape.info(run(work), (1, 56))
    counts = [document[f"Containers{state}"] for state in ("", "Running", "Paused", "Stopped")]
    assert counts == [5, 2, 1, 2]
    assert document["HttpProxy"] == "http://xxxxx:xxxxx@proxy:3128"
    assert document["Labels"] == ["a=b"]
    assert document["RegistryConfig"]["InsecureRegistryCIDRs"] == ["::1/128", "127.0.0.0/8", "10.0.0.0/8"]
    assert document["RegistryConfig"]["IndexConfigs"]["r:5000"]["Secure"] is False
    assert document["Swarm"]["LocalNodeState"] == "inactive"
    assert document["InitBinary"] == "tini"
    old = systemshape.info(run(work), (1, 40))
    assert old["BridgeNfIptables"] is False
    assert "FirewallBackend" not in old


def test_disk_usage_is_shared_by_calls_at_the_same_time():
    async def work(pool):
        system = make(pool)
        Images.calls = 0
        return await asyncio.gather(*(system.disk_usage() for _ in range(5)))

    results = run(work)
    assert Images.calls == 1
    assert all(result == results[0] for result in results)
    assert [each.id for each in results[0].containers] == ["running", "paused", "created", "restarting"]


def test_disk_usage_of_one_type():
    async def work(pool):
        return await make(pool).disk_usage(["volume"])

    usage = run(work)
    assert (usage.images, usage.containers) == (None, None)
    assert systemshape.disk_usage(usage, [], (1, 52), True) == {
        "VolumeUsage": {
            "Items": [
                {
                    "CreatedAt": "0001-01-01T00:00:00Z", "Driver": "local", "Labels": None, "Mountpoint": "",
                    "Name": "v", "Options": None, "Scope": "local", "UsageData": {"RefCount": 0, "Size": 5},
                }
            ],
            "Reclaimable": 5, "TotalCount": 1, "TotalSize": 5,
        },
        "BuildCacheUsage": {},
    }  # fmt: skip


def test_unknown_type():
    async def work(pool):
        await make(pool).disk_usage(["colour"])

    with pytest.raises(errors.InvalidArgument, match="unknown object type: colour"):
        run(work)


def image(name, containers, size, shared):
    return ImageSummary(
        containers=containers, created=0, id=name, labels=None, parent_id="", descriptor=Descriptor(),
        repo_digests=[], repo_tags=[], shared_size=shared, size=size,
    )  # fmt: skip


def test_sums():
    usage = DiskUsage(
        layers_size=100,
        images=[image("a", 1, 50, 20), image("b", 0, 70, 20)],
        containers=[
            ContainerUsage(id="c", active=True, own=1, whole=9),
            ContainerUsage(id="d", active=False, own=2, whole=9),
        ],
        volumes=[],
    )
    document = systemshape.disk_usage(usage, [], (1, 52), True)
    assert document["ImageUsage"]["Reclaimable"] == 70
    assert document["ImageUsage"]["ActiveCount"] == 1
    assert (document["ContainerUsage"]["TotalSize"], document["ContainerUsage"]["Reclaimable"]) == (3, 2)
    assert document["VolumeUsage"] == {}
    assert set(systemshape.disk_usage(usage, [], (1, 51), False)) == {
        "LayersSize", "Images", "Containers", "Volumes", "BuildCache",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "version", "weak"),
    [
        ("crun", "1.8.1", True),
        ("crun", "1.30", False),
        ("runc", "1.1.5+ds1", True),
        ("runc", "1.3.6", False),
        ("x", "0.1", False),
        ("crun", "", False),
    ],
)
def test_old_runtimes_are_named(name, version, weak):
    assert bool(programs.weakness(name, RuntimeInfo(path="/x", version=version))) is weak
