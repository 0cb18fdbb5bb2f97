"""``corten cp``, ``export``, ``import``, ``save``, ``load`` and ``commit``."""

import io
import os
import tarfile
from collections.abc import Iterator

import pytest

from tests.support.busybox import IMAGE
from tests.support.cortencli import Corten
from tests.support.daemon import Daemon

SCRIPT = "mkdir -p /d/sub; echo one >/d/a; echo two >/d/sub/b; ln -s a /d/link; chmod 600 /d/a; sleep 10000"


@pytest.fixture(autouse=True)
def tidy():
    """In place of the fixture that clears the daemon: the tests of this file share their containers."""


@pytest.fixture(scope="module")
def corten(daemon: Daemon, image: str) -> Iterator[Corten]:
    cli = Corten(daemon.url)
    cli("run", "-d", "--name", "box", IMAGE, "sh", "-c", SCRIPT)
    cli("exec", "box", "sh", "-c", "until [ -e /d/link ]; do sleep 0.05; done")
    yield cli
    cli("rm", "-f", "box")
    cli.close()


def tree(folder):
    return sorted(
        os.path.relpath(os.path.join(base, name), folder) for base, ds, fs in os.walk(folder) for name in ds + fs
    )


def test_out_of_a_container(corten, tmp_path):
    corten("cp", "box:/d", str(tmp_path))
    assert tree(tmp_path) == ["d", "d/a", "d/link", "d/sub", "d/sub/b"]
    assert (tmp_path / "d/a").read_text() == "one\n" and (tmp_path / "d/a").stat().st_mode & 0o777 == 0o600
    assert os.readlink(tmp_path / "d/link") == "a"
    corten("cp", "box:/d", f"{tmp_path}/new")
    corten("cp", "box:/d/.", f"{tmp_path}/content")
    assert tree(tmp_path / "new") == tree(tmp_path / "content") == ["a", "link", "sub", "sub/b"]
    corten("cp", "box:d/a", f"{tmp_path}/file")
    assert (tmp_path / "file").read_text() == "one\n"
    corten("cp", "-L", "box:/d/link", f"{tmp_path}/followed")
    corten("cp", "-L", "box:/d/link", str(tmp_path))
    assert (tmp_path / "followed").read_text() == (tmp_path / "link").read_text() == "one\n"
    assert not (tmp_path / "link").is_symlink()


def test_into_a_container(corten, tmp_path):
    source = tmp_path / "src"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "f").write_text("deep")
    (source / "top").write_text("top")
    corten("exec", "box", "mkdir", "-p", "/in")
    corten("cp", str(source), "box:/in")
    corten("cp", str(source), "box:/in/new")
    corten("cp", f"{source}/.", "box:/in/content")
    corten("cp", str(source / "top"), "box:/in/renamed")
    corten("cp", str(source / "top"), "box:/in/")
    found = corten("exec", "box", "sh", "-c", "cd /in; find . -type f | sort")
    assert found.split() == sorted(
        f"./{name}"
        for name in ("content/sub/f", "content/top", "new/sub/f", "new/top", "renamed", "src/sub/f", "src/top", "top")
    )


def test_streams(corten):
    data = corten_bytes(corten, "cp", "box:/d", "-")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames()[0].rstrip("/") == "d"
    corten("exec", "box", "mkdir", "-p", "/stream")
    corten("cp", "-", "box:/stream", stdin=data)
    assert corten("exec", "box", "cat", "/stream/d/sub/b") == "two"


def corten_bytes(corten, *argv):
    process = corten.spawn(*argv)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("box:/nowhere", "/tmp", "Could not find the file /nowhere in container box"),
        ("/no/such", "box:/", "lstat /no/such: no such file or directory"),
        ("/etc/hostname", "box:/nowhere/", "no such directory"),
        ("/etc", "box:/d/a", "cannot copy directory"),
        ("box:/d/a", "/nowhere/x", 'invalid output path: directory "/nowhere" does not exist'),
        ("-", "box:/d/a", 'destination "box:/d/a" must be a directory'),
        ("nobody:/x", "/tmp", "No such container: nobody"),
    ],
)
def test_what_cannot_be_copied(corten, source, target, message):
    assert message in corten.fails("cp", source, target, code=1, stdin=b"").err


def test_export_and_import(corten, tmp_path):
    path = str(tmp_path / "root.tar")
    corten("export", "-o", path, "box")
    with tarfile.open(path) as tar:
        assert "d/sub/b" in tar.getnames()
    identifier = corten("import", "-c", "CMD cat /d/a", "-m", "from a test", path, "copied:1")
    assert identifier.startswith("sha256:")
    assert corten("run", "--rm", "copied:1") == "one"
    assert "from a test" in corten("history", "copied:1")
    assert "Untagged: copied:1" in corten("rmi", "copied:1")


def test_save_and_load(corten, tmp_path):
    path = str(tmp_path / "image.tar")
    corten("tag", IMAGE, "saved:1")
    corten("save", "-o", path, "saved:1")
    corten("rmi", "saved:1")
    assert corten("load", "-i", path) == "Loaded image: saved:1"
    data = corten_bytes(corten, "save", "saved:1")
    corten("rmi", "saved:1")
    assert corten("load", "-q", stdin=data) == "Loaded image: saved:1"
    corten("rmi", "saved:1")
    assert corten.fails("save", "nobody", "-o", path, code=1).err


def test_commit(corten):
    identifier = corten("commit", "-c", "CMD cat /d/sub/b", "-m", "note", "-a", "me", "box", "made:1")
    assert identifier.startswith("sha256:")
    assert corten("run", "--rm", "made:1") == "two"
    corten("rmi", "made:1")
