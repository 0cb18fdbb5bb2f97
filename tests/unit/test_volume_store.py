"""Volume records: create, list, remove, prune, restart."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from corten import errors
from corten.store.database import Database
from corten.volume.store import Volumes


@pytest.fixture
def volumes(tmp_path):
    db = Database(str(tmp_path / "state.db"))
    yield Volumes(str(tmp_path), db, str(tmp_path / "run"))
    db.close()


def names(found):
    return [volume.name for volume in found]


def test_create_again_returns_the_first(volumes):
    first, new = volumes.create("data", labels={"a": "1"})
    again, newer = volumes.create("data", labels={"a": "2"})
    assert new and not newer and again == first
    assert first.labels == {"a": "1"} and first.scope == "local" and first.mountpoint.endswith("/volumes/data/_data")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"odd": "1"}, 'create data: invalid option: "odd"'),
        ({"type": "nfs"}, 'create data: missing required option: "device"'),
        ({"o": "bind", "device": "/x"}, 'create data: missing required option: "type"'),
        ({"size": "1m"}, "create data: quota size requested but no quota support"),
    ],
)
def test_options_refused(volumes, options, text):
    with pytest.raises(errors.InvalidArgument) as caught:
        volumes.create("data", options=options)
    assert str(caught.value) == text and volumes.list() == []


def test_unknown_driver(volumes):
    with pytest.raises(errors.NotFound, match='plugin "rexray" not found'):
        volumes.create("data", "rexray")


def test_remove(volumes):
    volume, _ = volumes.create("data")
    volumes.users = lambda _: ["c1", "c2"]
    with pytest.raises(errors.Conflict) as caught:
        volumes.remove("data", force=True)
    assert str(caught.value) == "remove data: volume is in use - [c1, c2]"
    volumes.users = lambda _: []
    assert volumes.remove("data") and not os.path.exists(volume.mountpoint)
    assert os.listdir(volumes.driver.directory) == []
    with pytest.raises(errors.NotFound) as missing:
        volumes.remove("data")
    assert str(missing.value) == "get data: no such volume"
    assert not volumes.remove("data", force=True)


def test_list_filters(volumes):
    volumes.create("one", labels={"a": "1", "b": ""})
    volumes.create("two", labels={"a": "2"})
    volumes.users = lambda name: ["c"] if name == "two" else []
    assert names(volumes.list()) == ["one", "two"]
    assert names(volumes.list({"dangling": ["true"]})) == ["one"]
    assert names(volumes.list({"dangling": ["0"]})) == ["two"]
    assert names(volumes.list({"label": ["a"]})) == ["one", "two"]
    assert names(volumes.list({"label": ["a=1", "b"]})) == ["one"]
    assert names(volumes.list({"name": ["w"]})) == ["two"]
    assert names(volumes.list({"driver": ["other"]})) == []
    with pytest.raises(errors.InvalidArgument, match="invalid filter 'odd'"):
        volumes.list({"odd": ["x"]})
    with pytest.raises(errors.InvalidArgument, match="dangling"):
        volumes.list({"dangling": ["maybe"]})


def test_prune(volumes):
    anonymous, _ = volumes.create()
    volumes.create("named", labels={"keep": ""})
    volumes.create("mounted", options={"type": "tmpfs", "device": "tmpfs"})
    with open(f"{anonymous.mountpoint}/file", "wb") as file:
        file.write(b"x" * 1000)
    os.link(f"{anonymous.mountpoint}/file", f"{anonymous.mountpoint}/again")
    assert volumes.usage(anonymous.name).size == 1000
    assert volumes.prune() == ([anonymous.name], 1000)
    assert volumes.prune({"all": ["true"], "label!": ["keep"]}) == ([], 0)
    assert volumes.prune({"all": ["1"], "label": ["keep"]}) == (["named"], 0)
    assert names(volumes.list()) == ["mounted"]


def test_restart_finds_records_and_data(tmp_path):
    db = Database(str(tmp_path / "state.db"))
    first = Volumes(str(tmp_path), db)
    first.create("data", labels={}, options={"type": "tmpfs", "device": "x"})
    db.close()
    os.makedirs(tmp_path / "volumes/unknown/_data/kept")
    os.makedirs(tmp_path / "volumes/.removed-1/_data")
    db = Database(str(tmp_path / "state.db"))
    second = Volumes(str(tmp_path), db)
    assert names(second.list()) == ["data", "unknown"]
    assert second.get("data") == first.get("data")
    assert not os.path.exists(tmp_path / "volumes/.removed-1")
    db.close()


def test_made_anew_while_it_is_removed(volumes):
    """The removal deletes the data after the record; by then the name may be another volume's."""
    volumes.create("data")
    between, go_on = threading.Event(), threading.Event()
    remove = volumes.driver.remove

    def slowly(name):
        between.set()
        go_on.wait(10)
        remove(name)

    volumes.driver.remove = slowly
    with ThreadPoolExecutor(2) as pool:
        removal = pool.submit(volumes.remove, "data")
        assert between.wait(10)
        making = pool.submit(volumes.create, "data")
        wait([making], timeout=0.2)
        go_on.set()
        assert removal.result(10)
        volume, new = making.result(10)
    assert new
    assert os.path.isdir(volume.mountpoint)
    assert [row[0] for row in volumes._table.rows()] == ["data"]


def test_a_half_made_volume_is_gone_at_the_next_start_but_data_is_kept(tmp_path):
    db = Database(str(tmp_path / "state.db"))
    try:
        driver = Volumes(str(tmp_path), db).driver
        for name in ("half", "full"):
            driver.create(name)
        with open(f"{driver.mountpoint('full')}/file", "w") as file:
            file.write("kept")
        assert names(Volumes(str(tmp_path), db).list()) == ["full"]
        assert os.listdir(driver.directory) == ["full"]
    finally:
        db.close()
