"""Garbage collection: what goes, what stays and why, and beside whatever comes and goes (attack case 36)."""

import asyncio
import contextlib
import hashlib
import json
import os
import random
import threading
import time
from collections.abc import Iterator

import pytest

from corten import errors
from corten.engine.garbage import Garbage
from corten.engine.images import Images
from corten.model.gc import GcPolicy
from corten.store.database import Database
from corten.store.snapshot import Snapshots
from tests.support.cortencli import Corten
from tests.support.daemon import Daemon
from tests.support.http import Api
from tests.support.layers import archive, busybox_layer, config_for, docker_archive, member, sha256
from tests.support.registry import MISSING as REGISTRY_MISSING
from tests.support.registry import Registry
from tests.support.stock import Docker

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class Home:
    """An image store of its own, without a daemon."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.database = Database(f"{root}/state.db")
        self.snapshots = Snapshots(f"{root}/snapshots", self.database)
        self.images = Images(f"{root}/content", self.database, self.snapshots)
        self.store = self.images.store
        self.garbage = Garbage(self.store)

    def close(self) -> None:
        self.images.close()
        self.snapshots.close()
        self.database.close()

    def load(self, layers: list[bytes], tags: list[str]) -> str:
        data = docker_archive(layers, tags, config_for(layers))

        async def chunks():
            for start in range(0, len(data), 5000):
                yield data[start : start + 5000]

        async def run() -> None:
            async for _ in self.images.load(chunks()):
                pass

        asyncio.run(run())
        return self.store.index.find(tags[0])[0].id

    def blobs(self) -> set[str]:
        return set(self.store.content.digests())

    def orphan(self, data: bytes) -> str:
        return self.store.content.put(data)

    def whole(self) -> None:
        """Every image has every blob, unharmed, and can run; nothing else is there."""
        needed = set()
        for image in self.store.index.images():
            for digest in image.blobs():
                with open(self.store.content.path(digest), "rb") as file:
                    assert "sha256:" + hashlib.sha256(file.read()).hexdigest() == digest
                needed.add(digest)
            assert all(self.store.runnable(manifest) for manifest in image.manifests)
        self.garbage.collect(GcPolicy())
        assert self.blobs() == needed
        chains = {chain for image in self.store.index.images() for item in image.manifests for chain in item.chain()}
        assert set(self.snapshots.layer_dirs()) == chains


@pytest.fixture
def home(tmp_path) -> Iterator[Home]:
    made = Home(str(tmp_path))
    yield made
    made.close()


def layer(*words: str) -> bytes:
    return archive(*[member(word, word.encode() * 100) for word in words])


def kinds(garbage: list) -> list[tuple[str, str]]:
    return sorted((each.kind, each.id) for each in garbage)


def test_only_what_nothing_needs_goes(home: Home) -> None:
    home.load([layer("a")], ["kept:1"])
    before = home.blobs()
    orphan, leased = home.orphan(b"orphan"), home.orphan(b"leased")
    home.store.leases.create("someone", 3600, [leased])
    with home.store.pinned() as pin:
        pinned = home.orphan(b"pinned")
        pin(pinned)
        told = home.garbage.collect(GcPolicy(), dry=True, every=True)
        assert kinds(told.removed) == [("blob", orphan)]
        assert home.blobs() == before | {orphan, leased, pinned}
        reasons = {each.id: each.reason for each in told.kept}
        assert reasons[leased] == "needed by lease someone"
        assert reasons[pinned].startswith("needed by lease ingest")
        assert {reasons[digest] for digest in before} == {"needed by image kept:1"}
        done = home.garbage.collect(GcPolicy())
        assert (kinds(done.removed), done.reclaimed) == ([("blob", orphan)], 6)
        assert home.blobs() == before | {leased, pinned}
    assert kinds(home.garbage.collect(GcPolicy()).removed) == [("blob", pinned)]
    home.store.leases.release("someone")
    assert kinds(home.garbage.collect(GcPolicy()).removed) == [("blob", leased)]
    home.whole()


def test_what_is_pinned_is_in_no_sweep(home: Home) -> None:
    """A sweep that has looked at the pins already would take what the one who pins finds there."""
    pinned = threading.Event()

    def take() -> None:
        with home.store.pinned() as pin:
            pin(digest)
            pinned.set()

    digest = home.orphan(b"wanted")
    thread = threading.Thread(target=take)
    with home.store.exclusive():
        thread.start()
        assert not pinned.wait(0.2)
    thread.join()
    assert pinned.is_set()


def test_a_lease_whose_time_is_over_holds_nothing(home: Home) -> None:
    orphan = home.orphan(b"orphan")
    home.store.leases.create("short", 0.001, [orphan])
    time.sleep(0.002)
    assert kinds(home.garbage.collect(GcPolicy()).removed) == [("blob", orphan), ("lease", "short")]


def test_images_go_by_the_limits_alone(home: Home) -> None:
    named, dangling = home.load([layer("a", "shared")], ["named:1"]), home.load([layer("b")], ["moved:1"])
    moved = home.load([layer("c")], ["moved:1"])
    assert home.garbage.collect(GcPolicy()).removed == []
    old = GcPolicy(max_age=0.001)
    time.sleep(0.01)
    told = home.garbage.collect(old, dry=True)
    assert [each.id for each in told.removed if each.kind == "image"] == [dangling]
    done = home.garbage.collect(old)
    assert kinds(done.removed) == kinds(told.removed)
    assert done.reclaimed == told.reclaimed > 0
    assert {image.id for image in home.store.index.images()} == {named, moved}
    home.store.users = lambda image_id: [object()] if image_id == named else []
    done = home.garbage.collect(GcPolicy(keep_storage=1, tagged=True))
    assert [each.names for each in done.removed if each.kind == "image"] == [["moved:1"]]
    assert {image.id for image in home.store.index.images()} == {named}
    home.store.users = lambda image_id: []
    assert home.garbage.collect(GcPolicy(min_free_space=1, tagged=True)).removed == []
    home.garbage.collect(GcPolicy(min_free_space=1 << 60, tagged=True))
    assert home.store.index.images() == []
    assert home.blobs() == set()


def test_keep_storage_stops_when_it_fits(home: Home) -> None:
    images = [home.load([layer(f"{number}" * 20)], [f"image:{number}"]) for number in range(4)]
    policy = GcPolicy(keep_storage=home.garbage.stored() - 1, tagged=True)
    home.garbage.collect(policy)
    assert {image.id for image in home.store.index.images()} == set(images[1:]), "the oldest goes, and no other"


def test_downloads_that_broke_off(home: Home) -> None:
    digests = ["sha256:" + letter * 64 for letter in "abc"]
    for age, digest in zip((10, 1000, 1000), digests, strict=True):
        path = home.store.partials.path(digest)
        with open(path, "wb") as file:
            file.write(b"x" * 5000)
        os.utime(path, (time.time() - age,) * 2)
    home.store.fetching = lambda: [digests[2]]
    assert home.garbage.collect(GcPolicy()).removed == []
    assert kinds(home.garbage.collect(GcPolicy(partial_max_age=500)).removed) == [("partial", digests[1])]
    assert home.store.partials.sizes().keys() == {digests[0], digests[2]}


def test_while_a_record_is_in_quarantine_nothing_unneeded_goes(home: Home) -> None:
    orphan = home.orphan(b"orphan")
    home.database.quarantine.note("image", "sha256:" + "0" * 64, "test")
    done = home.garbage.collect(GcPolicy())
    assert done.removed == []
    assert "quarantine" in done.held
    home.database.quarantine.discard("image", "sha256:" + "0" * 64)
    assert kinds(home.garbage.collect(GcPolicy()).removed) == [("blob", orphan)]


def test_collecting_beside_loads_tags_removals_and_creates(home: Home) -> None:
    """Whoever was told that an image is there has all of it, whatever is collected meanwhile."""
    shared = layer(*[f"shared{number}" for number in range(20)])
    stop = threading.Event()
    wrong: list[BaseException] = []

    def guarded(work, number: int):
        def run() -> None:
            rng = random.Random(number)
            with contextlib.suppress(errors.NotFound, errors.Unavailable, errors.Conflict):
                work(rng, number)

        def loop() -> None:
            while not stop.is_set():
                try:
                    run()
                except BaseException as error:  # noqa: BLE001 - judged by the test
                    wrong.append(error)
                    return

        return threading.Thread(target=loop)

    def load(rng: random.Random, number: int) -> None:
        home.load([shared, layer(f"own{number}")], [f"image:{number}"])

    def tag(rng: random.Random, number: int) -> None:
        asyncio.run(home.images.tag(f"image:{rng.randrange(2)}", f"tag:{number}"))

    def remove(rng: random.Random, number: int) -> None:
        names = list(home.store.index.names().values())
        if names:
            asyncio.run(home.images.remove(rng.choice(names).reference.familiar(), force=True))

    def create(rng: random.Random, number: int) -> None:
        found = home.images.resolve(f"image:{rng.randrange(2)}")
        key = f"container{number}"
        home.database.write(home.snapshots.prepare(key, found.chain_id))
        try:
            assert all(os.path.isdir(path) for path in home.snapshots.lower_dirs(found.chain_id))
        finally:
            home.snapshots.remove(key)

    def collect(rng: random.Random, number: int) -> None:
        home.garbage.collect(GcPolicy(max_age=0.05, tagged=rng.random() < 0.5))

    workers = [load, load, tag, remove, create, create, collect, collect]
    threads = [guarded(work, number) for number, work in enumerate(workers)]
    for thread in threads:
        thread.start()
    time.sleep(float(os.environ.get("CORTEN_SOAK_SECONDS", "5")))
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    home.whole()


# through the doors


@pytest.fixture(scope="module")
def corten(daemon: Daemon) -> Iterator[Corten]:
    cli = Corten(daemon.url)
    yield cli
    cli.close()


def test_a_dry_run_tells_and_removes_nothing(clean: Daemon, docker: Docker, corten: Corten, api: Api) -> None:
    layers = [busybox_layer(), layer("mine")]
    docker("load", stdin=docker_archive(layers, ["two:1"], config_for(layers)))
    docker("create", "--name", "worker", "two:1", "sh")
    path = f"{clean.data_root}/content/blobs/sha256"
    orphan = sha256(b"orphan")
    with open(f"{path}/{orphan}", "wb") as file:
        file.write(b"orphan")
    assert orphan[:12] in corten("system", "gc", "--dry-run")
    assert os.path.exists(f"{path}/{orphan}")
    kept = json.loads(corten("system", "gc", "--dry-run", "--all", "--format", "json"))["Kept"]
    worker = docker("inspect", "-f", "{{.Id}}", "worker")
    assert {each["Reason"] for each in kept} <= {"needed by image two:1", f"needed by container {worker[:12]}"}
    assert len(kept) == 6  # four blobs, two layers
    usage = api("GET", "/system/df").json()["LayersSize"]
    done = json.loads(corten("system", "gc", "--format", "json"))
    assert [(each["Kind"], each["ID"]) for each in done["Removed"]] == [("blob", f"sha256:{orphan}")]
    assert not os.path.exists(f"{path}/{orphan}")
    assert api("GET", "/system/df").json()["LayersSize"] == usage - 6
    # an image that a container uses stays, whatever the limits say
    corten("system", "gc", "--tagged", "--keep-storage", "1")
    assert docker("images", "-q", "two:1")
    docker("rm", "worker")
    assert "two:1" in corten("system", "gc", "--tagged", "--keep-storage", "1", "--dry-run")
    corten("system", "gc", "--tagged", "--keep-storage", "1")
    assert docker("images", "-q", "two:1") == ""
    assert os.listdir(path) == []
    for wrong in ("--max-age=soon", "--keep-storage=much"):
        assert corten.result("system", "gc", wrong).code == 1


def test_in_the_background_by_the_configuration(clean: Daemon, docker: Docker) -> None:
    layers = [layer("mine")]
    docker("load", stdin=docker_archive(layers, ["old:1"], config_for(layers)))
    since = str(time.time())
    clean.stop()
    with open(clean.config_file, "w") as file:
        json.dump({"gc": {"interval": "1s", "max-age": "1s", "tagged": True}}, file)
    clean.start()
    try:
        events = docker.spawn("events", "--since", since, "--filter", "type=daemon", "--filter", "event=gc")
        assert b"reclaimed=" in events.stdout.readline()
        assert docker("images", "-q") == ""
        assert "removed image" in clean.log_tail()
    finally:
        events.kill()
        events.wait()
        clean.stop()
        with open(clean.config_file, "w") as file:
            file.write("{}")
        clean.start()


@pytest.mark.skipif(REGISTRY_MISSING is not None, reason=str(REGISTRY_MISSING))
def test_collecting_beside_pulls_commits_and_runs(clean: Daemon, docker: Docker, corten: Corten, api: Api) -> None:
    """At the end the store is in order to the last byte, and what the clients were told is there."""
    with Registry() as registry:
        shared = layer(*[f"shared{number}" for number in range(20)])
        for number in range(2):
            layers = [busybox_layer(), shared, layer(f"own{number}")]
            name = f"{registry.host}/image{number}:1"
            docker("load", stdin=docker_archive(layers, [name], config_for(layers)))
            docker("push", name)
        docker("create", "--name", "base", f"{registry.host}/image0:1", "sh")
        stop = threading.Event()
        wrong: list[str] = []

        def pulls(number: int) -> None:
            name = f"{registry.host}/image{number}:1"
            query = {"fromImage": name.rpartition(":")[0], "tag": "1"}
            records = list(api.lines("/images/create", method="POST", query=query))
            if "error" in records[-1]:
                wrong.append(f"pull: {records[-1]}")
            api("DELETE", f"/images/{name}")

        def commits(number: int) -> None:
            made = api("POST", "/commit", {}, query={"container": "base", "repo": f"made{number}"})
            if made.status != 201:
                wrong.append(f"commit: {made.body!r}")
            api("DELETE", f"/images/made{number}")

        def creates(number: int) -> None:
            made = api("POST", "/containers/create", {"Image": f"{registry.host}/image1:1", "Cmd": ["sh"]})
            if made.status == 201:
                started = api("POST", f"/containers/{made.json()['Id']}/start")
                if started.status != 204:
                    wrong.append(f"start: {started.body!r}")
                api("DELETE", f"/containers/{made.json()['Id']}", query={"force": 1})
            elif made.status != 404:
                wrong.append(f"create: {made.body!r}")

        def collects(number: int) -> None:
            answer = api("POST", "/corten/gc", query={"tagged": 1, "max-age": "1s"})
            if answer.status != 200:
                wrong.append(f"gc: {answer.body!r}")

        def loop(work, number: int) -> None:
            while not stop.is_set() and not wrong:
                work(number)

        work = [(pulls, 0), (pulls, 1), (commits, 0), (creates, 0), (collects, 0), (collects, 1)]
        threads = [threading.Thread(target=loop, args=each) for each in work]
        for thread in threads:
            thread.start()
        time.sleep(float(os.environ.get("CORTEN_SOAK_SECONDS", "5")))
        stop.set()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert "Everything is in order." in corten("fsck", "--deep")
        docker("rm", "base")
        corten("system", "gc", "--tagged", "--keep-storage", "1")
        assert os.listdir(f"{clean.data_root}/content/blobs/sha256") == []
        assert os.listdir(f"{clean.data_root}/snapshots/layers") == []
