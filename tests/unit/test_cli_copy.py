"""Unpacking what a container sends, and packing local files: nothing outside the destination is touched."""

import io
import os
import shutil
import subprocess
import tarfile

import pytest

from corten.cli.copy.pack import pack
from corten.cli.copy.unpack import unpack
from corten.cli.failure import Failure


def archive(*members):
    """A tar of (name, kind or content, link) as a function that gives it in pieces."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content, *link in members:
            info = tarfile.TarInfo(name)
            info.mtime = 1000
            if isinstance(content, bytes):
                info.size = len(content)
                info.mode = 0o640
                tar.addfile(info, io.BytesIO(content))
                continue
            info.type = {"dir": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE}[content]
            info.mode = 0o751
            info.linkname = link[0] if link else ""
            tar.addfile(info)
    buffer.seek(0)
    return lambda: buffer.read(1000)


def test_a_tree_arrives_with_modes_times_and_links(tmp_path):
    size = unpack(
        archive(("etc", "dir"), ("etc/a", b"x" * 5000), ("etc/l", "link", "/nowhere"), ("etc/h", "hard", "etc/a")),
        str(tmp_path),
        None,
    )
    assert size == 5000
    found = (tmp_path / "etc" / "a").stat()
    assert (found.st_mode & 0o777, found.st_mtime, found.st_nlink) == (0o640, 1000, 2)
    assert (tmp_path / "etc").stat().st_mode & 0o777 == 0o751
    assert os.readlink(tmp_path / "etc" / "l") == "/nowhere"


def test_the_root_takes_another_name_and_content_has_none(tmp_path):
    unpack(archive(("etc", "dir"), ("etc/a", b"1"), ("etc/h", "hard", "etc/a")), str(tmp_path), "new")
    assert (tmp_path / "new" / "h").read_bytes() == b"1"
    unpack(archive(("./", "dir"), ("./a", b"2")), str(tmp_path), "content", content=True)
    assert (tmp_path / "content" / "a").read_bytes() == b"2"
    unpack(archive(("./", "dir"), ("./b", b"3")), str(tmp_path), None, content=True)
    assert (tmp_path / "b").read_bytes() == b"3"
    unpack(archive(("file", b"4")), str(tmp_path), "other")
    assert (tmp_path / "other").read_bytes() == b"4"


@pytest.mark.parametrize(
    "members",
    [
        [("../evil", b"x")],
        [("a/../../evil", b"x")],
        [("x", "link", ".."), ("x/evil", b"x")],
        [("x", "link", "/tmp"), ("x/y", "dir")],
        [("h", "hard", "../secret")],
        [("x", "link", ".."), ("h", "hard", "x/secret")],
    ],
)
def test_nothing_leads_out_of_the_destination(tmp_path, members):
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret").write_text("s")
    with pytest.raises(Failure):
        unpack(archive(*members), str(inside), None)
    assert sorted(os.listdir(tmp_path)) == ["inside", "secret"]
    assert (tmp_path / "secret").read_text() == "s"


def test_an_absolute_name_stays_inside_and_a_link_is_replaced_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("v")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "f").symlink_to(victim)
    unpack(archive(("/f", b"new")), str(inside), None)
    assert victim.read_text() == "v" and (inside / "f").read_bytes() == b"new"


def test_directories_and_files_do_not_take_each_others_place(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "f").write_text("")
    with pytest.raises(Failure, match="cannot overwrite directory"):
        unpack(archive(("d", b"x")), str(tmp_path), None)
    with pytest.raises(Failure, match="cannot overwrite non-directory"):
        unpack(archive(("f", "dir")), str(tmp_path), None)


def test_packing_is_what_unpacking_reads(tmp_path):
    source = tmp_path / "src"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / ("n" * 150)).write_bytes(b"long name")
    (source / "a").write_bytes(b"a" * 100000)
    os.link(source / "a", source / "b")
    (source / "l").symlink_to("a")
    os.mkfifo(source / "p")
    parts = iter(list(pack(str(source), "renamed")))
    unpack(lambda: next(parts, b""), str(tmp_path), None)
    copy = tmp_path / "renamed"
    assert sorted(os.listdir(copy)) == ["a", "b", "l", "p", "sub"]
    assert (copy / "b").read_bytes() == b"a" * 100000 and (copy / "a").stat().st_nlink == 2
    assert (copy / "sub" / ("n" * 150)).read_bytes() == b"long name"
    assert (copy / "a").stat().st_mtime_ns == (source / "a").stat().st_mtime_ns


def test_following_the_source_link(tmp_path):
    (tmp_path / "real").write_text("r")
    (tmp_path / "l").symlink_to("real")
    for follow, kind in ((False, tarfile.SYMTYPE), (True, tarfile.REGTYPE)):
        data = io.BytesIO(b"".join(pack(str(tmp_path / "l"), "l", follow)))
        with tarfile.open(fileobj=data) as tar:
            assert tar.getmembers()[0].type == kind


def test_holes_stay_holes(tmp_path):
    if shutil.which("tar") is None:
        pytest.skip("there is no tar on PATH")
    with open(tmp_path / "sparse", "wb") as file:
        for offset, data in ((0, b"head"), (1 << 20, b"middle"), (3 << 20, b"tail")):
            file.seek(offset)
            file.write(data)
        file.truncate(5 << 20)
    for form in ("gnu", "posix"):
        command = ["tar", "--sparse", f"--format={form}", "-C", str(tmp_path), "-c", "sparse"]
        stream = io.BytesIO(subprocess.run(command, capture_output=True, check=True).stdout)
        unpack(lambda stream=stream: stream.read(10_000), str(tmp_path), form)
        assert (tmp_path / form).read_bytes() == (tmp_path / "sparse").read_bytes()
        assert (tmp_path / form).stat().st_blocks * 512 < 1 << 20
