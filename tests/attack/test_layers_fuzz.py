"""Random layers made of names, links and kinds that get in each other's way: nothing outside may ever change."""

import os
import shutil
import stat
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corten import errors
from corten.store.unpack import LayerUnpacker
from corten.wire import tarwrite
from tests.attack.hostile import SOAK
from tests.support.layers import archive, directory, hardlink, member, pieces, symlink, tree

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

PARTS = ["a", "b", "c", ".", "..", "", ".wh.a", ".wh.b", ".wh..wh..opq", "outside", "victim"]
TARGETS = [
    "a",
    "b",
    "../outside",
    "../../outside",
    "/outside",
    "{base}/outside",
    "{base}/outside/victim",
    ".",
    "..",
    "/",
]
TARGETS += ["/proc/self/root{base}/outside", "/proc/self/cwd", "a/b", "../a", "/dev/null", "self"]

names = st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map("/".join)
targets = st.sampled_from(TARGETS)
entries = st.one_of(
    st.tuples(st.just("file"), names, st.just("")),
    st.tuples(st.just("directory"), names, st.just("")),
    st.tuples(st.just("symlink"), names, targets),
    st.tuples(st.just("hardlink"), names, st.one_of(names, targets)),
    st.tuples(st.just("fifo"), names, st.just("")),
)


def build(entry, base):
    kind, name, target = entry
    target = target.format(base=base)
    if kind == "file":
        return member(name, b"evil", mode=0o4777, uid=1, xattrs={"user.x": b"1"})
    if kind == "directory":
        return directory(name, mode=0o777, uid=2)
    if kind == "symlink":
        return symlink(name, target)
    if kind == "hardlink":
        return hardlink(name, target)
    return member(name, kind=tarwrite.FIFO)


@settings(max_examples=5000 if SOAK else 120, deadline=None)
@given(st.lists(entries, min_size=1, max_size=8))
def test_nothing_outside_changes(chosen):
    base = tempfile.mkdtemp(prefix="corten-fuzz-")
    try:
        outside = os.path.join(base, "outside")
        os.mkdir(outside, 0o700)
        with open(os.path.join(outside, "victim"), "w") as file:
            file.write("precious")
        os.mkdir(os.path.join(base, "layer"))
        before = [os.stat(path) for path in (outside, os.path.join(outside, "victim"))]
        descriptors = len(os.listdir("/proc/self/fd"))
        try:
            LayerUnpacker(os.path.join(base, "layer")).run(pieces(archive(*[build(entry, base) for entry in chosen])))
        except errors.InvalidArgument:
            pass
        assert len(os.listdir("/proc/self/fd")) == descriptors
        assert tree(outside) == {"victim": "precious"}
        assert sorted(os.listdir(base)) == ["layer", "outside"]
        for old, path in zip(before, (outside, os.path.join(outside, "victim")), strict=True):
            now = os.stat(path)
            assert (now.st_ctime_ns, now.st_mode, now.st_nlink) == (old.st_ctime_ns, old.st_mode, old.st_nlink)
        for path, _, files in os.walk(os.path.join(base, "layer")):
            assert all(stat.S_ISCHR(os.lstat(os.path.join(path, name)).st_mode) or ".wh." not in name for name in files)
    finally:
        shutil.rmtree(base)
