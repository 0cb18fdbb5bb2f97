"""`cp`, archive, `export`: in, out, links, owners, modes, volumes, read-only, stopped and running containers."""

import base64
import io
import json
import os
import tarfile

import pytest

from tests.support.busybox import IMAGE
from tests.support.http import Api
from tests.support.stock import Docker


def tar_of(**files: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            entry.uid, entry.gid, entry.mode = 12, 34, 0o640
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def names(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getnames()


def stat_header(answer) -> dict:
    return json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))


@pytest.fixture(params=["running", "stopped"])
def box(request: pytest.FixtureRequest, docker: Docker) -> str:
    docker(
        "run", "-d", "--name", "box", "-v", "/vol", IMAGE, "sh", "-c", "echo v > /vol/file; ln -s /etc /l; sleep 600"
    )
    docker("exec", "box", "sh", "-c", "until [ -e /l ]; do sleep 0.02; done")
    if request.param == "stopped":
        docker("kill", "box")
    return "box"


def test_in_and_out(docker: Docker, box: str, tmp_path) -> None:
    source = tmp_path / "folder"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "file").write_text("content")
    (source / "link").symlink_to("sub/file")
    docker("cp", str(source), f"{box}:/tmp/")
    docker("cp", f"{box}:/tmp/folder", str(tmp_path / "back"))
    assert (tmp_path / "back" / "sub" / "file").read_text() == "content"
    assert os.readlink(tmp_path / "back" / "link") == "sub/file"


def test_file_to_a_new_name(docker: Docker, box: str, tmp_path) -> None:
    (tmp_path / "file").write_text("x")
    docker("cp", str(tmp_path / "file"), f"{box}:/tmp/renamed")
    docker("cp", f"{box}:/tmp/renamed", str(tmp_path / "again"))
    assert (tmp_path / "again").read_text() == "x"


def test_content_of_a_folder(docker: Docker, box: str, tmp_path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("x")
    docker("cp", f"{tmp_path}/in/.", f"{box}:/home")
    docker("cp", f"{box}:/home/.", str(tmp_path / "out"))
    assert (tmp_path / "out" / "file").read_text() == "x"


def test_volumes_are_seen(docker: Docker, box: str, tmp_path) -> None:
    docker("cp", f"{box}:/vol/file", str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "v\n"
    docker("cp", str(tmp_path / "file"), f"{box}:/vol/second")
    docker("cp", f"{box}:/vol/second", str(tmp_path / "second"))
    assert (tmp_path / "second").read_text() == "v\n"


def test_absolute_link_stays_inside(docker: Docker, api: Api, box: str, tmp_path) -> None:
    docker("cp", f"{box}:/l/passwd", str(tmp_path / "passwd"))
    assert "user:x:1000" in (tmp_path / "passwd").read_text()
    stat = stat_header(api("HEAD", f"/containers/{box}/archive", query={"path": "/l"}))
    assert stat["linkTarget"].endswith("/etc")
    assert stat["mode"] & (1 << 27)  # Go's bit for a symbolic link


def test_stat(api: Api, box: str) -> None:
    answer = api("HEAD", f"/containers/{box}/archive", query={"path": "/etc/group"})
    assert answer.status == 200
    stat = stat_header(answer)
    assert (stat["name"], stat["mode"] & 0o777, stat["linkTarget"]) == ("group", 0o644, "")
    assert stat["size"] > 10
    folder = stat_header(api("HEAD", f"/containers/{box}/archive", query={"path": "/tmp"}))
    assert folder["mode"] & (1 << 31)
    assert folder["mode"] & (1 << 20)  # Go's sticky bit


def test_names_in_the_archive(api: Api, box: str) -> None:
    def got(path: str) -> list[str]:
        return names(api("GET", f"/containers/{box}/archive", query={"path": path}).body)

    assert got("/etc/group") == ["group"]
    assert {"home", "home/user"} <= {name.rstrip("/") for name in got("/home")}
    assert {".", "user"} <= {name.rstrip("/").removeprefix("./") or "." for name in got("/home/.")}


def test_owner_and_mode_of_what_is_put(api: Api, docker: Docker, box: str) -> None:
    assert api("PUT", f"/containers/{box}/archive", tar_of(put="x"), query={"path": "/tmp"}).status == 200
    answer = api("GET", f"/containers/{box}/archive", query={"path": "/tmp/put"})
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as tar:
        entry = tar.getmembers()[0]
    assert (entry.uid, entry.gid, entry.mode & 0o777) == (12, 34, 0o640)


@pytest.mark.parametrize("how", ["gz", "bz2", "xz"])
def test_compressed_upload(api: Api, box: str, how: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{how}") as tar:
        tar.addfile(tarfile.TarInfo(f"from-{how}"))
    assert api("PUT", f"/containers/{box}/archive", buffer.getvalue(), query={"path": "/tmp"}).status == 200
    assert api("HEAD", f"/containers/{box}/archive", query={"path": f"/tmp/from-{how}"}).status == 200


def test_errors(api: Api, docker: Docker, box: str) -> None:
    archive = f"/containers/{box}/archive"
    assert api("GET", archive, query={"path": "/none"}).status == 404
    assert api("HEAD", archive, query={"path": "/none"}).status == 404
    assert api("GET", archive).status == 400
    assert api("PUT", archive, tar_of(a="x"), query={"path": "/none"}).status == 404
    assert api("PUT", archive, tar_of(a="x"), query={"path": "/etc/passwd"}).status in (400, 500)
    assert api("GET", "/containers/nobody/archive", query={"path": "/"}).status == 404
    result = docker.fails("cp", f"{box}:/none", "-")
    assert "Could not find the file /none in container box" in result.err


def test_a_folder_is_not_replaced_by_a_file(api: Api, box: str) -> None:
    query = {"path": "/", "noOverwriteDirNonDir": 1}
    answer = api("PUT", f"/containers/{box}/archive", tar_of(home="x"), query=query)
    assert answer.status in (400, 500)
    assert "cannot overwrite" in answer.message


def test_broken_archive(api: Api, box: str) -> None:
    assert api("PUT", f"/containers/{box}/archive", b"this is no tar" * 100, query={"path": "/tmp"}).status >= 400


def test_names_that_climb_stay_inside(api: Api, box: str) -> None:
    climbing = tar_of(**{"../../../../../../../tmp/ct-climbed": "x"})
    api("PUT", f"/containers/{box}/archive", climbing, query={"path": "/tmp"})
    assert not os.path.exists("/tmp/ct-climbed")


def test_read_only_container(docker: Docker, tmp_path) -> None:
    docker("run", "-d", "--name", "ro", "--read-only", "-v", "/vol", IMAGE, "sleep", "60")
    (tmp_path / "file").write_text("x")
    result = docker.fails("cp", str(tmp_path / "file"), "ro:/tmp/")
    assert "marked read-only" in result.err
    docker("cp", str(tmp_path / "file"), "ro:/vol/")


def test_export(docker: Docker, box: str, tmp_path) -> None:
    path = tmp_path / "all.tar"
    docker("export", "-o", str(path), box)
    with tarfile.open(path) as tar:
        content = {name.removeprefix("./") for name in tar.getnames()}
        assert tar.getmember(next(n for n in tar.getnames() if n.endswith("bin/sh"))).linkname == "busybox"
    assert {"bin/busybox", "etc/passwd", "l"} <= content
    assert "vol/file" not in content


def test_all_of_a_running_container(api: Api, box: str) -> None:
    answer = api("GET", f"/containers/{box}/archive", query={"path": "/"})
    assert answer.status == 200, answer.body
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as tar:
        names = {name.strip("/") for name in tar.getnames()}
    assert {"bin/busybox", "proc", "sys"} <= names
    assert not [name for name in names if name.startswith(("proc/", "sys/"))]
