"""Snapshots on a real overlay: prepare, mount, change, compare, remove, and recovery after a crash."""

import os
import shutil
import stat

import pytest

from corten import errors
from corten.linux import mount
from corten.store.database import Database
from corten.store.layertar import layer_archive
from corten.store.snapshot import Snapshots
from corten.store.unpack import LayerUnpacker
from tests.support import layers
from tests.support.layers import archive, directory, member, pieces, sha256, symlink

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


BASE = {".dockerenv", "dev", "etc", "proc", "sys"}


def tree(path):
    """Without what every container has."""
    return {name: what for name, what in layers.tree(path).items() if name.split("/")[0] not in BASE}


class Home:
    def __init__(self, path):
        self.path = path
        self.target = str(path / "mnt")
        os.makedirs(self.target)
        self.open()

    def open(self):
        self.database = Database(str(self.path / "state.db"))
        self.snapshots = Snapshots(str(self.path / "snapshots"), self.database)

    def close(self):
        mount.umount_if_mounted(self.target)
        self.snapshots.close()
        self.database.close()

    def layer(self, *members, parent=""):
        data = archive(*members)
        path = self.snapshots.new_layer_dir()
        result = LayerUnpacker(path).run(pieces(data))
        return self.snapshots.commit_layer(path, parent, "sha256:" + sha256(data), result.size).chain_id


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    yield made
    made.close()


def test_layers_stack_and_whiteouts_work(home):
    low = home.layer(directory("d"), member("d/a", b"1"), member("d/b", b"2"), directory("o"), member("o/old", b"x"))
    mid = home.layer(directory("d"), member("d/.wh.a"), directory("o"), member("o/.wh..wh..opq"), parent=low)
    top = home.layer(member("c", b"3"), parent=mid)
    home.snapshots.prepare("k1", top)
    assert not os.path.ismount(home.target)
    home.snapshots.mount("k1", home.target)
    assert tree(home.target) == {"d": "dir", "d/b": "2", "o": "dir", "c": "3"}
    assert [layer.chain_id for layer in home.snapshots.chain(top)] == [top, mid, low]


def test_hundreds_of_layers(home):
    chain = ""
    for number in range(130):
        chain = home.layer(member(f"f{number}", b"x"), parent=chain)
    home.snapshots.prepare("k", chain)
    home.snapshots.mount("k", home.target)
    assert len(tree(home.target)) == 130


@pytest.mark.parametrize("count", [2, 150])
def test_kernels_without_the_call_per_layer(home, count):
    chain = ""
    for number in range(count):
        chain = home.layer(member(f"f{number}", b"x"), parent=chain)
    home.snapshots.prepare("k", chain)
    upper = home.snapshots.upper_dir("k")
    work = os.path.join(os.path.dirname(upper), "work")  # the image alone, without what lies below every container
    mount._mount_joined(home.target, home.snapshots.lower_dirs(chain), upper, work, 0)
    assert len(os.listdir(home.target)) == count


def test_changes_usage_and_the_archive_of_them(home):
    low = home.layer(
        directory("etc"),
        member("etc/a", b"1"),
        member("etc/b", b"2"),
        directory("gone"),
        member("gone/x", b"1"),
        directory("new"),
        member("new/y", b"1"),
        member("new/z", b"1"),
    )
    home.snapshots.prepare("k", low)
    assert home.snapshots.changes("k") == []
    home.snapshots.mount("k", home.target)
    root = home.path / "mnt"
    (root / "etc/a").write_text("changed")
    (root / "etc/b").unlink()
    (root / "etc/c").write_bytes(b"n" * 10_000)
    shutil.rmtree(root / "gone")
    shutil.rmtree(root / "new")
    (root / "new").mkdir()
    (root / "new/z").write_text("again")
    (root / "never").write_text("x")
    (root / "never").unlink()
    os.symlink("/etc/passwd", root / "link")
    assert home.snapshots.changes("k") == [
        ("/etc", 0),
        ("/etc/a", 0),
        ("/etc/b", 2),
        ("/etc/c", 1),
        ("/gone", 2),
        ("/link", 1),
        ("/new", 0),
        ("/new/y", 2),
        ("/new/z", 0),
    ]
    assert 10_000 <= home.snapshots.usage("k") <= 100_000
    data = b"".join(layer_archive(home.snapshots.upper_dir("k")))
    path = home.snapshots.new_layer_dir()
    LayerUnpacker(path).run(pieces(data))
    again = home.snapshots.commit_layer(path, low, "sha256:" + sha256(data), 1).chain_id
    want = tree(home.target)
    mount.umount(home.target)
    home.snapshots.prepare("k2", again)
    home.snapshots.mount("k2", home.target)
    assert tree(home.target) == want


def test_renamed_directories_stay_self_contained(home):
    low = home.layer(directory("d"), member("d/f", b"1"))
    home.snapshots.prepare("k", low)
    home.snapshots.mount("k", home.target)
    with pytest.raises(OSError):
        os.rename(os.path.join(home.target, "d"), os.path.join(home.target, "e"))  # EXDEV: programs copy instead


def test_archive_keeps_owners_links_and_leaves_sockets(home):
    home.snapshots.prepare("k", "")
    upper = home.snapshots.upper_dir("k")
    with open(os.path.join(upper, "f"), "w") as file:
        file.write("x")
    os.chown(os.path.join(upper, "f"), 12, 34)
    os.chmod(os.path.join(upper, "f"), 0o4711)
    os.setxattr(os.path.join(upper, "f"), "security.capability", b"\1\0\0\2" + bytes(16))
    os.link(os.path.join(upper, "f"), os.path.join(upper, "g"))
    os.mknod(os.path.join(upper, "s"), stat.S_IFSOCK)
    os.mkfifo(os.path.join(upper, "p"))
    path = home.snapshots.new_layer_dir()
    LayerUnpacker(path).run(pieces(b"".join(layer_archive(upper))))
    assert sorted(os.listdir(path)) == ["f", "g", "p"]
    status = os.stat(os.path.join(path, "g"))
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode), status.st_nlink) == (12, 34, 0o4711, 2)
    assert os.getxattr(os.path.join(path, "g"), "security.capability")
    home.snapshots.discard(path)


def test_empty_image_and_read_only_mount(home):
    home.snapshots.prepare("k", "")
    home.snapshots.mount("k", home.target, readonly=True)
    with pytest.raises(OSError):
        os.mkdir(os.path.join(home.target, "f"))


def test_root_of_the_container_looks_like_the_layer_root(home):
    low = home.layer(directory("./", mode=0o700, uid=3, gid=4))
    home.snapshots.prepare("k", low)
    home.snapshots.mount("k", home.target)
    status = os.stat(home.target)
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (3, 4, 0o700)


def test_errors(home):
    with pytest.raises(errors.NotFound):
        home.snapshots.prepare("k", "sha256:" + "0" * 64)
    home.snapshots.prepare("k", "")
    with pytest.raises(errors.AlreadyExists):
        home.snapshots.prepare("k", "")
    with pytest.raises(errors.NotFound):
        home.snapshots.mount("other", home.target)
    with pytest.raises(errors.InvalidArgument):
        home.snapshots.prepare("../k", "")
    home.snapshots.unmount(home.target)


def test_collect_keeps_what_containers_stand_on(home):
    low = home.layer(member("a", b"1"))
    top = home.layer(member("b", b"1"), parent=low)
    other = home.layer(member("c", b"1"), parent=low)
    home.snapshots.prepare("k", top)
    assert home.snapshots.collect([]) > 0
    assert {layer.chain_id for layer in home.snapshots.layers()} == {low, top}
    assert home.snapshots.layer(other) is None
    home.snapshots.remove("k")
    home.snapshots.collect([])
    home.snapshots.drain()
    assert os.listdir(home.path / "snapshots/layers") == []
    assert os.listdir(home.path / "snapshots/active") == []
    assert os.listdir(home.path / "snapshots/trash") == []


def test_after_a_crash_only_what_the_database_knows_is_left(home):
    low = home.layer(member("a", b"1"))
    home.database.write(home.snapshots.prepare("kept", low))
    home.database.write(home.snapshots.prepare("orphan", low))
    home.snapshots.new_layer_dir()
    os.makedirs(home.path / "snapshots/active/unknown/fs")
    os.makedirs(home.path / "snapshots/layers" / ("f" * 64))
    os.makedirs(home.path / "snapshots/trash/left/over")
    home.close()
    home.open()
    home.snapshots.clean(["kept"])
    home.snapshots.clean_layers([])
    home.snapshots.drain()
    assert home.snapshots.keys() == ["kept"]
    assert os.listdir(home.path / "snapshots/active") == ["kept"]
    assert os.listdir(home.path / "snapshots/layers") == [low.removeprefix("sha256:")]
    assert os.listdir(home.path / "snapshots/trash") == []
    home.snapshots.mount("kept", home.target)
    assert tree(home.target) == {"a": "1"}


def test_a_committed_directory_without_its_record_does_not_stand_in_the_way(home):
    data = archive(member("a", b"1"))
    os.makedirs(home.path / "snapshots/layers" / sha256(data) / "stale")
    assert home.layer(member("a", b"1")) == "sha256:" + sha256(data)
    assert os.listdir(home.path / "snapshots/layers" / sha256(data)) == ["a"]


def test_links_in_lower_layers_lead_nowhere(home):
    low = home.layer(symlink("etc", "/etc"), symlink("up", "../../.."))
    home.snapshots.prepare("k", low)
    home.snapshots.mount("k", home.target)
    os.unlink(os.path.join(home.target, "etc"))
    os.mkdir(os.path.join(home.target, "etc"))
    with open(os.path.join(home.target, "etc/passwd"), "w") as file:
        file.write("x")
    assert home.snapshots.changes("k") == [("/etc", 0), ("/etc/passwd", 1)]


def test_what_the_engine_mounts_on_is_there_and_the_images_own_wins(home):
    low = home.layer(directory("etc", mode=0o711, uid=9), member("etc/hosts", b"mine"), symlink("proc", "/elsewhere"))
    home.snapshots.prepare("k", low)
    home.snapshots.mount("k", home.target)
    seen = layers.tree(home.target)
    assert (seen["etc/hosts"], seen["etc/hostname"], seen["dev/pts"]) == ("mine", "", "dir")
    assert seen["proc"] == "-> /elsewhere" and seen["etc/mtab"] == "-> /proc/mounts"
    status = os.stat(os.path.join(home.target, "etc"))
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (9, 0o711)
    assert home.snapshots.changes("k") == []
    with open(os.path.join(home.target, "etc/resolv.conf"), "w") as file:
        file.write("x")
    assert home.snapshots.changes("k") == [("/etc", 0), ("/etc/resolv.conf", 0)]
    assert os.path.getsize(home.path / "snapshots/base/etc/resolv.conf") == 0


def test_a_layer_whose_record_was_not_written_is_no_layer(home, monkeypatch):
    """Or an image that comes next would be recorded upon it, and the next start would not find it."""
    low = home.layer(member("a", b"1"))

    def fails(job):
        raise errors.System("no space left on device")

    known = home.snapshots.layer(low)
    with monkeypatch.context() as patch:
        patch.setattr(home.database, "write", fails)
        with pytest.raises(errors.System):
            home.layer(member("b", b"2"), parent=low)
        with pytest.raises(errors.System):
            home.snapshots.record_layers([known])
    assert [layer.chain_id for layer in home.snapshots.layers()] == [low]
    assert home.snapshots.layer_dirs() == [low]
    top = home.layer(member("b", b"2"), parent=low)
    home.close()
    home.open()
    assert {layer.chain_id for layer in home.snapshots.layers()} == {low, top}


def test_of_several_layers_none_stays_without_a_record(home, monkeypatch):
    data = [archive(member(name, name.encode())) for name in ("a", "b")]
    placed, parent = [], ""
    for each in data:
        path = home.snapshots.new_layer_dir()
        LayerUnpacker(path).run(pieces(each))
        placed.append(home.snapshots.place_layer(path, parent, "sha256:" + sha256(each), 1))
        parent = placed[-1].chain_id

    def fails(job):
        raise errors.System("read-only file system")

    monkeypatch.setattr(home.database, "write", fails)
    with pytest.raises(errors.System):
        home.snapshots.record_layers(placed)
    assert home.snapshots.layers() == []
    assert home.snapshots.layer_dirs() == []
