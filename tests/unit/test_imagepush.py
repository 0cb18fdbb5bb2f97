"""What a push brings, in which order, and what it does when the registry says no."""

import json
import threading
from types import SimpleNamespace

import pytest

from corten import errors
from corten.engine import imagepushplan
from corten.engine.imagescan import scan
from corten.engine.imageupload import Uploads
from corten.oci.manifest import Descriptor
from corten.oci.platform import Platform
from corten.oci.reference import Reference
from tests.support.ocilayout import Layout

TARGET = Reference.parse("r:5000/app:1")


class Content:
    def __init__(self, blobs) -> None:
        self.blobs = dict(blobs)

    def has(self, digest) -> bool:
        return digest in self.blobs

    def read(self, digest) -> bytes:
        return self.blobs[digest]

    def chunks(self, digest, size):
        data = self.blobs[digest]
        for start in range(0, len(data), 4):
            yield data[start : start + 4]


class Sources:
    def __init__(self, paths=()) -> None:
        self.paths = list(paths)
        self.discarded: list[str] = []

    def candidates(self, target, digest):
        return [path for path in self.paths if path not in self.discarded]

    def repositories(self, digest):
        return [Reference(domain="r:5000", path=path) for path in self.paths]

    def discard(self, target, path, digest) -> None:
        self.discarded.append(path)


class Remote:
    """A repository that notes what is asked of it."""

    def __init__(self, has=(), mountable=(), fail="") -> None:
        self.blobs: dict[str, bytes] = dict.fromkeys(has, b"")
        self.mountable = mountable
        self.fail = fail
        self.mounts: list[str] = []

    def has_blob(self, digest):
        return 1 if digest in self.blobs else None

    def mount(self, digest, path) -> bool:
        self.mounts.append(path)
        return path in self.mountable

    def upload(self, blob, chunks, progress) -> None:
        if blob.digest == self.fail:
            raise errors.InvalidArgument("digest invalid")
        data = b""
        for chunk in chunks():
            data += chunk
            progress(len(data))
        self.blobs[blob.digest] = data


NOWHERE = SimpleNamespace(find=lambda digest: None)


def store(layout, without=(), sources=()):
    gone = {digest for each in without for digest in layout.below(each)}
    blobs = {digest: data for digest, data in layout.blobs.items() if digest not in gone}
    return SimpleNamespace(content=Content(blobs), sources=Sources(sources))


def image(target, layout, without=()):
    read = store(layout, without).content.blobs.get
    return scan(Descriptor(media_type=target["mediaType"], digest=target["digest"], size=target["size"]), read, 0)


def uploads(where, remote, said, at_once=5, origins=NOWHERE):
    return Uploads(where, remote, TARGET, at_once, said.append, threading.Event(), origins)


def descriptors(*items):
    return [Descriptor(media_type=each["mediaType"], digest=each["digest"], size=each["size"]) for each in items]


class TestPlan:
    def test_children_before_parents_and_each_once(self) -> None:
        layout = Layout()
        one = layout.image(b"layer one")
        two = layout.image(b"layer one", b"layer two", platform="linux/arm64")
        inner = layout.index(two)
        target = layout.index(one, inner, layout.attestation(one))
        plan = imagepushplan.whole(store(layout), image(target, layout))
        order = [document.digest for document in plan.documents]
        assert order[-1] == target["digest"]
        assert order.index(two["digest"]) < order.index(inner["digest"])
        assert sorted([*order, *[blob.digest for blob in plan.blobs]]) == sorted(layout.blobs)
        assert not plan.absent

    def test_what_is_absent(self) -> None:
        layout = Layout()
        one, two = layout.image(b"one"), layout.image(b"two", platform="linux/arm64")
        target = layout.index(one, two)
        partly = store(layout, (two,))
        found = image(target, layout, (two,))
        plan = imagepushplan.whole(partly, found)
        assert [each.digest for each in plan.absent] == [two["digest"]]
        alone = imagepushplan.only_one(partly, found)
        assert alone is not None
        assert imagepushplan.of_manifest(alone).target.digest == one["digest"]
        assert imagepushplan.only_one(store(layout), image(target, layout)) is None

    def test_platforms_are_exact(self) -> None:
        layout = Layout()
        target = layout.index(layout.image(b"one", platform="linux/386"))
        found = image(target, layout)
        assert imagepushplan.of_platform(store(layout), found, Platform.parse("linux/386"), "app").documents
        with pytest.raises(errors.NotFound, match=r"does not provide the specified platform \(linux/amd64\)"):
            imagepushplan.of_platform(store(layout), found, Platform.parse("linux/amd64"), "app")

    def test_foreign_layers_stay_here(self) -> None:
        layout = Layout()
        foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
        target = layout.image(b"one", kinds=("application/vnd.oci.image.manifest.v1+json", "x", foreign))
        blobs = imagepushplan.whole(store(layout), image(target, layout)).blobs
        assert foreign not in [blob.media_type for blob in blobs]
        assert len(blobs) == 1

    def test_unknown_types_in_an_index_are_blobs(self) -> None:
        layout = Layout()
        thing = layout.add(b"thing", "application/x-thing")
        plan = imagepushplan.whole(store(layout), image(layout.index(thing), layout))
        assert [blob.digest for blob in plan.blobs] == [thing["digest"]]
        assert len(plan.documents) == 1


class TestUploads:
    def test_skips_mounts_and_uploads(self) -> None:
        layout = Layout()
        there, new = layout.add(b"there", "x"), layout.add(b"new one", "x")
        said: list = []
        remote = Remote(has=[there["digest"]])
        uploads(store(layout), remote, said).bring(descriptors(there, new))
        assert remote.blobs[new["digest"]] == b"new one"
        final = {each.id: each.status for each in said}
        assert final == {there["digest"][7:19]: "Layer already exists", new["digest"][7:19]: "Pushed"}
        assert [each.status for each in said[:2]] == ["Preparing", "Preparing"]

    def test_two_sources_are_tried_and_bad_ones_forgotten(self) -> None:
        layout = Layout()
        blob = layout.add(b"blob", "x")
        where = store(layout, sources=["a", "b", "c"])
        said: list = []
        remote = Remote(mountable=["c"])
        uploads(where, remote, said).bring(descriptors(blob))
        assert (remote.mounts, where.sources.discarded) == (["a", "b"], ["a", "b"])
        assert said[-1].status == "Pushed"
        remote = Remote(mountable=["c"])
        uploads(where, remote, said).bring(descriptors(blob))
        assert (remote.mounts, said[-1].status) == (["c"], "Mounted from c")

    def test_waiting(self) -> None:
        layout = Layout()
        said: list = []
        blobs = descriptors(*[layout.add(bytes([number]), "x") for number in range(5)])
        uploads(store(layout), Remote(), said, at_once=2).bring(blobs)
        assert [each.status for each in said[:8]] == ["Preparing"] * 5 + ["Waiting"] * 3

    def test_damage_is_told_from_a_registry_s_mistake(self) -> None:
        layout = Layout()
        blob = layout.add(b"whole", "x")
        where = store(layout)
        with pytest.raises(errors.InvalidArgument, match="digest invalid"):
            uploads(where, Remote(fail=blob["digest"]), []).bring(descriptors(blob))
        where.content.blobs[blob["digest"]] = b"damaged"
        with pytest.raises(errors.DataLoss, match="is damaged on disk"):
            uploads(where, Remote(fail=blob["digest"]), []).bring(descriptors(blob))

    def test_a_failure_ends_the_others(self) -> None:
        layout = Layout()
        bad = layout.add(b"bad", "x")
        rest = [layout.add(bytes([number]) * 40, "x") for number in range(50)]
        remote = Remote(fail=bad["digest"])
        with pytest.raises(errors.InvalidArgument):
            uploads(store(layout), remote, [], at_once=1).bring(descriptors(bad, *rest))
        assert not remote.blobs

    def test_missing(self) -> None:
        layout = Layout()
        here, there, nowhere = (layout.add(name, "x") for name in (b"here", b"there", b"nowhere"))
        where = store(layout, (there, nowhere))
        found = uploads(where, Remote(has=[there["digest"]]), []).missing(descriptors(here, there, nowhere))
        assert [each.digest for each in found] == [nowhere["digest"]]

    def test_given_up_blobs_come_from_their_origin(self) -> None:
        layout = Layout()
        blob = layout.add(b"far away", "x")
        origins = SimpleNamespace(find=lambda digest: object(), pieces=lambda blob: iter([b"far ", b"away"]))
        remote = Remote()
        push = uploads(store(layout, (blob,)), remote, [], origins=origins)
        assert push.missing(descriptors(blob)) == []
        push.bring(descriptors(blob))
        assert remote.blobs[blob["digest"]] == b"far away"

    def test_stop(self) -> None:
        layout = Layout()
        blob = layout.add(b"blob", "x")
        stop = threading.Event()
        stop.set()
        push = Uploads(store(layout), Remote(), TARGET, 5, lambda progress: None, stop, NOWHERE)
        with pytest.raises(errors.Cancelled):
            push.bring(descriptors(blob))


def test_layout_json_is_odd() -> None:
    """The tests of bytes would be worth nothing if encoding anew gave the same."""
    layout = Layout()
    data = layout.blobs[layout.image(b"x")["digest"]]
    assert json.dumps(json.loads(data)).encode() != data
