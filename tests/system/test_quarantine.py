"""One damaged record never stops the daemon: it is set aside, what it stood for is kept, everything else works."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator

import pytest

from tests.support.busybox import IMAGE
from tests.support.daemon import Daemon
from tests.support.http import Api
from tests.support.stock import Docker


@contextlib.contextmanager
def stopped(daemon: Daemon) -> Iterator[sqlite3.Connection]:
    """The records, while the daemon is away; it is started again afterwards."""
    daemon.stop()
    connection = sqlite3.connect(f"{daemon.data_root}/state.db", isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()
        daemon.start()


def quarantined(daemon: Daemon) -> list[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(f"{daemon.data_root}/state.db")) as connection:
        return connection.execute("SELECT kind, key FROM quarantine ORDER BY id").fetchall()


@pytest.fixture
def forgotten(daemon: Daemon) -> Iterator[None]:
    """After the test the quarantine is empty, so that the next start sweeps what it kept."""
    yield
    with stopped(daemon) as records:
        records.execute("DELETE FROM quarantine")


def test_a_damaged_container_is_set_aside_and_runs_on(
    clean: Daemon, docker: Docker, api: Api, image: str, forgotten: None
) -> None:
    docker("run", "-d", "--name", "good", IMAGE, "sleep", "600")
    bad = docker("run", "-d", "--name", "bad", "-v", "/data", IMAGE, "sh", "-c", "echo mine > /file; sleep 600")
    pid = int(docker("inspect", "-f", "{{.State.Pid}}", "bad"))
    volume = docker("inspect", "-f", "{{(index .Mounts 0).Name}}", "bad")
    with stopped(clean) as records:
        (data,) = records.execute("SELECT data FROM containers WHERE id=?", (bad,)).fetchone()
        records.execute("UPDATE containers SET data=? WHERE id=?", (data[:-40], bad))
    assert docker("ps", "--format", "{{.Names}}") == "good"
    assert docker("exec", "good", "echo", "hi") == "hi"
    assert quarantined(clean) == [("container", bad)]
    assert "1 record is damaged and in quarantine" in docker.result("info").err
    assert os.path.exists(f"/proc/{pid}"), "a container whose record is damaged was ended"
    with open(f"{clean.data_root}/snapshots/active/{bad}/fs/file") as file:
        assert file.read() == "mine\n"
    assert os.path.isdir(f"{clean.data_root}/containers/{bad}")
    # what it may need stays, whoever cleans up
    docker("volume", "prune", "-f")
    docker("rm", "-f", "good")
    docker("image", "prune", "-af")
    assert volume in docker("volume", "ls", "-q")
    assert IMAGE in docker("images", "--format", "{{.Repository}}:{{.Tag}}")
    clean.restart()
    assert os.path.exists(f"/proc/{pid}")
    assert quarantined(clean) == [("container", bad)]


def test_damaged_records_of_every_other_kind(
    clean: Daemon, docker: Docker, api: Api, image: str, forgotten: None
) -> None:
    identity = docker("images", "-q", "--no-trunc", IMAGE)
    docker("volume", "create", "good")
    docker("volume", "create", "bad")
    with open(f"{clean.data_root}/volumes/bad/_data/file", "w") as file:
        file.write("kept")
    docker("tag", IMAGE, "other:1")
    with stopped(clean) as records:
        records.execute("UPDATE images SET document=? WHERE digest=?", (b"{garbage", identity))
        records.execute("UPDATE volumes SET options='{' WHERE name='bad'")
        records.execute("UPDATE networks SET body=x'00ff' WHERE name='host'")
        records.execute("UPDATE image_names SET name='///' WHERE name LIKE '%other:1'")
    found = dict(quarantined(clean))
    assert found.keys() == {"volume", "network", "image name"}, "an image's record is made anew from its documents"
    assert docker("run", "--rm", IMAGE, "echo", "works") == "works"
    assert docker("run", "--rm", "--network", "host", IMAGE, "echo", "works") == "works"
    assert {"good", "bad"} & set(docker("volume", "ls", "-q").split()) == {"good"}
    with open(f"{clean.data_root}/volumes/bad/_data/file") as file:
        assert file.read() == "kept"
    docker("volume", "create", "bad")  # whoever knows its options may take it up again
    assert "volume" not in dict(quarantined(clean))
    docker("volume", "rm", "good", "bad")


def test_while_an_image_is_unknown_no_content_goes(clean: Daemon, docker: Docker, image: str, forgotten: None) -> None:
    identity = docker("images", "-q", "--no-trunc", IMAGE)
    blobs, layers = f"{clean.data_root}/content/blobs/sha256", f"{clean.data_root}/snapshots/layers"
    target = f"{blobs}/{identity.removeprefix('sha256:')}"
    with open(target, "rb") as file:
        manifest = file.read()
    before = set(os.listdir(blobs)), set(os.listdir(layers))
    with stopped(clean) as records:
        records.execute("UPDATE images SET document=x'00' WHERE digest=?", (identity,))
        os.truncate(target, 10)
    assert quarantined(clean) == [("image", identity)]
    assert docker("images", "-q") == ""
    docker("image", "prune", "-af")
    assert (set(os.listdir(blobs)), set(os.listdir(layers))) == before
    with open(target, "wb") as file:
        file.write(manifest)
    clean.restart()
    assert quarantined(clean) == []
    assert docker("run", "--rm", IMAGE, "echo", "works") == "works"


def test_a_damaged_file_names_itself_and_the_cure(tmp_path, clean: Daemon, docker: Docker) -> None:
    clean.stop()
    path = f"{clean.data_root}/state.db"
    with open(path, "r+b") as file:
        good = file.read()
        file.seek(0)
        file.write(b"\0" * 100)
    try:
        with pytest.raises(RuntimeError, match=r"state\.db is damaged .*corten fsck --repair"):
            clean.start()
    finally:
        with open(path, "wb") as file:
            file.write(good)
        clean.start()
