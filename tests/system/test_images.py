"""Image use cases on a real store: import, load, save, list, inspect, history, tag, remove, prune, commit."""

import asyncio
import bz2
import gzip
import io
import json
import lzma
import os
import tarfile

import pytest
import zstandard

from corten import errors
from corten.engine import imagearchive
from corten.engine.images import Images
from corten.linux import mount
from corten.model.image import CommitRequest, ContainerUse, ImageQuery
from corten.oci.image import RunConfig
from corten.oci.platform import Platform
from corten.store.database import Database
from corten.store.snapshot import Snapshots
from tests.support.layers import (
    archive,
    busybox_layer,
    config_for,
    directory,
    docker_archive,
    hardlink,
    member,
    sha256,
    symlink,
    tree,
)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

LAYERS = [busybox_layer(), archive(directory("etc"), member("etc/.wh.passwd"), member("etc/motd", b"hi"))]


class Home:
    """A store, with sync faces of the async use cases."""

    def __init__(self, path):
        self.path = path
        self.events = []
        self.open()

    def open(self):
        self.database = Database(str(self.path / "state.db"))
        self.snapshots = Snapshots(str(self.path / "snapshots"), self.database)
        self.images = Images(
            str(self.path / "content"), self.database, self.snapshots, lambda *event: self.events.append(event)
        )

    def close(self):
        self.images.close()
        self.snapshots.close()
        self.database.close()

    def stream(self, records):
        async def collect():
            return [record async for record in records]

        return asyncio.run(collect())

    def load(self, data, size=50_000, **options):
        async def chunks():
            for start in range(0, len(data), size):
                yield data[start : start + size]

        return "".join(record.stream for record in self.stream(self.images.load(chunks(), **options)))

    def import_(self, data, *arguments, **options):
        async def chunks():
            yield data

        return self.stream(self.images.import_(chunks(), *arguments, **options))[-1].status

    def save(self, *names, platforms=()):
        async def collect():
            return b"".join([piece async for piece in await self.images.save(list(names), platforms)])

        return asyncio.run(collect())

    def __getattr__(self, name):
        return lambda *arguments, **options: asyncio.run(getattr(self.images, name)(*arguments, **options))

    def rows(self, **filters):
        return self.list(ImageQuery(filters={key.replace("_not", "!"): value for key, value in filters.items()}))

    def blobs(self):
        return sorted(os.listdir(self.path / "content/blobs/sha256"))

    def nothing_left(self):
        self.snapshots.drain()
        return (
            not self.blobs()
            and not os.listdir(self.path / "content/ingest")
            and not os.listdir(self.path / "snapshots/layers")
            and not os.listdir(self.path / "snapshots/trash")
        )


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    yield made
    made.close()


def root_of(home, ref):
    """The merged tree of an image."""
    target = home.path / "view"
    target.mkdir(exist_ok=True)
    lowers = home.snapshots.lower_dirs(home.images.resolve(ref).chain_id)
    if len(lowers) == 1:
        mount.bind(lowers[0], str(target), readonly=True)
    else:
        mount.mount_overlay(str(target), lowers, readonly=True)
    try:
        return tree(str(target))
    finally:
        mount.umount(str(target))


# import


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress, lzma.compress, bz2.compress])
def test_import_takes_every_compression(home, pack):
    image_id = home.import_(pack(LAYERS[0]), "box", "1", "hello", ['CMD ["sh"]', "ENV A=1"])
    found = home.images.resolve("box:1")
    assert found.id == image_id == found.manifest.digest
    assert (found.config.run.cmd, found.config.run.env) == (["sh"], ["A=1"])
    assert found.config.diff_ids == ["sha256:" + sha256(LAYERS[0])]
    assert root_of(home, "box:1")["bin/sh"] == "-> busybox"
    assert home.inspect("box:1").comment == "hello"
    assert ("import", image_id, {"name": "box:1"}) in home.events
    assert not os.listdir(home.path / "content/ingest")


def test_import_refuses_and_leaves_nothing(home):
    for data in (b"no tar at all" * 100, gzip.compress(b"junk"), archive(member("../x", b"1")), LAYERS[0][:700]):
        with pytest.raises(errors.InvalidArgument):
            home.import_(data, "x")
    with pytest.raises(errors.InvalidArgument):
        home.import_(LAYERS[0], "x@sha256:" + "0" * 64)
    with pytest.raises(errors.InvalidArgument, match="is not a valid change command"):
        home.import_(LAYERS[0], "x", changes=["RUN rm -rf /"])
    assert home.nothing_left()


# load and save


def test_load_of_a_docker_archive(home):
    assert home.load(docker_archive(LAYERS, ["two:latest", "two:x"])) == (
        "Loaded image: two:latest\nLoaded image: two:x\n"
    )
    assert root_of(home, "two")["etc/motd"] == "hi"
    assert "etc/passwd" not in root_of(home, "two")
    assert [row.repo_tags for row in home.rows()] == [["two:latest", "two:x"]]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, lzma.compress, bz2.compress])
def test_load_of_compressed_archives(home, pack):
    assert home.load(pack(docker_archive(LAYERS, ["z:1"])), size=777) == "Loaded image: z:1\n"
    assert root_of(home, "z:1")["etc/motd"] == "hi"


def test_load_without_a_name(home):
    text = home.load(docker_archive(LAYERS, []))
    image_id = home.rows()[0].id
    assert text == f"Loaded image ID: {image_id}\n"
    assert home.rows(dangling=["true"])[0].repo_tags == []


def test_old_archives_link_their_layers(home):
    layer = LAYERS[0]
    config = config_for([layer, layer])
    name = sha256(config) + ".json"
    listing = json.dumps([{"Config": name, "RepoTags": ["l:1"], "Layers": ["a/layer.tar", "b/layer.tar"]}]).encode()
    data = archive(
        member("a/layer.tar", layer),
        symlink("b/layer.tar", "../a/layer.tar"),
        member(name, config),
        member("manifest.json", listing),
    )
    home.load(data)
    assert root_of(home, "l:1")["bin/sh"] == "-> busybox"
    assert len(home.snapshots.layers()) == 2


def test_save_and_load_give_the_same_ids(home, tmp_path):
    home.load(docker_archive(LAYERS, ["a:1", "a:2"]))
    home.import_(gzip.compress(LAYERS[0]), "b")
    data = home.save("a", "b")
    with tarfile.open(fileobj=io.BytesIO(data)) as saved:
        names = saved.getnames()
        listing = json.load(saved.extractfile("manifest.json"))
        index = json.load(saved.extractfile("index.json"))
    assert {"index.json", "manifest.json", "oci-layout", "blobs/sha256"} < set(names)
    assert len(names) == len(set(names))
    assert [item["RepoTags"] for item in listing] == [["a:1", "a:2"], ["b:latest"]]
    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == "docker.io/library/a:1"
    (tmp_path / "other").mkdir()
    other = Home(tmp_path / "other")
    try:
        assert other.load(data) == "Loaded image: a:1\nLoaded image: a:2\nLoaded image: b:latest\n"
        assert {row.id for row in other.rows()} == {row.id for row in home.rows()}
        assert other.blobs() == home.blobs()
        assert other.load(data) == "Loaded image: a:1\nLoaded image: a:2\nLoaded image: b:latest\n"
    finally:
        other.close()


def test_save_of_ids_and_of_what_is_missing(home):
    home.load(docker_archive(LAYERS, ["a:1"]))
    image_id = home.rows()[0].id
    with tarfile.open(fileobj=io.BytesIO(home.save(image_id))) as saved:
        assert json.load(saved.extractfile("manifest.json"))[0]["RepoTags"] is None
    with pytest.raises(errors.NotFound, match="No such image: nope:latest"):
        home.save("nope")


def oci_layout(images, extra=()):
    """An OCI layout of {(os/arch): layers} as one index per name; returns (archive, index digest)."""
    blobs = {}

    def add(data):
        blobs[sha256(data)] = data
        return {"digest": "sha256:" + sha256(data), "size": len(data)}

    kind = "application/vnd.oci.image."
    manifests = []
    for platform, layers in images.items():
        system, architecture = platform.split("/")
        config = config_for(layers, architecture=architecture)
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": kind + "manifest.v1+json",
                "config": {"mediaType": kind + "config.v1+json", **add(config)},
                "layers": [{"mediaType": kind + "layer.v1.tar", **add(layer)} for layer in layers],
            }
        ).encode()
        place = {"os": system, "architecture": architecture}
        manifests.append({"mediaType": kind + "manifest.v1+json", **add(manifest), "platform": place})
    manifests += extra
    index = json.dumps(
        {"schemaVersion": 2, "mediaType": kind + "index.v1+json", "manifests": manifests}, indent=1
    ).encode()
    target = {"mediaType": kind + "index.v1+json", **add(index)}
    target["annotations"] = {"io.containerd.image.name": "docker.io/library/multi:1"}
    top = json.dumps({"schemaVersion": 2, "manifests": [target]}).encode()
    parts = [member("blobs/sha256/" + name, data) for name, data in blobs.items()]
    data = archive(*parts, member("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), member("index.json", top))
    return data, target["digest"]


def test_several_platforms_in_one_image(home):
    missing = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:" + "1" * 64,
        "size": 9,
        "platform": {"os": "linux", "architecture": "s390x"},
    }
    data, digest = oci_layout(
        {"linux/arm64": [LAYERS[1]], "linux/amd64": [LAYERS[0]]},
        [missing],
    )
    assert home.load(data) == "Loaded image: multi:1\n"
    host = home.images.resolve("multi:1", Platform.parse("linux/amd64"))
    arm = home.images.resolve("multi:1", Platform.parse("linux/arm64"))
    assert host.id == arm.id == digest and host.manifest.digest != arm.manifest.digest
    assert arm.platform.architecture == "arm64"
    with pytest.raises(errors.NotFound, match=r"does not provide the specified platform \(linux/s390x\)"):
        home.images.resolve("multi:1", Platform.parse("linux/s390x"))
    seen = home.inspect("multi:1", manifests=True)
    assert [entry.available for entry in seen.manifests] == [True, True, False]
    assert seen.manifests[0].image_data.size.unpacked > 0
    assert home.inspect("multi:1", platform=Platform.parse("linux/arm64")).architecture == "arm64"
    assert home.save("multi:1") == home.save("multi:1")
    one = home.save("multi:1", platforms=[Platform.parse("linux/arm64")])
    home.remove("multi:1")
    assert home.nothing_left()
    home.load(one)
    assert home.images.resolve("multi:1").platform.architecture == "arm64"
    home.remove("multi:1")
    home.load(data, platforms=[Platform.parse("linux/amd64")])
    assert [entry.available for entry in home.inspect("multi:1", manifests=True).manifests] == [False, True, False]


def test_attestations(home):
    """An index with an attestation manifest, as BuildKit writes it."""
    kind = "application/vnd.oci.image."
    data, _ = oci_layout({"linux/amd64": [LAYERS[0]]})
    with tarfile.open(fileobj=io.BytesIO(data)) as layout:
        blobs = {name: layout.extractfile(name).read() for name in layout.getnames() if name.startswith("blobs/")}
    is_manifest = {name: b'"schemaVersion"' in blob[:99] and b'"manifests"' not in blob for name, blob in blobs.items()}
    subject = next(name[-64:] for name, yes in is_manifest.items() if yes)
    statement = b'{"predicateType":"https://slsa.dev/provenance/v0.2","predicate":{}}'
    empty = b"{}"
    document = {
        "schemaVersion": 2,
        "mediaType": kind + "manifest.v1+json",
        "config": {"mediaType": kind + "config.v1+json", "digest": "sha256:" + sha256(empty), "size": 2},
        "layers": [
            {
                "mediaType": "application/vnd.in-toto+json",
                "digest": "sha256:" + sha256(statement),
                "size": len(statement),
                "annotations": {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"},
            }
        ],
    }
    manifest = json.dumps(document).encode()
    entry = {
        "mediaType": kind + "manifest.v1+json",
        "digest": "sha256:" + sha256(manifest),
        "size": len(manifest),
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": "sha256:" + subject,
        },
    }
    data, _ = oci_layout({"linux/amd64": [LAYERS[0]]}, [entry])
    extra = b"".join(member("blobs/sha256/" + sha256(blob), blob) for blob in (statement, empty, manifest))
    home.load(extra + data)
    platform = Platform.parse("linux/amd64")
    (found,) = home.attestations("multi:1", platform)
    assert (found.predicate_type, found.statement) == ("https://slsa.dev/provenance/v0.2", None)
    (found,) = home.attestations("multi:1", platform, statement=True)
    assert found.statement == json.loads(statement)
    assert home.attestations("multi:1", platform, ["other"]) == []
    kinds = [(entry.kind, entry.available) for entry in home.inspect("multi:1", manifests=True).manifests]
    assert kinds == [("image", True), ("attestation", True)]
    assert home.load(home.save("multi:1")) == "Loaded image: multi:1\n"


def test_an_image_of_another_system_is_kept_but_does_not_run(home):
    config = config_for([LAYERS[1]], os="windows")
    home.load(docker_archive([LAYERS[1]], ["win:1"], config))
    assert home.inspect("win:1").os == "windows"
    with pytest.raises(errors.InvalidArgument, match='image operating system "windows"'):
        home.images.resolve("win:1")
    assert home.load(home.save("win:1")) == "Loaded image: win:1\n"


def test_one_platform_can_be_removed(home):
    data, digest = oci_layout({"linux/arm64": [LAYERS[1]], "linux/amd64": [LAYERS[0]]})
    home.load(data)
    arm = home.images.resolve("multi:1", Platform.parse("linux/arm64"))
    (item,) = home.remove("multi:1", platforms=[Platform.parse("linux/arm64")])
    assert item.deleted == arm.manifest.digest
    assert home.images.resolve("multi:1").id == digest
    with pytest.raises(errors.NotFound):
        home.images.resolve("multi:1", Platform.parse("linux/arm64"))


def wrong_archives():
    layer = LAYERS[0]
    config = config_for([layer])
    good = sha256(config) + ".json"

    def listing(**fields):
        item = {"Config": good, "RepoTags": ["evil:1"], "Layers": ["a/layer.tar"], **fields}
        return member("manifest.json", json.dumps([item]).encode())

    body = (member("a/layer.tar", layer), member(good, config))
    lie = "0" * 64 + ".json"
    yield "config name", archive(member("a/layer.tar", layer), member(lie, config), listing(Config=lie))
    yield "config outside", archive(*body, listing(Config="../../etc/passwd"))
    yield "layer outside", archive(*body, listing(Layers=["../../../etc/passwd"]))
    yield "layer absolute", archive(*body, listing(Layers=["/etc/passwd"]))
    yield "link outside", archive(symlink("a/layer.tar", "../../etc/passwd"), member(good, config), listing())
    yield "link absolute", archive(symlink("a/layer.tar", "/etc/passwd"), member(good, config), listing())
    yield "link circle", archive(symlink("a/layer.tar", "layer.tar"), member(good, config), listing())
    yield "hard link", archive(hardlink("a/layer.tar", "/etc/passwd"), member(good, config), listing())
    yield "member name", archive(member("../x", b"1"), *body, listing())
    yield "bad tag", archive(*body, listing(RepoTags=["no:tag:here"]))
    yield "digest tag", archive(*body, listing(RepoTags=["x@sha256:" + "0" * 64]))
    yield "layer count", archive(*body, listing(Layers=["a/layer.tar"] * 2))
    yield "no layer", archive(*body, listing(Layers=[]))
    yield "wrong layer", archive(member("a/layer.tar", LAYERS[1]), member(good, config), listing())
    yield "layer is junk", archive(member("a/layer.tar", b"junk" * 500), member(good, config), listing())
    yield "layer escapes", docker_archive([archive(member("../../x", b"1"))], ["evil:1"])
    yield "config is a list", docker_archive([layer], ["evil:1"], b"[]")
    yield "config too large", docker_archive([layer], ["evil:1"], b'{"a":"' + b"x" * (9 << 20) + b'"}')
    yield "manifest too large", archive(*body, member("manifest.json", b" " * (9 << 20)))
    yield "manifest is junk", archive(*body, member("manifest.json", b"{{{"))
    yield "deep json", archive(*body, member("manifest.json", b"[" * 200_000))
    yield "no manifest", archive(*body)
    yield "empty", archive()
    yield "not a tar", b"x" * 5000
    yield "cut off", docker_archive([layer], ["evil:1"])[:100_000]
    data, digest = oci_layout({"linux/amd64": [layer]})
    yield "blob digest", data.replace(b"root:x:0:0", b"evil:x:0:0")
    yield "blob name", archive(member("blobs/sha256/../../x", b"1"))
    yield "blob not hex", archive(member("blobs/sha256/xyz", b"1"))
    entry = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": 3}
    top = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    yield "missing index", archive(member("oci-layout", b"{}"), member("index.json", top))
    yield "too many images", archive(*body, member("manifest.json", json.dumps([{"Config": good}] * 50_000).encode()))
    yield "too many layers", archive(*body, listing(Layers=["a/layer.tar"] * 100_000))


@pytest.mark.parametrize(("why", "data"), list(wrong_archives()), ids=[why for why, _ in wrong_archives()])
def test_load_refuses_and_changes_nothing(home, why, data):
    home.import_(LAYERS[1], "evil", "1")
    before = home.images.resolve("evil:1").id
    blobs = home.blobs()
    with pytest.raises(errors.CortenError) as caught:
        home.load(data)
    assert isinstance(caught.value, errors.InvalidArgument | errors.NotFound), caught.value
    assert home.images.resolve("evil:1").id == before
    assert home.blobs() == blobs
    assert not os.listdir(home.path / "content/ingest")
    assert len(os.listdir(home.path / "snapshots/layers")) == 1


def test_an_archive_full_of_tars_is_stopped(home, monkeypatch):
    monkeypatch.setattr(imagearchive, "_MAX_LAYERS", 20)
    with pytest.raises(errors.InvalidArgument, match="more than 20 layers"):
        home.load(archive(*(member(f"{n}.tar", archive()) for n in range(30))))
    assert home.nothing_left()


def test_a_bad_image_in_an_archive_spoils_all_of_it(home):
    good = config_for([LAYERS[0]])
    bad = config_for([LAYERS[1]])
    listing = [
        {"Config": sha256(good) + ".json", "RepoTags": ["good:1"], "Layers": ["a/layer.tar"]},
        {"Config": sha256(bad) + ".json", "RepoTags": ["bad:1"], "Layers": ["a/layer.tar"]},
    ]
    with pytest.raises(errors.InvalidArgument, match="invalid diffID for layer 0"):
        home.load(
            archive(
                member("a/layer.tar", LAYERS[0]),
                member(sha256(good) + ".json", good),
                member(sha256(bad) + ".json", bad),
                member("manifest.json", json.dumps(listing).encode()),
            )
        )
    assert home.rows() == [] and home.nothing_left()


def test_a_bomb_is_stopped_and_removed(home, monkeypatch):
    from corten.wire import compress

    monkeypatch.setattr(compress.Budget, "__init__", lambda self, **_: None, raising=False)
    monkeypatch.setattr(compress, "Budget", lambda: type("B", (), {"free": 1 << 20, "ratio": 5})())
    bomb = gzip.compress(archive(member("zeros", bytes(64 << 20))))
    with pytest.raises(errors.InvalidArgument, match="grows without reason"):
        home.import_(bomb, "bomb")
    assert home.nothing_left()


def test_a_client_that_goes_away_leaves_nothing(home):
    data = docker_archive(LAYERS, ["a:1"])

    async def chunks():
        yield data[: len(data) // 2]
        raise ConnectionResetError("gone")

    with pytest.raises((errors.CortenError, ConnectionResetError)):
        home.stream(home.images.load(chunks()))
    assert home.nothing_left()


# names


def test_names_and_ids(home):
    home.load(docker_archive(LAYERS, ["a:1"]))
    image_id = home.rows()[0].id
    home.tag("a:1", "example.com/b", "")
    home.tag(image_id, "c", "x")
    for ref in ("a:1", image_id, image_id[7:], image_id[7:19], "sha256:" + image_id[7:20], f"a@{image_id}"):
        assert home.images.resolve(ref).id == image_id
    seen = home.inspect("c:x")
    assert sorted(seen.repo_tags) == ["a:1", "c:x", "example.com/b:latest"]
    assert f"example.com/b@{image_id}" in seen.repo_digests
    assert seen.metadata.last_tag_time > 0
    for ref in ("nope", "a", "a:2", "ffffffffffff"):
        words = ref if ":" in ref else ref + ":latest"
        with pytest.raises(errors.NotFound, match=f"No such image: {words}"):
            home.images.resolve(ref)
    for repo, tag in (("UP", ""), ("x", "-"), ("x@" + image_id, "")):
        with pytest.raises(errors.InvalidArgument):
            home.tag("a:1", repo, tag)


def test_a_moved_name_leaves_a_dangling_image(home):
    first = home.import_(LAYERS[0], "a")
    second = home.import_(LAYERS[1], "a")
    assert home.images.resolve("a").id == second
    assert [row.id for row in home.rows(dangling=["1"])] == [first]
    pruned = home.prune({})
    assert [item.deleted for item in pruned.images_deleted] == [first]
    assert pruned.space_reclaimed > 1_000_000
    assert home.prune({}).images_deleted is None


def test_list_filters(home):
    home.import_(LAYERS[0], "old", changes=["LABEL a=1 b=2"])
    home.import_(LAYERS[1], "example.com/x/new", "v1", changes=["LABEL a=3"])
    home.tag("old", "old", "again")

    def tags(**filters):
        return [row.repo_tags for row in home.rows(**filters)]

    assert tags() == [["example.com/x/new:v1"], ["old:again", "old:latest"]]
    assert tags(label=["a=1"]) == tags(label=["b"]) == tags(before=["example.com/x/new:v1"]) == [tags()[1]]
    assert tags(label_not=["b"]) == tags(since=["old"]) == [tags()[0]]
    assert tags(reference=["old:l*"]) == [["old:latest"]]
    assert tags(reference=["old"]) == tags(reference=["o?d"]) == tags(reference=["[n-p]ld"]) == [tags()[1]]
    assert tags(reference=["*/x/*"]) == tags(reference=["*/*/*:v1"]) == [tags()[0]]
    assert tags(reference=["*/new"]) == []
    assert tags(until=["1h"]) == [] and len(tags(until=["2100-01-01"])) == 2
    assert tags(dangling=["true"]) == [] and len(tags(dangling=["false"])) == 2
    for bad in ({"nope": ["1"]}, {"dangling": ["maybe"]}, {"until": ["x"]}, {"reference": ["["]}):
        with pytest.raises(errors.InvalidArgument):
            home.rows(**bad)
    with pytest.raises(errors.NotFound):
        home.rows(before=["missing"])


def test_sizes_are_shared_and_counted_once(home):
    home.load(docker_archive(LAYERS, ["a:1"]))
    home.load(docker_archive(LAYERS[:1], ["b:1"]))
    rows = {row.repo_tags[0]: row for row in home.list(ImageQuery(shared_size=True, manifests=True))}
    base = home.snapshots.layer(home.images.resolve("b:1").chain_id).size
    assert rows["a:1"].shared_size == rows["b:1"].shared_size == base
    entry = rows["b:1"].manifests[0]
    assert rows["b:1"].size == entry.size.total == entry.size.content + base
    assert asyncio.run(home.images.layers_size()) < rows["a:1"].size + rows["b:1"].size


def test_history(home):
    home.load(docker_archive(LAYERS, ["a:1"]))
    top, low = home.history("a:1")
    assert (top.id, top.tags, top.created_by) == (home.rows()[0].id, ["a:1"], "step 1")
    assert (low.id, low.tags, low.created_by) == ("<missing>", None, "step 0")
    assert low.size > 500_000 > top.size > 0


# removing


def use(image_id, running):
    return lambda asked: [ContainerUse(container_id="c" * 64, running=running)] if asked == image_id else []


def done(items):
    return [item.untagged or item.deleted for item in items]


def test_remove_by_name_untags_while_names_are_left(home):
    image_id = home.import_(LAYERS[0], "a")
    home.tag("a", "b")
    assert done(home.remove("a")) == ["a:latest"]
    assert done(home.remove("b")) == ["b:latest", image_id]
    assert home.nothing_left()
    assert [event[0] for event in home.events] == ["import", "tag", "untag", "untag", "delete"]
    with pytest.raises(errors.NotFound, match="No such image: b:latest"):
        home.remove("b")


def test_remove_by_id(home):
    image_id = home.import_(LAYERS[0], "a")
    home.tag("a", "a", "2")
    assert done(home.remove(image_id[7:19])) == ["a:2", "a:latest", image_id]
    image_id = home.import_(LAYERS[0], "a")
    home.tag("a", "b")
    short = image_id[7:19]
    words = f"conflict: unable to delete {short} \\(must be forced\\) - image is referenced in multiple repositories"
    with pytest.raises(errors.Conflict, match=words):
        home.remove(short)
    assert done(home.remove(short, force=True)) == ["a:latest", "b:latest", image_id]


def test_images_in_use(home):
    image_id = home.import_(LAYERS[0], "a")
    short, box = image_id[7:19], "c" * 12
    home.images.users = use(image_id, running=False)
    with pytest.raises(errors.Conflict) as caught:
        home.remove("a")
    assert str(caught.value) == (
        f'conflict: unable to remove repository reference "a" (must force) - container {box} '
        f"is using its referenced image {short}"
    )
    with pytest.raises(errors.Conflict) as caught:
        home.remove(short)
    assert str(caught.value) == (
        f"conflict: unable to delete {short} (must be forced) - image is being used by stopped container {box}"
    )
    assert done(home.remove("a", force=True)) == ["a:latest"]
    assert home.prune({"dangling": ["false"]}).images_deleted is None
    home.images.users = use(image_id, running=True)
    with pytest.raises(errors.Conflict) as caught:
        home.remove(short, force=True)
    assert str(caught.value) == (
        f"conflict: unable to delete {short} (cannot be forced) - image is being used by running container {box}"
    )
    home.images.users = use(image_id, running=False)
    assert done(home.remove(short, force=True)) == [image_id]


def test_a_containers_files_outlive_its_image(home):
    home.load(docker_archive(LAYERS, ["a:1"]))
    home.snapshots.prepare("box", home.images.resolve("a:1").chain_id)
    home.remove("a:1", force=True)
    target = home.path / "mnt"
    target.mkdir()
    home.snapshots.mount("box", str(target))
    assert (target / "etc/motd").read_text() == "hi"
    home.snapshots.unmount(str(target))
    home.snapshots.remove("box")
    home.images.recover()
    assert home.nothing_left()


def test_prune_all_with_filters(home):
    home.import_(LAYERS[0], "a", changes=["LABEL keep=1"])
    home.import_(LAYERS[1], "b")
    pruned = home.prune({"dangling": ["false"], "label!": ["keep"]})
    assert done(pruned.images_deleted)[0] == "b:latest"
    assert len(home.rows()) == 1
    with pytest.raises(errors.InvalidArgument):
        home.prune({"reference": ["x"]})
    home.prune({"dangling": ["false"]})
    assert home.nothing_left()


# commit


def test_commit(home):
    home.load(docker_archive(LAYERS, ["base:1"]))
    base = home.images.resolve("base:1")
    home.snapshots.prepare("box", base.chain_id)
    target = home.path / "mnt"
    target.mkdir()
    home.snapshots.mount("box", str(target))
    (target / "etc/motd").write_text("changed")
    (target / "bin/sh").unlink()
    request = CommitRequest(
        container_id="box",
        base=base,
        config=RunConfig(cmd=["top"], env=["A=1"]),
        repo="made",
        tag="v1",
        comment="why",
        author="me",
        changes=["ENV B=2", "EXPOSE 80", 'ENTRYPOINT ["/bin/busybox"]'],
        created_by="sh",
    )
    image_id = home.commit(request)
    engines = {".dockerenv", "dev", "proc", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab"}
    want = {name: what for name, what in tree(str(target)).items() if not {name, name.split("/")[0]} & engines}
    home.snapshots.unmount(str(target))
    assert root_of(home, "made:v1") == want and "bin/sh" not in want
    seen = home.inspect("made:v1")
    assert (seen.id, seen.comment, seen.author) == (image_id, "why", "me")
    assert seen.config.env == ["A=1", "B=2"] and seen.config.exposed_ports == {"80/tcp": {}}
    assert [row.created_by for row in home.history("made:v1")] == ["sh", "step 1", "step 0"]
    assert len(seen.root_fs.layers) == 3
    home.snapshots.remove("box")
    home.remove("base:1")
    assert root_of(home, "made:v1") == want
    assert home.load(home.save("made:v1")) == "Loaded image: made:v1\n"


def test_commit_without_changes_adds_no_layer(home):
    home.load(docker_archive(LAYERS, ["base:1"]))
    base = home.images.resolve("base:1")
    home.snapshots.prepare("box", base.chain_id)
    image_id = home.commit(CommitRequest(container_id="box", base=base, config=RunConfig(cmd=["x"])))
    seen = home.inspect(image_id)
    assert seen.root_fs.layers == home.inspect("base:1").root_fs.layers
    assert home.history(image_id)[0].size == 0


# after a restart


def test_everything_is_there_again_and_leftovers_are_gone(home):
    home.load(docker_archive(LAYERS, ["a:1"]))
    before = home.rows()
    stray = home.path / "content/blobs/sha256" / ("e" * 64)
    stray.write_text("x")
    (home.path / "content/ingest/half").write_text("x")
    home.close()
    home.open()
    home.snapshots.clean([])
    home.images.recover()
    assert home.rows() == before
    assert not stray.exists() and not os.listdir(home.path / "content/ingest")
    assert root_of(home, "a:1")["etc/motd"] == "hi"


def test_damage_on_disk_is_noticed(home):
    home.load(docker_archive(LAYERS, ["a:1"]))
    digest = home.images.resolve("a:1").manifest.digest
    manifest = json.loads((home.path / "content/blobs/sha256" / digest[7:]).read_text())
    (home.path / "content/blobs/sha256" / manifest["config"]["digest"][7:]).write_text("{}")
    home.close()
    home.open()
    with pytest.raises(errors.DataLoss):
        home.images.resolve("a:1")
