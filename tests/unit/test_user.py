"""Users of images; with attack A6: numbers that wrap, giant or special passwd and group files."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corten.errors import InvalidArgument
from corten.linux import path as rooted
from corten.runtime import user

PASSWD = (
    "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:100:Bob:/home/bob:/bin/sh\n4294967296:x:0:0::/:/bin/sh\n-1:x:0:0::/:\n"
)
GROUP = "root:x:0:\nusers:x:100:\nwheel:x:10:root,bob\naudio:x:29:bob\n"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    fd = rooted.open_root(str(tmp_path))
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", user.User(0, 0, (0, 10), "/root")),
        ("root", user.User(0, 0, (0, 10), "/root")),
        ("bob", user.User(1000, 100, (100, 10, 29), "/home/bob")),
        ("1000", user.User(1000, 100, (100, 10, 29), "/home/bob")),
        ("bob:users", user.User(1000, 100, (100,), "/home/bob")),
        ("bob:29", user.User(1000, 29, (29,), "/home/bob")),
        ("4242", user.User(4242, 0, (0,), "/")),
        ("4242:77", user.User(4242, 77, (77,), "/")),
    ],
)
def test_forms(root, text, expected):
    assert user.resolve(root, text) == expected


def test_group_add(root):
    assert user.resolve(root, "4242", ["audio", "3000"]).groups == (0, 29, 3000)
    with pytest.raises(InvalidArgument, match="Unable to find group nobodies"):
        user.resolve(root, "bob", ["nobodies"])


def test_missing_names_have_dockers_words(root):
    with pytest.raises(InvalidArgument, match=r"^unable to find user eve: no matching entries in passwd file$"):
        user.resolve(root, "eve")
    with pytest.raises(InvalidArgument, match=r"^unable to find group eve: no matching entries in group file$"):
        user.resolve(root, "bob:eve")


@pytest.mark.parametrize("text", ["4294967296", "2147483648", "-1", "+0", "9" * 400, "0:4294967296", "1000:-1"])
def test_numbers_never_wrap(root, text):
    with pytest.raises(InvalidArgument, match="range 0-2147483647"):
        user.resolve(root, text)
    with pytest.raises(InvalidArgument, match="range 0-2147483647"):
        user.check_syntax(text)


def test_entries_out_of_range_are_no_entries(tmp_path, root):
    (tmp_path / "etc/passwd").write_text("big:x:4294967296:0::/:\nneg:x:-1:0::/:\nodd:x:\u0661:0::/:\n")
    for name in ("big", "neg", "odd"):
        with pytest.raises(InvalidArgument, match="no matching entries"):
            user.resolve(root, name)


def test_without_files_numbers_work(tmp_path):
    fd = rooted.open_root(str(tmp_path))
    try:
        assert user.resolve(fd, "5:6") == user.User(5, 6, (6,), "/")
        assert user.resolve(fd, "") == user.User(0, 0, (0,), "/")
        with pytest.raises(InvalidArgument, match="no matching entries"):
            user.resolve(fd, "root")
    finally:
        os.close(fd)


def test_fifo_instead_of_passwd_does_not_hang(tmp_path, root):
    (tmp_path / "etc/passwd").unlink()
    os.mkfifo(tmp_path / "etc/passwd")
    with pytest.raises(InvalidArgument, match="cannot read /etc/passwd"):
        user.resolve(root, "bob")


def test_sparse_giant_is_refused(tmp_path, root):
    with open(tmp_path / "etc/group", "wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(InvalidArgument, match="cannot read /etc/group"):
        user.resolve(root, "bob")


def test_links_stay_inside(tmp_path, root):
    (tmp_path / "etc/passwd").unlink()
    (tmp_path / "etc/passwd").symlink_to("/etc/../../../../etc/real")
    (tmp_path / "etc/real").write_text("eve:x:7:7::/:\n")
    assert user.resolve(root, "eve").uid == 7
    (tmp_path / "etc/passwd").unlink()
    (tmp_path / "etc/passwd").symlink_to("/proc/self/root/etc/passwd")
    with pytest.raises(InvalidArgument):
        user.resolve(root, "root")


@given(st.text(max_size=40), st.binary(max_size=300), st.binary(max_size=300))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_and_any_files(tmp_path, text, passwd, group):
    """Whatever an image says: ids in range, or a refusal."""
    (tmp_path / "etc").mkdir(exist_ok=True)
    (tmp_path / "etc/passwd").write_bytes(passwd)
    (tmp_path / "etc/group").write_bytes(group)
    fd = rooted.open_root(str(tmp_path))
    try:
        found = user.resolve(fd, text)
    except InvalidArgument:
        return
    finally:
        os.close(fd)
    assert all(0 <= number <= user.MAX_ID for number in (found.uid, found.gid, *found.groups))
    assert found.home.startswith("/")
