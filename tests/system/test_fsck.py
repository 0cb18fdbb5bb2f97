"""``corten fsck`` on a store that was damaged on purpose: what it reports, repairs, and leaves alone."""

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator

import pytest

from tests.support.cortencli import Corten
from tests.support.daemon import Daemon
from tests.support.http import Api
from tests.support.layers import archive, busybox_layer, config_for, docker_archive, member, sha256
from tests.support.registry import MISSING as REGISTRY_MISSING
from tests.support.registry import Registry
from tests.support.stock import Docker

TOP = archive(member("top/file", b"top" * 1000), member("top/other", b"other"))
TWO = "two:1"


@pytest.fixture(scope="module")
def corten(daemon: Daemon) -> Iterator[Corten]:
    cli = Corten(daemon.url)
    yield cli
    cli.close()


@pytest.fixture
def store(clean: Daemon, docker: Docker, corten: Corten) -> Iterator["Store"]:
    """An image of two layers, a container that wrote something, a volume with data; whole before and after."""
    layers = [busybox_layer(), TOP]
    docker("load", stdin=docker_archive(layers, [TWO], config_for(layers)))
    docker("volume", "create", "kept")
    docker("run", "--name", "worker", "-v", "kept:/data", TWO, "sh", "-c", "echo mine > /file; echo data > /data/file")
    made = Store(clean, docker, corten, [f"sha256:{sha256(layer)}" for layer in layers])
    assert made.check() == []
    yield made
    if clean.process is not None and clean.process.poll() is not None:
        clean.start()
    docker("rm", "-f", "worker")
    docker("volume", "rm", "-f", "kept")
    docker("rmi", "-f", TWO)


class Store:
    def __init__(self, daemon: Daemon, docker: Docker, corten: Corten, diff_ids: list[str]) -> None:
        self.daemon, self.docker, self.corten = daemon, docker, corten
        self.root = daemon.data_root
        self.low, top = diff_ids
        self.top_blob = top
        self.top = f"sha256:{sha256(f'{self.low} {top}'.encode())}"
        self.worker = docker("inspect", "-f", "{{.Id}}", "worker")
        self.image = docker("images", "-q", "--no-trunc", TWO)

    def layer(self, chain_id: str) -> str:
        return f"{self.root}/snapshots/layers/{chain_id[7:]}"

    def blob(self, digest: str) -> str:
        return f"{self.root}/content/blobs/sha256/{digest[7:]}"

    @contextlib.contextmanager
    def records(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(f"{self.root}/state.db", isolation_level=None)) as connection:
            yield connection

    def check(self, *options: str, code: int = 0) -> list[dict[str, str]]:
        """What the running daemon's check finds."""
        return self._run("fsck", "--format", "json", *options, code=code)

    def offline(self, *options: str, code: int = 0) -> list[dict[str, str]]:
        """What a check without a daemon finds."""
        place = [f"--data-root={self.root}", f"--exec-root={self.daemon.exec_root}"]
        place.append(f"--config-file={self.daemon.config_file}")
        return self._run("fsck", "--format", "json", *place, *options, code=code)

    def _run(self, *words: str, code: int) -> list[dict[str, str]]:
        done = self.corten.result(*words)
        assert done.code == code, (done.code, done.out, done.err)
        return json.loads(done.out)["Findings"]

    def works(self) -> None:
        """The image runs, the container's own file and the volume's are there."""
        assert self.docker("run", "--rm", TWO, "busybox", "cat", "/top/other") == "other"
        self.docker("cp", "worker:/file", f"{self.daemon.base}/copy")
        with open(f"{self.daemon.base}/copy") as file:
            assert file.read() == "mine\n"
        assert self.docker("run", "--rm", "-v", "kept:/data", TWO, "busybox", "cat", "/data/file") == "data"


def seen(found: list[dict[str, str]]) -> list[tuple[str, str, str]]:
    return [(item["Kind"], item["ID"], item["State"]) for item in found if item["State"] != "note"]


def flip(path: str) -> None:
    with open(path, "r+b") as file:
        file.seek(700)
        byte = file.read(1)
        file.seek(700)
        file.write(bytes([byte[0] ^ 1]))


def test_a_whole_store_is_in_order(store: Store) -> None:
    assert "Everything is in order." in store.corten("fsck", "--deep")
    store.daemon.stop()
    assert store.offline("--deep") == []


@pytest.mark.parametrize("online", [True, False])
def test_a_flipped_bit_in_a_blob(store: Store, online: bool) -> None:
    flip(store.blob(store.top_blob))
    if not online:
        store.daemon.stop()
    check = store.check if online else store.offline
    found = check(code=1)
    assert seen(found) == [("blob", store.top_blob, "problem")]
    assert "goes on working" in found[0]["Action"]
    assert check("--quick") == []
    assert seen(check("--repair")) == [("blob", store.top_blob, "repaired")]
    assert not os.path.exists(store.blob(store.top_blob))
    assert os.listdir(f"{store.root}/quarantine/blobs")[0].startswith(store.top_blob[7:])
    (note,) = check()
    assert (note["Kind"], note["ID"], note["State"]) == ("image", store.image, "note")
    if not online:
        store.daemon.start()
    store.works()
    shutil.rmtree(f"{store.root}/quarantine")


def _truncate(path: str) -> None:
    os.truncate(f"{path}/top/file", 100)


def _change(path: str) -> None:
    os.chmod(f"{path}/top/file", 0o777)


def _remove(path: str) -> None:
    os.unlink(f"{path}/top/other")


def _add(path: str) -> None:
    open(f"{path}/stranger", "w").close()


DAMAGES = (_truncate, _change, _remove, _add, shutil.rmtree)


def test_a_damaged_layer_is_unpacked_anew(store: Store) -> None:
    for damage in DAMAGES:
        damage(store.layer(store.top))
        assert seen(store.check(code=1)) == [("layer", store.top, "problem")], damage
        assert seen(store.check("--repair")) == [("layer", store.top, "repaired")], damage
    assert store.check("--deep") == []
    store.works()
    store.daemon.stop()
    _truncate(store.layer(store.top))
    assert seen(store.offline(code=1)) == [("layer", store.top, "problem")]
    assert seen(store.offline("--repair")) == [("layer", store.top, "repaired")]
    assert store.offline("--deep") == []
    store.daemon.start()
    store.works()


def test_what_no_sum_shows_a_deep_check_finds(store: Store) -> None:
    path = f"{store.layer(store.top)}/top/file"
    times = os.stat(path)
    flip(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert store.check() == []
    assert seen(store.check("--deep", code=1)) == [("layer", store.top, "problem")]
    assert seen(store.check("--deep", "--repair")) == [("layer", store.top, "repaired")]
    assert store.check("--deep") == []
    store.works()


def test_a_layer_in_use_is_not_replaced(store: Store) -> None:
    store.docker("run", "-d", "--name", "runs", TWO, "busybox", "sleep", "600")
    os.unlink(f"{store.layer(store.top)}/top/other")
    found = store.check("--repair", code=1)
    assert seen(found) == [("layer", store.top, "failed")]
    assert "stop them first" in found[0]["Action"]
    store.docker("rm", "-f", "runs")
    assert seen(store.check("--repair")) == [("layer", store.top, "repaired")]
    store.works()


def test_blob_and_layer_both_damaged_is_left_to_the_user(store: Store) -> None:
    os.unlink(f"{store.layer(store.top)}/top/other")
    flip(store.blob(store.top_blob))
    found = seen(store.check("--repair", code=1))
    assert ("layer", store.top, "failed") in found
    assert ("blob", store.top_blob, "repaired") in found
    layers = [busybox_layer(), TOP]
    store.docker("load", stdin=docker_archive(layers, [TWO], config_for(layers)))
    assert seen(store.check("--repair")) == [("layer", store.top, "repaired")]
    store.works()
    shutil.rmtree(f"{store.root}/quarantine")


def test_lost_rows(store: Store) -> None:
    store.daemon.stop()
    with store.records() as records:
        records.execute("DELETE FROM layers WHERE chain_id=?", (store.top,))
        records.execute("DELETE FROM snapshots WHERE key=?", (store.worker,))
        records.execute("DELETE FROM volumes WHERE name='kept'")
    wanted = {("layer", store.top), ("snapshot", store.worker), ("volume", "kept"), ("container", store.worker)}
    assert {item[:2] for item in seen(store.offline(code=1))} == wanted
    store.offline("--repair", code=1)  # the container came before its volume
    assert store.offline() == []
    store.daemon.start()
    store.works()


def test_the_start_sweeps_nothing_that_a_lost_row_hides(store: Store) -> None:
    store.daemon.stop()
    with store.records() as records:
        records.execute("DELETE FROM layers WHERE chain_id=?", (store.top,))
        records.execute("DELETE FROM snapshots WHERE key=?", (store.worker,))
    store.daemon.start()
    assert {item[:2] for item in seen(store.check(code=1))} == {("layer", store.top), ("snapshot", store.worker)}
    assert {item[2] for item in seen(store.check("--repair"))} == {"repaired"}
    store.works()


def test_orphans_go(store: Store) -> None:
    store.daemon.stop()
    orphan = "f" * 64
    os.makedirs(f"{store.root}/snapshots/active/{orphan}/fs")
    os.makedirs(f"{store.root}/containers/{orphan}")
    os.makedirs(store.layer(f"sha256:{orphan}"))
    expected = {("snapshot", orphan), ("container", orphan), ("layer", f"sha256:{orphan}")}
    assert {item[:2] for item in seen(store.offline(code=1))} == expected
    assert {item[2] for item in seen(store.offline("--repair"))} == {"repaired"}
    assert store.offline() == []
    assert not os.path.exists(f"{store.root}/snapshots/active/{orphan}")


def test_garbage_in_records(store: Store) -> None:
    store.daemon.stop()
    with store.records() as records:
        records.execute("UPDATE containers SET data=x'c1' WHERE id=?", (store.worker,))
        records.execute("UPDATE images SET document='{' WHERE digest=?", (store.image,))
    before = _files(store.root)
    wanted = {("container", store.worker, "problem"), ("image", store.image, "problem")}
    assert set(seen(store.offline(code=1))) == wanted
    assert _files(store.root) == before, "a check without --repair changed something"
    assert {item[2] for item in seen(store.offline("--repair"))} == {"repaired"}
    (note,) = store.offline()
    assert (note["Kind"], note["ID"], note["State"]) == ("container", store.worker, "note")
    store.daemon.start()
    assert store.docker("run", "--rm", TWO, "busybox", "cat", "/top/other") == "other"
    with open(f"{store.root}/snapshots/active/{store.worker}/fs/file") as file:
        assert file.read() == "mine\n"
    assert seen(store.check("--discard", f"container:{store.worker}")) == [("container", store.worker, "repaired")]
    store.daemon.restart()
    assert not os.path.exists(f"{store.root}/snapshots/active/{store.worker}")


def _files(root: str) -> dict[str, int]:
    return {
        os.path.join(base, name): os.stat(os.path.join(base, name), follow_symlinks=False).st_mtime_ns
        for base, _, names in os.walk(root)
        for name in names
        if not name.startswith("state.db") and name != "oci-layout"
    }


def test_a_record_damaged_under_a_running_daemon(store: Store) -> None:
    with store.records() as records:
        records.execute("UPDATE containers SET data=x'c1' WHERE id=?", (store.worker,))
        records.execute("UPDATE images SET document='{' WHERE digest=?", (store.image,))
    wanted = {("container", store.worker), ("image", store.image)}
    assert {item[:2] for item in seen(store.check(code=1))} == wanted
    assert {item[2] for item in seen(store.check("--repair"))} == {"repaired"}
    store.daemon.restart()
    assert store.check() == []
    store.works()


def test_state_db_is_gone(store: Store) -> None:
    store.daemon.stop()
    os.unlink(f"{store.root}/state.db")
    with pytest.raises(RuntimeError, match=r"state\.db is missing.*corten fsck --repair"):
        store.daemon.start()
    assert [item[0] for item in seen(store.offline(code=1))] == ["database"]
    assert not os.path.exists(f"{store.root}/state.db")
    store.offline("--repair")
    store.daemon.start()
    assert store.image in store.docker("images", "-aq", "--no-trunc")
    assert store.corten("system", "gc", "--max-age", "0.001s") != ""
    store.docker("tag", store.image, TWO)
    assert store.docker("run", "--rm", TWO, "busybox", "cat", "/top/other") == "other"
    assert store.docker("run", "--rm", "-v", "kept:/data", TWO, "busybox", "cat", "/data/file") == "data"
    with open(f"{store.root}/snapshots/active/{store.worker}/fs/file") as file:
        assert file.read() == "mine\n"
    assert {(item["Kind"], item["ID"]) for item in store.check()} >= {("container", store.worker)}
    store.check("--discard", f"container:{store.worker}", "--discard", "lease:salvaged")
    store.daemon.restart()  # which sweeps what was kept for it
    assert not os.path.exists(f"{store.root}/snapshots/active/{store.worker}")


def test_a_damaged_page_costs_what_is_on_it(store: Store) -> None:
    for number in range(300):
        store.docker("volume", "create", f"v{number:03}") if number < 3 else None
    store.daemon.stop()
    path = f"{store.root}/state.db"
    with store.records() as records:
        records.executemany(
            "INSERT INTO volumes VALUES (?, 1, NULL, NULL)", [(f"w{n:04}" + "x" * 60,) for n in range(600)]
        )
        records.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = records.execute("SELECT rootpage FROM sqlite_master WHERE name='volumes'").fetchone()
        (size,) = records.execute("PRAGMA page_size").fetchone()
        before = {name for (name,) in records.execute("SELECT name FROM volumes")}
    with open(path, "r+b") as file:
        data = file.read()
        place = data.index(b"w0300") // size
        assert place + 1 != root
        file.seek(place * size)
        file.write(os.urandom(size))
    with pytest.raises(RuntimeError, match=r"state\.db is damaged .*corten fsck --repair"):
        store.daemon.start()
    assert [item[0] for item in seen(store.offline(code=1))] == ["database"]
    store.offline("--repair", code=0)
    with store.records() as records:
        after = {name for (name,) in records.execute("SELECT name FROM volumes")}
        assert records.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        records.execute("DELETE FROM volumes WHERE name LIKE 'w%'")
    assert len(before - after) < 100
    assert {"w0000" + "x" * 60, "w0599" + "x" * 60, "kept"} <= after
    for name in os.listdir(f"{store.root}/volumes"):
        if name.startswith("w"):
            shutil.rmtree(f"{store.root}/volumes/{name}")
    store.daemon.start()
    store.works()
    shutil.rmtree(f"{store.root}/quarantine")


def test_who_has_no_business_here(store: Store) -> None:
    done = store.corten.result("fsck", f"--data-root={store.root}")
    assert done.code == 2
    assert "is used by another cortend" in done.err
    assert store.corten.result("fsck", "--discard", "nonsense").code == 2
    done = store.corten.result("fsck", f"--data-root={store.root}/nowhere")
    assert (done.code, "there is no data root" in done.err) == (2, True)
    assert not os.path.exists(f"{store.root}/nowhere")
    assert seen(store.check("--discard", "container:unknown", code=1)) == [("container", "unknown", "failed")]


def test_the_api_streams_findings(store: Store, api: Api) -> None:
    flip(store.blob(store.top_blob))
    records = list(api.lines("/corten/fsck", method="POST"))
    assert [next(iter(record)) for record in records if "Progress" not in record] == ["Finding", "Summary"]
    assert records[-1]["Summary"] == {"Problems": 1, "Repaired": 0, "Failed": 0, "Notes": 0}
    flip(store.blob(store.top_blob))


@pytest.mark.skipif(REGISTRY_MISSING is not None, reason=str(REGISTRY_MISSING))
def test_a_blob_that_was_given_up_comes_from_its_registry(store: Store) -> None:
    with Registry() as registry:
        name = f"{registry.host}/two:1"
        store.docker("tag", TWO, name)
        store.docker("push", name)
        os.unlink(store.blob(store.top_blob))
        assert store.check() == [], "the registry has it"
        os.unlink(f"{store.layer(store.top)}/top/other")
        assert seen(store.check("--repair")) == [("layer", store.top, "repaired")]
        store.works()
        store.docker("rmi", name)
