"""From what a client asks for to mount points; Docker's texts."""

import os

import pytest

from corten import errors
from corten.model.container import (
    BindOptions,
    ContainerConfig,
    DriverConfig,
    HostConfig,
    ImageOptions,
    MountSpec,
    TmpfsOptions,
    VolumeOptions,
)
from corten.model.record import Record
from corten.store.database import Database
from corten.volume.store import Volumes


class Images:
    def resolve(self, reference):
        if reference != "busybox":
            raise errors.NotFound(f"No such image: {reference}")
        return "sha256:1"

    def layers(self, image_id):
        return []


@pytest.fixture
def volumes(tmp_path):
    db = Database(str(tmp_path / "state.db"))
    made = Volumes(str(tmp_path), db, str(tmp_path / "run"))
    made.images = Images()
    yield made
    db.close()


def lookup(_):
    raise errors.NotFound("No such container: x")


def plan(volumes, *, image=(), config=None, find=lookup, **host):
    points = volumes.plan("c1", config or ContainerConfig(), HostConfig(**host), list(image), find)
    return {point.destination: point for point in points}


def test_bind_text(volumes, tmp_path):
    points = plan(volumes, binds=[f"{tmp_path}/new/../x/:/a/b/:ro,rslave", "data:/data", "data:/again:nocopy,z"])
    bind = points["/a/b"]
    assert (bind.type, bind.source, bind.rw, bind.propagation, bind.create_source, bind.mode) == (
        "bind",
        f"{tmp_path}/x",
        False,
        "rslave",
        True,
        "ro,rslave",
    )
    data = points["/data"]
    assert (data.type, data.name, data.source, data.driver, data.mode, data.rw, data.anonymous, data.propagation) == (
        "volume",
        "data",
        f"{tmp_path}/volumes/data/_data",
        "local",
        "z",
        True,
        False,
        "",
    )
    assert points["/again"].no_copy and points["/again"].mode == "nocopy,z"
    assert os.path.isdir(data.source)


@pytest.mark.parametrize(
    ("binds", "text"),
    [
        (["a:b:c:d"], "invalid volume specification: 'a:b:c:d'"),
        (["/x:rw"], "invalid volume specification: '/x:rw'"),
        ([":/x"], "invalid volume specification: ':/x'"),
        (["/a:/b:wrong"], "invalid mode: wrong"),
        (["/a:/b:ro,rw"], "invalid mode: ro,rw"),
        (
            ["/a:b"],
            "invalid volume specification: '/a:b': invalid mount config for type \"bind\": "
            "invalid mount path: 'b' mount path must be absolute",
        ),
        (
            ["/a:/"],
            "invalid volume specification: '/a:/': invalid mount config for type \"bind\": "
            "invalid specification: destination can't be '/'",
        ),
        (["/a:/x", "b:/x/"], "Duplicate mount point: /x"),
        (
            ["a:/x"],
            "create a: volume name is too short, names should be at least two alphanumeric characters",
        ),
        (
            ["a/b:/x"],
            'create a/b: "a/b" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" '
            "are allowed. If you intended to pass a host directory, use absolute path",
        ),
    ],
)
def test_bind_text_refused(volumes, binds, text):
    with pytest.raises(errors.InvalidArgument) as caught:
        plan(volumes, binds=binds)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (MountSpec(type="bind", source="/not there", target="/x"), "bind source path does not exist: /not there"),
        (MountSpec(type="bind", source="", target="/x"), "field Source must not be empty"),
        (MountSpec(type="bind", source="/tmp", target=""), "field Target must not be empty"),
        (MountSpec(type="bind", source="tmp", target="/x"), "invalid mount path: 'tmp' mount path must be absolute"),
        (
            MountSpec(type="bind", source="/tmp", target="/x", bind_options=BindOptions(propagation="odd")),
            "invalid propagation mode: odd",
        ),
        (
            MountSpec(type="bind", source="/tmp", target="/x", volume_options=VolumeOptions()),
            "field VolumeOptions must not be specified",
        ),
        (
            MountSpec(type="volume", target="/x", read_only=True),
            "must not set ReadOnly mode when using anonymous volumes",
        ),
        (
            MountSpec(type="volume", target="/x", volume_options=VolumeOptions(subpath="a")),
            "must not set Subpath when using anonymous volumes",
        ),
        (
            MountSpec(type="volume", source="vol", target="/x", volume_options=VolumeOptions(subpath="a/../../b")),
            "subpath must be a relative path within the volume",
        ),
        (MountSpec(type="tmpfs", source="vol", target="/x"), "field Source must not be specified"),
        (
            MountSpec(type="tmpfs", target="/x", tmpfs_options=TmpfsOptions(options=[["suid"]])),
            "invalid option: suid",
        ),
        (MountSpec(type="npipe", source="a", target="/x"), "mount type unknown"),
    ],
)
def test_mounts_refused(volumes, spec, text):
    with pytest.raises(errors.InvalidArgument) as caught:
        plan(volumes, mounts=[spec])
    assert str(caught.value) == f'invalid mount config for type "{spec.type}": {text}'
    assert volumes.list() == []


def test_mounts(volumes, tmp_path):
    driver = DriverConfig(name="local", options={"type": "tmpfs", "device": "tmpfs"})
    points = plan(
        volumes,
        mounts=[
            MountSpec(type="bind", source=str(tmp_path), target="/b", bind_options=BindOptions(non_recursive=True)),
            MountSpec(
                type="volume",
                source="vol",
                target="/v",
                volume_options=VolumeOptions(no_copy=True, labels={"a": "b"}, subpath="s", driver_config=driver),
            ),
            MountSpec(type="tmpfs", target="/t", tmpfs_options=TmpfsOptions(size_bytes=1 << 20, mode=0o1777)),
            MountSpec(type="image", source="busybox", target="/i", image_options=ImageOptions(subpath="bin")),
            MountSpec(type="volume", target="/anonymous"),
        ],
    )
    assert points["/b"].non_recursive and not points["/b"].create_source and points["/b"].propagation == "rprivate"
    assert points["/v"].subpath == "s" and points["/v"].no_copy
    assert volumes.get("vol").labels == {"a": "b"} and volumes.get("vol").options == driver.options
    assert points["/t"].tmpfs_options == "mode=1777,size=1048576"
    assert (points["/i"].image_id, points["/i"].rw, points["/i"].subpath) == ("sha256:1", False, "bin")
    assert points["/anonymous"].anonymous and volumes.get(points["/anonymous"].name).anonymous


def test_declared_volumes_fill_what_is_free(volumes):
    config = ContainerConfig(volumes={"/a": {}, "/b/": {}})
    points = plan(volumes, image=["/b", "/c", "/t"], config=config, binds=["named:/a"], tmpfs={"/t": "size=1m"})
    assert sorted(points) == ["/a", "/b", "/c"]
    assert points["/a"].name == "named" and points["/b"].anonymous and points["/b"].mode == ""
    assert len(volumes.list()) == 3


def test_volumes_from(volumes):
    first = plan(volumes, binds=["one:/one", "two:/two:ro"], image=["/anonymous"])
    record = Record(id="c1", name="c1", created=1, mounts=list(first.values()))
    points = plan(volumes, volumes_from=["c1:ro"], binds=["other:/two"], image=["/anonymous"], find=lambda _: record)
    assert (points["/one"].name, points["/one"].rw, points["/one"].no_copy) == ("one", False, True)
    assert points["/two"].name == "other"
    assert points["/anonymous"].name == first["/anonymous"].name
    with pytest.raises(errors.InvalidArgument, match="invalid mode: nocopy"):
        plan(volumes, volumes_from=["c1:nocopy"], find=lambda _: record)
    with pytest.raises(errors.InvalidArgument, match="No such container: x"):
        plan(volumes, volumes_from=["x"])


def test_failed_plan_leaves_no_volume(volumes):
    with pytest.raises(errors.NotFound):
        plan(volumes, binds=["new:/x"], mounts=[MountSpec(type="image", source="missing", target="/i")])
    assert volumes.list() == [] and os.listdir(volumes.driver.directory) == []


def test_unplan_removes_only_unused_anonymous(volumes):
    points = plan(volumes, image=["/a", "/b"], binds=["named:/n"])
    volumes.users = lambda name: ["c1", "c2"] if name == points["/b"].name else ["c1"]
    record = Record(id="c1", name="c1", created=1, mounts=list(points.values()))
    volumes.recorded(volumes.unrecorded("c1"))
    assert volumes.unplan("c1", record, False) == []
    assert volumes.unplan("c1", record, True) == [points["/a"].name]
    assert {volume.name for volume in volumes.list()} == {points["/b"].name, "named"}


def test_volumes_of_a_container_being_made_cannot_be_removed(volumes):
    """Nobody names them yet, as the container's record is still to come."""
    points = plan(volumes, image=["/a"], binds=["named:/n"])
    assert volumes.prune({"all": ["1"]}) == ([], 0)
    with pytest.raises(errors.Conflict, match=r"volume is in use - \[c1\]"):
        volumes.remove("named")
    unmade = Record(id="c1", name="c1", created=1)  # a later step of the create failed
    assert volumes.unplan("c1", unmade, True) == [points["/a"].name]
    assert volumes.list() == []
