"""The sum over a tree: the same for the same tree, another one for any change."""

import os
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corten.store.treesum import tree_sum

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8
)
ENTRIES = NAMES.filter(lambda name: name not in (".", ".."))
TREES = st.recursive(st.binary(max_size=20), lambda below: st.dictionaries(ENTRIES, below, max_size=4), max_leaves=12)


def build(path, tree):
    """Directories from maps, files from bytes; every time is the same."""
    if isinstance(tree, bytes):
        with open(path, "wb") as file:
            file.write(tree)
    else:
        os.makedirs(path)
        for name, below in tree.items():
            build(os.path.join(path, name), below)
    os.utime(path, ns=(10**18, 10**18))


def count(tree):
    return 0 if isinstance(tree, bytes) else sum(1 + count(below) for below in tree.values())


def size(tree):
    return len(tree) if isinstance(tree, bytes) else sum(size(below) for below in tree.values())


@settings(max_examples=60, deadline=None)
@given(TREES.filter(lambda tree: not isinstance(tree, bytes)), TREES.filter(lambda tree: not isinstance(tree, bytes)))
def test_equal_trees_have_equal_sums_and_others_have_not(tmp_path_factory, one, other):
    base = tmp_path_factory.mktemp("trees")
    try:
        paths = [f"{base}/{name}" for name in ("one", "again", "other")]
        for path, tree in zip(paths, (one, one, other), strict=True):
            build(path, tree)
        for contents in (False, True):
            sums = [tree_sum(path, contents=contents) for path in paths]
            assert sums[0] == sums[1]
            assert (sums[0].entries, sums[0].size) == (count(one), size(one))
        assert (sums[0] == sums[2]) == (one == other)
    finally:
        shutil.rmtree(base)


@pytest.fixture
def tree(tmp_path):
    os.makedirs(tmp_path / "tree/directory")
    (tmp_path / "tree/directory/file").write_bytes(b"x" * 100)
    (tmp_path / "tree/empty").mkdir()
    os.symlink("directory", tmp_path / "tree/link")
    return tmp_path / "tree"


def relink(tree):
    os.unlink(tree / "link")
    os.symlink("elsewhere", tree / "link")


@pytest.mark.parametrize(
    "damage",
    [
        lambda tree: os.truncate(tree / "directory/file", 99),
        lambda tree: os.chmod(tree / "directory/file", 0o600),
        lambda tree: os.utime(tree / "directory/file", ns=(1, 1)),
        lambda tree: os.chmod(tree / "empty", 0o711),
        lambda tree: os.rename(tree / "empty", tree / "other"),
        lambda tree: os.rmdir(tree / "empty"),
        lambda tree: (tree / "new").touch(),
        relink,
    ],
)
def test_every_damage_shows(tree, damage):
    os.chmod(tree / "directory/file", 0o644)
    before = tree_sum(tree)
    damage(tree)
    assert tree_sum(tree) != before


def test_contents_show_when_they_are_asked_for(tree):
    path = tree / "directory/file"
    times = os.stat(path)
    before = tree_sum(tree), tree_sum(tree, contents=True)
    path.write_bytes(b"y" * 100)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert tree_sum(tree) == before[0]
    assert tree_sum(tree, contents=True) != before[1]


def test_the_root_and_with_contents_the_times_of_directories_do_not_count(tree):
    before = tree_sum(tree), tree_sum(tree, contents=True)
    os.chmod(tree, 0o700)
    os.utime(tree, ns=(1, 1))
    assert tree_sum(tree) == before[0]
    os.utime(tree / "empty", ns=(1, 1))
    assert tree_sum(tree) != before[0]
    assert tree_sum(tree, contents=True) == before[1]


def test_a_deep_tree_takes_no_stack(tmp_path):
    path = tmp_path / "tree"
    path.mkdir()
    below = path
    for _ in range(1500):
        below = below / "d"
        below.mkdir()
    try:
        assert tree_sum(path).entries == 1500
    finally:
        while below != path:  # too deep for whoever clears the directory of the test
            below.rmdir()
            below = below.parent
