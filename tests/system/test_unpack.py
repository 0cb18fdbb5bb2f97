"""Layers that mean harm, and layers that are only unusual. Needs root: owners, devices, trusted xattrs."""

import os
import stat

import pytest

from corten import errors
from corten.store.unpack import LayerUnpacker, Limits, adopt_implicit
from corten.wire import tarwrite
from tests.support.layers import archive, directory, hardlink, member, pieces, symlink, tree

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

OPAQUE = "trusted.overlay.opaque"


@pytest.fixture
def world(tmp_path):
    """A layer's directory beside a file that must never change."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "victim").write_text("precious")
    (tmp_path / "layer").mkdir()
    yield tmp_path
    assert tree(str(tmp_path / "outside")) == {"victim": "precious"}
    assert sorted(os.listdir(tmp_path)) == ["layer", "outside"]


def unpack(world, *members, limits=None, size=1 << 16):
    return LayerUnpacker(str(world / "layer"), limits).run(pieces(archive(*members), size))


def test_kinds_owners_modes_times(world):
    when = 1_600_000_000_123_456_789
    result = unpack(
        world,
        directory("./", mode=0o750, uid=5),
        directory("d", mode=0o1777, uid=1, gid=2, mtime=when),
        member("d/f", b"data", mode=0o4755, uid=1000, gid=1001, mtime=when, xattrs={"user.a": b"\0b"}),
        hardlink("d/h", "d/f"),
        symlink("d/l", "/etc/passwd"),
        member("d/fifo", kind=tarwrite.FIFO, mode=0o600),
        member("d/null", kind=tarwrite.CHARACTER, device=(1, 3), mode=0o666),
    )
    layer = world / "layer"
    status = os.stat(layer / "d/f")
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1000, 1001, 0o4755)
    assert status.st_mtime_ns == when and status.st_nlink == 2
    assert os.getxattr(layer / "d/f", "user.a") == b"\0b"
    assert stat.S_IMODE(os.stat(layer / "d").st_mode) == 0o1777
    assert os.stat(layer / "d").st_mtime_ns == when
    assert (os.stat(layer).st_uid, stat.S_IMODE(os.stat(layer).st_mode)) == (5, 0o750)
    assert os.readlink(layer / "d/l") == "/etc/passwd"
    assert stat.S_ISFIFO(os.stat(layer / "d/fifo").st_mode)
    assert os.stat(layer / "d/null").st_rdev == os.makedev(1, 3)
    assert result.entries == 7 and result.implicit == []


@pytest.mark.parametrize("name", ["../outside/victim", "a/../../outside/victim", "..", "/../outside/victim"])
def test_dot_dot_is_refused_by_name(world, name):
    with pytest.raises(errors.InvalidArgument, match="victim" if "victim" in name else r"\.\."):
        unpack(world, member(name, b"x"))


def test_absolute_names_stay_inside(world):
    unpack(world, member("/outside/victim", b"x"), member(str(world / "outside/victim").encode(), b"y"))
    assert (world / "layer/outside/victim").read_text() == "x"


@pytest.mark.parametrize(
    "target", ["{out}", "../outside", "../../../../../..{out}", "/proc/self/cwd", "/proc/self/root{out}"]
)
def test_write_through_a_planted_link(world, target):
    text = target.format(out=world / "outside")
    try:
        unpack(world, symlink("l", text), member("l/victim", b"evil"), member("l/new", b"evil"))
    except errors.InvalidArgument:
        pass


def test_a_file_replaces_a_link_and_does_not_follow_it(world):
    unpack(world, symlink("l", str(world / "outside/victim")), member("l", b"mine"))
    assert not os.path.islink(world / "layer/l")
    assert (world / "layer/l").read_text() == "mine"


def test_hard_links_do_not_reach_out(world):
    victim = str(world / "outside/victim")
    for members in (
        [hardlink("h", victim)],
        [hardlink("h", "../outside/victim")],
        [symlink("s", str(world / "outside")), hardlink("h", "s/victim")],
    ):
        with pytest.raises(errors.InvalidArgument, match='"h"'):
            unpack(world, *members)
    unpack(world, symlink("t", victim), hardlink("h", "t"), member("h", b"over"))
    assert os.stat(victim).st_nlink == 1


def test_hard_link_to_itself_and_to_a_directory(world):
    unpack(world, member("a", b"1"), hardlink("b", "a"), hardlink("b", "a"))
    assert os.stat(world / "layer/a").st_nlink == 2
    with pytest.raises(errors.InvalidArgument):
        unpack(world, directory("d"), hardlink("x", "d"))


def test_whiteouts_become_overlay_marks(world):
    unpack(
        world, directory("d"), member("d/.wh.gone"), directory("o"), member("o/.wh..wh..opq"), member(".wh..wh.plnk")
    )
    mark = os.stat(world / "layer/d/gone")
    assert stat.S_ISCHR(mark.st_mode) and mark.st_rdev == 0
    assert os.getxattr(world / "layer/o", OPAQUE) == b"y"
    assert sorted(os.listdir(world / "layer")) == ["d", "o"]


def test_whiteouts_through_links_and_odd_ones(world):
    try:
        unpack(world, symlink("l", str(world / "outside")), member("l/.wh.victim"), member("l/.wh..wh..opq"))
    except errors.InvalidArgument:
        pass
    for name in (".wh.", ".wh..", ".wh..."):
        with pytest.raises(errors.InvalidArgument, match="whiteout"):
            unpack(world, member(name))
    with pytest.raises(OSError):
        os.getxattr(world / "outside", OPAQUE)


def test_whiteout_of_a_name_of_the_same_layer_hides_only_what_is_below(world):
    unpack(world, directory("a"), member("a/keep", b"1"), member(".wh.a"), member(".wh.b"), directory("b"))
    assert (world / "layer/a/keep").read_text() == "1"
    assert os.getxattr(world / "layer/a", OPAQUE) == b"y"
    assert os.getxattr(world / "layer/b", OPAQUE) == b"y"


def test_overlay_xattrs_of_the_archive_are_inert(world):
    unpack(world, directory("d", xattrs={"trusted.overlay.redirect": b"/etc", "trusted.other": b"1"}))
    assert os.listxattr(world / "layer/d") == ["trusted.other"]


def test_duplicates_and_changed_kinds(world):
    unpack(
        world,
        directory("d"),
        member("d/x", b"1"),
        member("d", b"now a file"),
        member("f", b"1"),
        directory("f"),
        member("f/y", b"2"),
        member("f/y", b"3"),
    )
    assert (world / "layer/d").read_text() == "now a file"
    assert (world / "layer/f/y").read_text() == "3"


def test_directory_replaced_by_a_link_between_two_entries(world):
    unpack(
        world,
        directory("d"),
        member("d/a", b"1"),
        symlink("d", str(world / "outside")),
    )
    try:
        unpack(
            world, directory("e"), member("e/a", b"1"), symlink("e", str(world / "outside")), member("e/victim", b"x")
        )
    except errors.InvalidArgument:
        pass


def test_very_deep_and_very_long(world):
    deep = "/".join(["d" * 100] * 60)  # longer than PATH_MAX
    with pytest.raises(errors.InvalidArgument):
        unpack(world, member(deep, b"x"))
    with pytest.raises(errors.InvalidArgument, match="too long"):
        unpack(world, member("n" * 300, b"x"))
    with pytest.raises(errors.InvalidArgument, match="deep"):
        unpack(world, member("a/" * 3000 + "f", b"x"))


def test_limits(world):
    limits = Limits(entries=3, file_size=1000)
    with pytest.raises(errors.InvalidArgument, match="entries"):
        unpack(world, *[directory(f"d{n}") for n in range(4)], limits=limits)
    with pytest.raises(errors.InvalidArgument, match="too large"):
        unpack(world, member("big", b"x" * 1001), limits=limits)
    with pytest.raises(errors.Exhausted):
        LayerUnpacker(str(world / "layer"), Limits(reserve=1 << 60)).run(pieces(archive()))


def test_unknown_kinds_and_a_root_that_is_no_directory(world):
    with pytest.raises(errors.InvalidArgument, match="unhandled"):
        unpack(world, member("x", kind=b"V"))
    with pytest.raises(errors.InvalidArgument, match="root"):
        unpack(world, symlink("./", "/"))


def test_nul_and_control_bytes_in_names(world):
    body = b"path=a\0b"
    record = b"%d %s\n" % (len(body) + 4, body)
    with pytest.raises(errors.InvalidArgument) as caught:
        unpack(world, member("x", record, kind=b"x"), member("y", b"1"))
    assert "NUL" in str(caught.value)
    with pytest.raises(errors.InvalidArgument) as caught:
        unpack(world, member(b"../\x1b[31m\n", b"1"))
    assert "\x1b" not in str(caught.value) and "\n" not in str(caught.value)


def test_missing_parents_take_their_looks_from_below(world, tmp_path):
    below = world / "layer" / "below"
    result = unpack(world, member("etc/sub/f", b"1"), symlink("run", "/var/run"), member("run/x", b"2"))
    assert result.implicit == [b"", b"etc", b"etc/sub", b"var", b"var/run"]
    (below / "etc").mkdir(parents=True)
    os.chown(below / "etc", 7, 8)
    os.chmod(below / "etc", 0o700)
    (below / "var").symlink_to("/etc")
    adopt_implicit(str(world / "layer"), result.implicit, [str(below)])
    status = os.stat(world / "layer/etc")
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (7, 8, 0o700)
    assert stat.S_IMODE(os.stat(world / "layer/var/run").st_mode) == 0o755
    assert (world / "layer/var/run/x").read_text() == "2"


def test_sparse_files_take_no_room(world):
    payload = b"1\n104857596\n4\n".ljust(512, b"\0") + b"tail"
    records = b""
    for text in (b"GNU.sparse.major=1", b"GNU.sparse.minor=0", b"GNU.sparse.name=s", b"GNU.sparse.realsize=104857600"):
        records += b"%d %s\n" % (len(text) + 4, text)
    result = unpack(world, member("x", records, kind=b"x"), member("GNUSparseFile.0/s", payload))
    status = os.stat(world / "layer/s")
    assert status.st_size == 104857600 and status.st_blocks * 512 < 1 << 20
    assert result.size < 1 << 20


@pytest.mark.parametrize("size", [1, 513, 70_000])
def test_any_piece_size_gives_the_same_tree(world, size):
    data = os.urandom(5000)
    unpack(world, directory("a"), member("a/f", data), member("a/g", b""), size=size)
    assert (world / "layer/a/f").read_bytes() == data
