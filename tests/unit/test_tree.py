"""Trees of any depth are removed and measured; nothing beyond links is touched."""

import io
import os
import tarfile

from corten.engine.treetar import TreeTar
from corten.linux import path, tree
from corten.wire import tarwrite


def nest(directory, depth):
    """*depth* directories in each other, each with a file: far beyond PATH_MAX and Python's stack."""
    fd = os.open(directory, os.O_RDONLY)
    for _ in range(depth):
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        os.mkdir("deep", dir_fd=fd)
        below = os.open("deep", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)


def test_remove_deep_tree(tmp_path):
    (tmp_path / "top").mkdir()
    nest(tmp_path / "top", 3000)
    with path.opened(path.open_root(tmp_path)) as fd:
        tree.remove(fd, "top")
    assert os.listdir(tmp_path) == []


def test_links_are_removed_and_not_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("x" * 100)
    (tmp_path / "top/one/two").mkdir(parents=True)
    (tmp_path / "top/one/link").symlink_to(tmp_path / "outside")
    (tmp_path / "top/link").symlink_to("nowhere")
    (tmp_path / "top/read-only").mkdir(mode=0o500)
    with path.opened(path.open_root(tmp_path)) as fd:
        tree.remove(fd, "top")
        tree.remove(fd, "top")
    assert os.listdir(tmp_path) == ["outside"] and os.listdir(tmp_path / "outside") == ["file"]


def test_deep_tree_as_archive(tmp_path):
    nest(tmp_path, 600)
    with path.opened(path.open_root(tmp_path)) as fd:
        data = b"".join([*TreeTar().children(fd, b""), tarwrite.TRAILER])
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            names = archive.getnames()
        assert len(names) == 1200 and "deep/" * 599 + "file" in names
        tree.empty(fd)


def test_size(tmp_path):
    nest(tmp_path, 1500)
    (tmp_path / "a").write_text("x" * 1000)
    os.link(tmp_path / "a", tmp_path / "deep/b")
    (tmp_path / "link").symlink_to("a" * 10)
    with path.opened(path.open_root(tmp_path)) as fd:
        assert tree.apparent_size(fd) == 1010
        tree.empty(fd)
    assert os.listdir(tmp_path) == []
