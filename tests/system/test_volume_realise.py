"""Volumes made real: mounts, copy-up, subpaths, release; everything is unmounted again."""

import json
import os
import stat
import subprocess
import uuid
from pathlib import Path

import pytest

from corten import errors
from corten.linux import mount
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
from corten.model.record import Record, RunState
from corten.store.database import Database
from corten.volume.store import Volumes

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")


def mounts(below):
    """Mount points under the test's own directory; others come and go on a busy host."""
    found = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return sorted(entry for entry in found if entry.startswith(f"{below}/"))


class Images:
    def __init__(self, layers):
        self.directories = layers

    def resolve(self, _):
        return "sha256:1"

    def layers(self, _):
        return self.directories


@pytest.fixture
def world(tmp_path):
    rootfs = tmp_path / "rootfs"
    (rootfs / "srv/sub").mkdir(parents=True)
    (rootfs / "srv").chmod(0o2750)
    os.chown(rootfs / "srv", 100, 200)
    (rootfs / "srv/file").write_text("from the image")
    (rootfs / "srv/file").chmod(0o4711)
    os.link(rootfs / "srv/file", rootfs / "srv/sub/again")
    os.symlink("/etc/passwd", rootfs / "srv/link")
    os.lchown(rootfs / "srv/link", 7, 8)
    os.mkfifo(rootfs / "srv/pipe", 0o600)
    os.setxattr(rootfs / "srv/sub", "trusted.colour", b"blue")
    os.utime(rootfs / "srv/sub", ns=(10**18, 10**18))
    db = Database(str(tmp_path / "state.db"))
    volumes = Volumes(str(tmp_path / "data"), db, str(tmp_path / "run"))
    volumes.images = Images([str(rootfs)])
    yield volumes, str(rootfs), tmp_path
    db.close()
    left = mounts(tmp_path)
    for entry in left:
        mount.umount(entry)
    assert left == []


def container(volumes, identity="c1", *, started=False, image=(), **host):
    settings = HostConfig(**host)
    points = volumes.plan(identity, ContainerConfig(), settings, list(image), lambda _: None)
    state = RunState(has_been_started=started)
    return Record(id=identity, name=identity, created=1, host_config=settings, mounts=points, state=state)


def test_copy_up_keeps_everything(world):
    volumes, rootfs, _ = world
    record = container(volumes, image=["/srv"])
    (entry,) = volumes.realise(record, rootfs)
    assert (entry.destination, entry.type, entry.options) == ("/srv", "bind", ["rbind", "rprivate"])
    data = entry.source
    top = os.stat(data)
    assert (stat.S_IMODE(top.st_mode), top.st_uid, top.st_gid) == (0o2750, 100, 200)
    assert sorted(os.listdir(data)) == ["file", "link", "pipe", "sub"]
    file = os.stat(f"{data}/file")
    assert stat.S_IMODE(file.st_mode) == 0o4711 and os.path.samefile(f"{data}/file", f"{data}/sub/again")
    link = os.lstat(f"{data}/link")
    assert os.readlink(f"{data}/link") == "/etc/passwd" and (link.st_uid, link.st_gid) == (7, 8)
    assert stat.S_ISFIFO(os.stat(f"{data}/pipe").st_mode)
    assert os.getxattr(f"{data}/sub", "trusted.colour") == b"blue" and os.stat(f"{data}/sub").st_mtime_ns == 10**18
    volumes.release(record)
    volumes.release(record)


def test_copy_up_only_once_only_into_empty_and_not_with_nocopy(world):
    volumes, rootfs, _ = world
    record = container(volumes, binds=["data:/srv", "raw:/srv/sub:nocopy"])
    first, second = volumes.realise(record, rootfs)
    assert "file" in os.listdir(first.source) and os.listdir(second.source) == []
    for name in os.listdir(first.source):
        subprocess.run(["rm", "-rf", f"{first.source}/{name}"], check=True)
    again = container(volumes, binds=["data:/srv"], started=True)
    assert os.listdir(volumes.realise(again, rootfs)[0].source) == []
    with open(f"{first.source}/mine", "w"):
        pass
    other = container(volumes, "c2", binds=["data:/srv"])
    assert os.listdir(volumes.realise(other, rootfs)[0].source) == ["mine"]


def test_half_filled_volume_is_filled_anew(world):
    volumes, rootfs, _ = world
    record = container(volumes, binds=["data:/srv"])
    volume = volumes.get("data")
    os.makedirs(f"{volume.mountpoint}/half/way")
    with open(f"{os.path.dirname(volume.mountpoint)}/.filling", "w"):
        pass
    volumes.realise(record, rootfs)
    assert sorted(os.listdir(volume.mountpoint)) == ["file", "link", "pipe", "sub"]
    assert os.listdir(os.path.dirname(volume.mountpoint)) == ["_data"]


def test_driver_mounts_with_first_and_unmounts_with_last(world):
    volumes, rootfs, tmp_path = world
    volume, _ = volumes.create("mem", options={"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=1000,noexec"})
    one, two = container(volumes, "c1", binds=["mem:/x"]), container(volumes, "c2", binds=["mem:/x"])
    volumes.realise(one, rootfs)
    volumes.realise(two, rootfs)
    assert mounts(tmp_path).count(volume.mountpoint) == 1 and os.stat(volume.mountpoint).st_uid == 1000
    volumes.release(one)
    assert volume.mountpoint in mounts(tmp_path)
    with pytest.raises(errors.Conflict):
        volumes.remove("mem")
    volumes.release(two)
    assert volume.mountpoint not in mounts(tmp_path)


def test_driver_bind_read_only_and_its_failure(world):
    volumes, rootfs, tmp_path = world
    (tmp_path / "there").mkdir()
    volumes.create("dir", options={"type": "none", "device": str(tmp_path / "there"), "o": "bind,ro"})
    record = container(volumes, binds=["dir:/x"])
    volumes.realise(record, rootfs)
    with pytest.raises(OSError, match="Read-only"):
        Path(f"{volumes.get('dir').mountpoint}/new").touch()
    volumes.release(record)
    target = volumes.create("bad", options={"type": "none", "device": "/not there", "o": "bind"})[0].mountpoint
    with pytest.raises(errors.System) as caught:
        volumes.realise(container(volumes, binds=["bad:/x"]), rootfs)
    assert str(caught.value) == (
        f"error while mounting volume '{target}': failed to mount local volume: "
        f"mount /not there:{target}, flags: 0x1000: no such file or directory"
    )


def test_nfs_address_that_does_not_resolve(world):
    volumes, rootfs, _ = world
    volumes.create("far", options={"type": "nfs", "device": ":/export", "o": "addr=host.invalid,rw"})
    with pytest.raises(errors.System, match=r"error resolving passed in network volume address: host\.invalid"):
        volumes.realise(container(volumes, binds=["far:/x"]), rootfs)


def test_order_tmpfs_and_bind_options(world):
    volumes, rootfs, tmp_path = world
    record = container(
        volumes,
        binds=[f"{tmp_path}/made/here:/a/b/c:ro"],
        tmpfs={"/run": "size=1m,exec"},
        mounts=[
            MountSpec(type="tmpfs", target="/a/t", read_only=True, tmpfs_options=TmpfsOptions(size_bytes=4096)),
            MountSpec(
                type="bind",
                source=str(tmp_path),
                target="/a",
                read_only=True,
                bind_options=BindOptions(read_only_non_recursive=True, propagation="private"),
            ),
        ],
    )
    found = {entry.destination: entry for entry in volumes.realise(record, rootfs)}
    assert list(found) == ["/a", "/run", "/a/t", "/a/b/c"]
    assert found["/a"].options == ["rbind", "ro", "private"]
    assert found["/a/b/c"].options == ["rbind", "rro", "rprivate"] and os.path.isdir(f"{tmp_path}/made/here")
    assert found["/run"].options == ["nosuid", "nodev", "rprivate", "size=1m", "exec"]
    assert found["/a/t"].options == ["noexec", "nosuid", "nodev", "rprivate", "ro", "size=4096"]


def test_target_behind_a_dangling_link_is_made_inside(world):
    volumes, rootfs, _ = world
    os.symlink("/../../to/nowhere", f"{rootfs}/way")
    volumes.realise(container(volumes, binds=["data:/way/out"]), rootfs)
    assert os.path.isdir(f"{rootfs}/to/nowhere/out") and not os.path.exists("/to/nowhere")


def test_not_recursive(world):
    volumes, rootfs, tmp_path = world
    spec = MountSpec(type="bind", source=str(tmp_path), target="/a", bind_options=BindOptions(non_recursive=True))
    assert volumes.realise(container(volumes, mounts=[spec]), rootfs)[0].options == ["bind", "private"]


def test_missing_source_of_a_mount(world):
    volumes, rootfs, tmp_path = world
    (tmp_path / "gone").mkdir()
    record = container(volumes, mounts=[MountSpec(type="bind", source=str(tmp_path / "gone"), target="/x")])
    (tmp_path / "gone").rmdir()
    with pytest.raises(errors.InvalidArgument, match="bind source path does not exist"):
        volumes.realise(record, rootfs)


def subpath(name, inside):
    return MountSpec(type="volume", source=name, target="/x", volume_options=VolumeOptions(subpath=inside))


def test_subpath_cannot_leave_its_volume(world):
    volumes, rootfs, tmp_path = world
    data = volumes.create("data")[0].mountpoint
    os.makedirs(f"{data}/in/side")
    os.symlink("/", f"{data}/all")
    os.symlink("../../../../../../..", f"{data}/up")
    os.symlink(str(tmp_path), f"{data}/out")
    for name in ("in/side", "all/in/side", "up/in/side"):
        record = container(volumes, mounts=[subpath("data", name)])
        (entry,) = volumes.realise(record, rootfs)
        assert os.path.samefile(entry.source, f"{data}/in/side") and entry.source.startswith(str(tmp_path / "run"))
        volumes.release(record)
    for name in ("out", "missing"):
        with pytest.raises(errors.InvalidArgument, match="cannot access path"):
            volumes.realise(container(volumes, mounts=[subpath("data", name)]), rootfs)
    with open(f"{data}/file", "w") as file:
        file.write("text")
    record = container(volumes, mounts=[subpath("data", "file")])
    assert Path(volumes.realise(record, rootfs)[0].source).read_text() == "text"
    volumes.recover([])
    assert os.listdir(tmp_path / "run/volumes") == []


def test_image_mount(world):
    volumes, rootfs, tmp_path = world
    for options, name in ((None, "srv/file"), (ImageOptions(subpath="srv"), "file")):
        spec = MountSpec(type="image", source="any", target="/x", image_options=options)
        record = container(volumes, mounts=[spec])
        (entry,) = volumes.realise(record, rootfs)
        assert Path(f"{entry.source}/{name}").read_text() == "from the image" and "rro" in entry.options
        with pytest.raises(OSError, match="Read-only"):
            Path(f"{entry.source}/new").touch()
        volumes.release(record)
    assert os.listdir(tmp_path / "run/volumes") == []


def test_propagation_needs_a_shared_mount(world):
    volumes, rootfs, tmp_path = world
    place = tmp_path / "place"
    place.mkdir()
    mount.mount("tmpfs", str(place), "tmpfs")
    try:
        mount.mount(None, str(place), None, mount.MS_PRIVATE)
        record = container(volumes, binds=[f"{place}:/x:rshared"])
        with pytest.raises(errors.InvalidArgument) as caught:
            volumes.realise(record, rootfs)
        assert str(caught.value) == f"path {place} is mounted on {place} but it is not a shared mount"
        mount.mount(None, str(place), None, mount.MS_SHARED)
        assert volumes.realise(record, rootfs)[0].options == ["rbind", "rshared"]
    finally:
        mount.umount(str(place))


def test_recover_keeps_what_live_containers_hold(world):
    volumes, rootfs, tmp_path = world
    options = {"type": "tmpfs", "device": "tmpfs"}
    held, left = volumes.create("held", options=options)[0], volumes.create("left", options=options)[0]
    live, dead = container(volumes, "live", binds=["held:/x"]), container(volumes, "dead", binds=["left:/x"])
    volumes.realise(live, rootfs)
    volumes.realise(dead, rootfs)
    db = Database(str(tmp_path / "state.db"))
    fresh = Volumes(str(tmp_path / "data"), db, str(tmp_path / "run"))
    fresh.recover([live])
    assert held.mountpoint in mounts(tmp_path) and left.mountpoint not in mounts(tmp_path)
    fresh.release(live)
    assert held.mountpoint not in mounts(tmp_path)
    db.close()


def test_options_reach_the_runtime(world, tmp_path):
    """crun and runc take what ``realise`` says: a recursive read-only bind covers what is mounted below."""
    volumes, rootfs, _ = world
    below = tmp_path / "source/below"
    below.mkdir(parents=True)
    os.makedirs(f"{rootfs}/bin")
    os.makedirs(f"{rootfs}/dev")
    subprocess.run(["cp", "/bin/busybox", f"{rootfs}/bin/"], check=True)
    record = container(volumes, binds=[f"{tmp_path}/source:/x:ro"])
    (entry,) = volumes.realise(record, rootfs)
    name = f"corten-volume-{uuid.uuid4().hex[:8]}"
    config = {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["/bin/busybox", "touch", "/x/below/new"]},
        "root": {"path": rootfs},
        "mounts": [{"destination": "/x", "type": "bind", "source": entry.source, "options": entry.options}],
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    mount.mount("tmpfs", str(below), "tmpfs")
    try:
        done = subprocess.run(
            ["crun", "run", "--bundle", str(tmp_path), name], capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 1 and "Read-only file system" in done.stderr
    finally:
        mount.umount(str(below))


def test_driver_config_in_mounts(world):
    volumes, rootfs, _ = world
    driver = DriverConfig(name="local", options={"type": "tmpfs", "device": "tmpfs", "o": "mode=0711"})
    spec = MountSpec(type="volume", target="/x", volume_options=VolumeOptions(driver_config=driver))
    record = container(volumes, mounts=[spec])
    (entry,) = volumes.realise(record, rootfs)
    assert stat.S_IMODE(os.stat(entry.source).st_mode) == 0o711
    volumes.release(record)
