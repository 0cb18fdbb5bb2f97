"""Blobs of unpacked layers that are not kept: what is told stays true, and nothing gets another digest."""

import io
import json
import os
import signal
import tarfile

import pytest

from corten import errors
from corten.engine import blobretention
from corten.store import space
from tests.support.busybox import rootfs_tar
from tests.support.layers import archive, docker_archive, member
from tests.support.pullhost import layer, offer, pull_host
from tests.support.scriptedregistry import ScriptedRegistry
from tests.support.stock import Docker, eventually
from tests.system.test_images import Home

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a daemon needs root")

MIB = 1 << 20


@pytest.fixture(scope="module")
def host():
    with pull_host("--blob-retention", "drop") as running:
        yield running


@pytest.fixture
def registry():
    with ScriptedRegistry() as running:
        yield running


@pytest.fixture
def docker(host):
    cli = Docker(host.url)
    yield cli
    cli.close()


@pytest.fixture(autouse=True)
def nothing_left(request):
    yield
    if "host" in request.fixturenames:
        host = request.getfixturevalue("host")
        host.remove_containers()
        for row in host.api("GET", "/images/json").json():
            host.api("DELETE", f"/images/{row['Id']}", query={"force": "1"})
        assert host.files("content/blobs/sha256") == []


def blobs_of(data: bytes) -> dict[str, int]:
    """The blobs of a saved archive with their sizes."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {
            "sha256:" + entry.name[13:]: entry.size
            for entry in tar
            if entry.name.startswith("blobs/sha256/") and entry.isreg()
        }


def saved(host, name: str) -> bytes:
    answer = host.api("GET", f"/images/{name}/get")
    assert answer.status == 200, answer.body
    return answer.body


def test_what_is_dropped_and_what_is_told(host, registry, docker):
    _, digests = offer(registry, "drop", "1", [rootfs_tar(), layer("drop")])
    name = f"{registry.host}/drop:1"
    assert host.pull(registry, "drop")[-1]["status"].startswith("Status: Downloaded")
    assert not {digest[7:] for digest in digests} & set(host.files("content/blobs/sha256"))
    assert host.files("content/partial") == []
    assert docker("run", "--rm", name, "echo", "hi") == "hi"
    (row,) = host.api("GET", "/images/json", query={"manifests": "1"}).json()
    (manifest,) = row["Manifests"]
    assert manifest["Available"]
    unpacked = manifest["ImageData"]["Size"]["Unpacked"]
    assert unpacked > 3 * MIB
    documents = sum(
        os.stat(f"{host.data_root}/content/blobs/sha256/{each}").st_size for each in host.files("content/blobs/sha256")
    )
    assert manifest["Size"] == {"Content": documents, "Total": documents + unpacked}
    assert row["Size"] == documents + unpacked
    assert host.api("GET", f"/images/{name}/json").json()["Size"] >= unpacked
    assert host.api("GET", "/system/df").json()["LayersSize"] == documents + unpacked
    before = len(registry.requests)
    assert "up to date" in host.pull(registry, "drop")[-1]["status"]
    assert not [path for _, path, _ in registry.requests[before:] if "/blobs/" in path]


def test_save_gives_the_same_bytes(host, registry):
    _, digests = offer(registry, "save", "1", [layer("save1"), layer("save2", 100)])
    host.pull(registry, "save")
    found = blobs_of(saved(host, f"{registry.host}/save:1"))
    assert {digest: found[digest] for digest in digests} == {digest: len(registry.blobs[digest]) for digest in digests}
    eventually(lambda: not {digest[7:] for digest in digests} & set(host.files("content/blobs/sha256")))


def test_save_without_the_registry_says_what_to_do(host):
    with ScriptedRegistry() as gone:
        _, (digest,) = offer(gone, "gone", "1", [layer("lost", 100)])
        host.pull(gone, "gone")
        name = f"{gone.host}/gone:1"
        gone.blobs.clear()
    answer = host.api("GET", f"/images/{name}/get")
    assert answer.status == 404
    assert digest in answer.message
    assert "pull its image with the daemon's blob-retention set to keep" in answer.message


def test_save_takes_nothing_else(host, registry):
    _, (digest,) = offer(registry, "swap", "1", [layer("swap")])
    host.pull(registry, "swap")
    data = registry.blobs[digest]
    registry.blobs[digest] = bytes([data[0] ^ 1]) + data[1:]
    answer = host.api("GET", f"/images/{registry.host}/swap:1/get")
    assert answer.status == 404
    assert f"verification failed for digest {digest}" in answer.message


def test_commit_stands_on_dropped_layers(host, registry, docker):
    _, (digest,) = offer(registry, "base", "1", [rootfs_tar()])
    docker("run", "--name", "worker", f"{registry.host}/base:1", "touch", "/made")
    docker("commit", "worker", "made:1")
    assert docker("run", "--rm", "made:1", "ls", "/made") == "/made"
    found = blobs_of(saved(host, "made:1"))
    assert found[digest] == len(registry.blobs[digest])


def test_what_has_no_origin_is_kept(host, docker):
    data = docker_archive([archive(member("a", b"1" * 9000))], ["loaded:1"])
    assert host.api("POST", "/images/load", data).status == 200
    found = blobs_of(saved(host, "loaded:1"))
    assert set(found) == {"sha256:" + each for each in host.files("content/blobs/sha256")}


def test_keep_fetches_what_is_missing(host, registry):
    _, (digest,) = offer(registry, "keep", "1", [layer("keep")])
    host.pull(registry, "keep")
    host.stop()
    host.arguments[1] = "keep"
    host.start()
    try:
        host.pull(registry, "keep")
        assert digest[7:] in host.files("content/blobs/sha256")
        registry.blobs.clear()
        assert digest in blobs_of(saved(host, f"{registry.host}/keep:1"))
    finally:
        host.stop()
        host.arguments[1] = "drop"
        host.start()


def test_the_mode_can_be_changed_in_a_running_daemon(registry):
    with pull_host() as host:
        with open(host.config_file, "w") as file:
            json.dump({"blob-retention": "drop"}, file)
        host.process.send_signal(signal.SIGHUP)
        eventually(lambda: host.api("GET", "/_ping").status == 200 and "reload" in _events(host))
        _, (digest,) = offer(registry, "reload", "1", [layer("reload", 100)])
        host.pull(registry, "reload")
        assert digest[7:] not in host.files("content/blobs/sha256")


def _events(host) -> str:
    now = host.api("GET", "/info").json()["SystemTime"]
    return host.api("GET", "/events", query={"since": "0", "until": now}).body.decode()


class TestGivingUp:
    """``auto``: only what can be had again goes, the oldest first, and only as much as is needed."""

    @pytest.fixture
    def home(self, tmp_path):
        home = Home(tmp_path)
        yield home
        home.close()

    def load(self, home, name: str, text: str) -> str:
        data = docker_archive([archive(member(text, text.encode() * 5000))], [f"{name}:1"])
        home.load(data)
        image, _ = home.images._store.index.find(f"{name}:1")
        return image.manifests[0].layers[0].digest

    def test_only_what_has_an_origin(self, home):
        from corten.oci.reference import Reference

        store = home.images._store
        one, two, three = (self.load(home, name, name) for name in ("one", "two", "three"))
        assert blobretention.give_up(store, 1 << 40) == 0
        store.sources.record(Reference.parse("registry.example/one"), [one])
        store.sources.record(Reference.parse("registry.example/two"), [two])
        store.index._database.write(lambda connection: None)
        os.utime(store.content.path(two), (1, 1))
        assert blobretention.give_up(store, 1) == store.content.size(one)
        assert [store.content.has(each) for each in (one, two, three)] == [True, False, True]
        with store.pinned() as pin:
            pin(one)
            assert blobretention.give_up(store, 1 << 40) == 0
        assert blobretention.give_up(store, 1 << 40) > 0
        assert [store.content.has(each) for each in (one, two, three)] == [False, False, True]
        assert all(store.available(image.manifests[0]) for image in store.index.images())

    def test_room_is_made_for_what_comes(self, home, monkeypatch):
        from corten.oci.reference import Reference

        store = home.images._store
        digest = self.load(home, "old", "old")
        store.sources.record(Reference.parse("registry.example/old"), [digest])
        store.index._database.write(lambda connection: None)
        monkeypatch.setattr(space, "free", lambda path: 0)
        blobretention.make_room(store, 10, blobretention.KEEP)
        assert store.content.has(digest)
        blobretention.make_room(store, 10, blobretention.AUTO)
        assert not store.content.has(digest)
        with pytest.raises(errors.Exhausted, match="no space left on device"):
            blobretention.make_room(store, 1 << 60, blobretention.AUTO)


def test_the_setting_is_checked():
    assert [blobretention.check_mode(mode) for mode in blobretention.MODES] == ["keep", "auto", "drop"]
    with pytest.raises(errors.InvalidArgument, match='invalid blob-retention "all"'):
        blobretention.check_mode("all")
