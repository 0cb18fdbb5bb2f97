"""Names stay inside their root: links, dots, magic links, races."""

import ctypes
import errno
import os
import stat
import threading
import time

import pytest

from corten.linux import path


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "name").write_text("inside")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "name").write_text("outside")
    fd = path.open_root(root)
    yield root, fd
    os.close(fd)


def read(fd, name):
    return path.read_file(fd, name, 100).decode()


def test_dots_and_absolute_links_stop_at_the_root(tree):
    root, fd = tree
    (root / "absolute").symlink_to("/etc/name")
    (root / "dots").symlink_to("../../../etc/name")
    assert [read(fd, n) for n in ("/etc/name", "../etc/name", "absolute", "/dots", "etc/../../etc/name")] == [
        "inside"
    ] * 5


def test_root_itself_and_missing_names(tree):
    root, fd = tree
    assert path.stat(fd, "/").st_ino == path.stat(fd, "").st_ino == root.stat().st_ino
    assert path.exists(fd, "/etc") and not path.exists(fd, "/nothing")
    with pytest.raises(FileNotFoundError) as caught:
        path.stat(fd, "/nothing")
    assert caught.value.filename == "/nothing"
    with pytest.raises(OSError, match="NUL"):
        path.stat(fd, "a\0b")


def test_magic_links_are_refused():
    with path.opened(path.open_root("/")) as fd, pytest.raises(OSError) as caught:
        path.open_in_root(fd, f"/proc/self/fd/{fd}", os.O_PATH)
    assert caught.value.errno == errno.ELOOP


def test_links_as_themselves(tree):
    root, fd = tree
    (root / "link").symlink_to("/nowhere")
    assert path.readlink(fd, "/link") == "/nowhere"
    assert stat.S_ISLNK(path.lstat(fd, "link").st_mode)
    with pytest.raises(FileExistsError):
        path.create_file(fd, "link")
    assert not (root / "nowhere").exists()
    with pytest.raises(OSError):
        path.readlink(fd, "/etc")


def test_create_file_has_its_mode_and_no_name_is_refused(tree):
    root, fd = tree
    with path.opened(path.create_file(fd, "/etc/new", 0o666)) as new:
        os.write(new, b"x")
    assert stat.S_IMODE((root / "etc/new").stat().st_mode) == 0o666
    for name in ("/", "", "etc/..", "etc/."):
        with pytest.raises(OSError) as caught:
            path.create_file(fd, name)
        assert caught.value.errno == errno.EINVAL


def test_mkdir_follows_links_inside_only(tree):
    root, fd = tree
    (root / "run").mkdir()
    (root / "var").mkdir()
    (root / "var/run").symlink_to("/run")
    (root / "dangling").symlink_to("../../made/here")
    os.close(path.mkdir_in_root(fd, "/var/run/a/b"))
    assert (root / "run/a/b").is_dir()
    os.close(path.mkdir_in_root(fd, "dangling/deep", 0o710))
    assert stat.S_IMODE((root / "made/here/deep").stat().st_mode) == 0o710
    os.close(path.mkdir_in_root(fd, "/../../up"))
    assert (root / "up").is_dir()
    with pytest.raises(NotADirectoryError):
        path.mkdir_in_root(fd, "etc/name/x")
    with pytest.raises(NotADirectoryError):
        path.mkdir_in_root(fd, "etc/name")


def test_mkdir_link_loop(tree):
    root, fd = tree
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    with pytest.raises(OSError) as caught:
        path.mkdir_in_root(fd, "one/x")
    assert caught.value.errno == errno.ELOOP


def test_resolve_names(tree):
    root, fd = tree
    (root / "var").mkdir()
    (root / "var/e").symlink_to("../../../etc")
    assert path.resolve(fd, "/var/e/name") == "/etc/name"
    assert path.resolve(fd, "/var/e/new/../other") == "/etc/other"
    assert path.resolve(fd, "/") == "/"


def test_bounded_and_regular_only(tree):
    root, fd = tree
    os.mkfifo(root / "pipe")
    with (root / "sparse").open("wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(OSError, match="not a regular file"):
        path.read_file(fd, "pipe", 10)
    with pytest.raises(OSError) as caught:
        path.read_file(fd, "sparse", 1 << 16)
    assert caught.value.errno == errno.EFBIG


def test_swapped_components_never_lead_out(tree, tmp_path):
    """Another thread exchanges a directory and a link to the outside; every look-up stays inside."""
    root, fd = tree
    (root / "swap").mkdir()
    (root / "swap" / "name").write_text("inside")
    (root / "other").symlink_to("../../../../../.." + str(tmp_path / "etc"))
    stop = threading.Event()

    rename = ctypes.CDLL(None).renameat2
    first, second = bytes(root / "swap"), bytes(root / "other")

    def swap():
        while not stop.is_set():
            assert rename(-100, first, -100, second, 2) == 0  # RENAME_EXCHANGE

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            try:
                seen.add(read(fd, "swap/name"))
                os.close(path.mkdir_in_root(fd, "swap/new"))
            except OSError as error:
                seen.add(error.errno)
    finally:
        stop.set()
        thread.join()
    assert "inside" in seen and "outside" not in seen
    assert sorted(os.listdir(tmp_path / "etc")) == ["name"]
