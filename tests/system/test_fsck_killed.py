"""kill -9 in the midst of a repair or a collection: asked for again, it ends well, and nothing more is lost."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest

from tests.support.busybox import IMAGE
from tests.support.daemon import KIND, REPOSITORY
from tests.support.faulty import FaultyDaemon

FEW = 3
"""A normal run takes so many steps of each."""

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="a daemon needs root"),
    pytest.mark.skipif(KIND != "cortend", reason="only cortend has fault points"),
]


@pytest.fixture(scope="module")
def daemon(rootfs_tar: bytes) -> Iterator[FaultyDaemon]:
    """With an image, a container that wrote something, and a volume with data."""
    running = FaultyDaemon()
    try:
        running.start()
        load(running, rootfs_tar)
        made = running.api("POST", "/containers/create", {"Image": IMAGE, "Cmd": ["true"]}, query={"name": "worker"})
        assert made.status == 201, made.body
        running.api("POST", "/volumes/create", {"Name": "kept"})
        yield running
    finally:
        running.disarm()
        if running.process is not None and running.process.poll() is not None:
            running.start()
        leaks = running.close()
    assert not leaks, f"left on the host: {leaks}"


def load(daemon: FaultyDaemon, rootfs_tar: bytes) -> None:
    query = {"fromSrc": "-", "repo": "busybox", "tag": "latest", "changes": "CMD sh"}
    answer = daemon.api("POST", "/images/create", rootfs_tar, query=query)
    assert answer.status == 200, answer.body


def fsck(daemon: FaultyDaemon, root: str) -> int:
    """``cortend fsck --repair`` on *root*; its exit code."""
    words = [sys.executable, "-m", "corten.daemon.main", "fsck", "--repair", "--data-root", root]
    words += ["--exec-root", daemon.exec_root, "--config-file", daemon.config_file]
    environment = dict(os.environ, PYTHONPATH=REPOSITORY, **daemon.environment())
    return subprocess.run(words, env=environment, stdout=subprocess.DEVNULL, timeout=120, check=False).returncode


def layers(root: str) -> list[str]:
    names = [name for name in os.listdir(f"{root}/snapshots/layers") if not name.startswith("new-")]
    return [f"{root}/snapshots/layers/{name}" for name in names]


def copy(source: str, target: str) -> None:
    subprocess.run(["cp", "-a", source, target], check=True)


def choose(steps: list[str]) -> list[tuple[str, int]]:
    """(step, at its how-many-th time): a normal run takes some, the repair's own first; a long one takes all."""
    found = [(step, steps[: number + 1].count(step)) for number, step in enumerate(steps)]
    if os.environ.get("CORTEN_FAULTS_ALL"):
        return found
    return sorted((each for each in found if each[1] == 1), key=lambda each: not each[0].startswith("fsck."))[:FEW]


def spoil_layer(root: str) -> None:
    os.unlink(f"{layers(root)[0]}/bin/busybox")


def spoil_database(root: str) -> None:
    """Its last page: some records are lost, most are not."""
    path = f"{root}/state.db"
    connection = sqlite3.connect(path)
    rows = [(f"w{number:04}" + "x" * 60,) for number in range(600)]
    connection.executemany("INSERT INTO volumes VALUES (?, 1, NULL, NULL)", rows)
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with open(path, "r+b") as file:
        place = file.read().index(b"w0300") // 4096
        file.seek(place * 4096)
        file.write(b"\xff" * 4096)


def spoil_blob(root: str) -> None:
    directory = f"{root}/content/blobs/sha256"
    largest = max(os.listdir(directory), key=lambda name: os.stat(f"{directory}/{name}").st_size)
    with open(f"{directory}/{largest}", "r+b") as file:
        file.write(b"\xff")


def containers(root: str) -> set[str]:
    with sqlite3.connect(f"{root}/state.db") as connection:
        found = {row[0] for row in connection.execute("SELECT id FROM containers")}
    connection.close()
    return found


@pytest.mark.parametrize("spoil", [spoil_layer, spoil_database, spoil_blob])
def test_a_repair_that_dies_anywhere_is_done_by_the_next(daemon: FaultyDaemon, spoil) -> None:
    daemon.stop()
    base = tempfile.mkdtemp(prefix="stores-", dir=daemon.base)
    try:
        spoiled = f"{base}/spoiled"
        copy(daemon.data_root, spoiled)
        wanted = containers(spoiled)
        spoil(spoiled)
        copy(spoiled, f"{base}/first")
        daemon.forget_trace()
        assert fsck(daemon, f"{base}/first") == 0
        steps = daemon.trace()
        assert steps, "a repair without a step proves nothing"
        for step, count in choose(steps):
            root = f"{base}/{step}-{count}"
            copy(spoiled, root)
            daemon.arm(step, "kill", count)
            assert fsck(daemon, root) == -9, (step, count)
            daemon.disarm()
            assert fsck(daemon, root) == 0, (step, count)
            assert containers(root) == wanted, (step, count)
            assert os.path.exists(f"{layers(root)[0]}/bin/busybox"), (step, count)
            shutil.rmtree(root)
    finally:
        daemon.disarm()
        shutil.rmtree(base)
        daemon.start()


def test_a_collection_that_dies_anywhere_leaves_no_image_in_pieces(daemon: FaultyDaemon, rootfs_tar: bytes) -> None:
    assert daemon.api("DELETE", "/containers/worker", query={"force": 1}).status == 204
    query = {"tagged": 1, "keep-storage": "1"}
    daemon.forget_trace()
    assert daemon.call("POST", "/corten/gc", query=query) is not None
    steps = daemon.trace()
    assert "gc.image-forgotten" in steps
    assert "blob.removed" in steps
    for step, count in choose(steps):
        load(daemon, rootfs_tar)
        daemon.arm(step, "kill", count)
        daemon.call("POST", "/corten/gc", query=query)
        died = daemon.dies(5)
        daemon.disarm()
        if died:
            daemon.start()
        for image in daemon.api("GET", "/images/json").json():
            made = daemon.api("POST", "/containers/create", {"Image": image["Id"], "Cmd": ["true"]})
            assert made.status == 201, (step, made.body)
            assert daemon.api("POST", f"/containers/{made.json()['Id']}/start").status == 204
            assert daemon.api("POST", f"/containers/{made.json()['Id']}/wait").json()["StatusCode"] == 0
            daemon.api("DELETE", f"/containers/{made.json()['Id']}", query={"force": 1})
        summary = list(daemon.api.lines("/corten/fsck", method="POST"))[-1]
        assert summary["Summary"]["Problems"] == 0, (step, summary)
        assert daemon.call("POST", "/corten/gc", query=query).status == 200
        assert os.listdir(f"{daemon.data_root}/content/blobs/sha256") == [], step
