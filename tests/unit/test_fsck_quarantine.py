"""Damaged rows: moved aside with the reason, in one transaction; with a dry check only noted."""

import msgspec
import pytest

from corten.engine.imageindex import ImageIndex
from corten.engine.shelf import Shelf
from corten.model.record import Record
from corten.network.store import NetworkStore
from corten.store import quarantine
from corten.store.database import Database
from corten.volume.table import VolumeTable

GOOD, BAD = "a" * 64, "b" * 64


@pytest.fixture
def path(tmp_path):
    found = str(tmp_path / "state.db")
    database = Database(found)
    shelf = Shelf(database)
    shelf.write(Record(id=GOOD, name="good", created=1))
    shelf.write(Record(id=BAD, name="bad", created=1, image="sha256:" + "1" * 64))
    for component in (VolumeTable, NetworkStore, ImageIndex):
        component(database)
    data = database.reader().execute("SELECT data FROM containers WHERE id=?", (BAD,)).fetchone()[0]
    database.write(lambda c: c.execute("UPDATE containers SET data=? WHERE id=?", (b"\xc1" + data[1:], BAD)) and None)
    database.close()
    return found


def loaded(path, *, dry=False):
    database = Database(path, dry=dry)
    shelf = Shelf(database)
    kept = shelf.load()
    return database, [container.id for container in shelf], kept


def test_a_damaged_row_is_moved_once(path):
    for fresh in (1, 0):
        database, ids, kept = loaded(path)
        try:
            assert (ids, kept) == ([GOOD], [BAD])
            (entry,) = database.quarantine.entries()
            assert (entry.kind, entry.key, entry.origin) == ("container", BAD, "containers")
            assert msgspec.msgpack.decode(entry.row)["id"] == BAD
            assert len(database.quarantine.new()) == fresh
            assert database.reader().execute("SELECT count(*) FROM containers").fetchone() == (1,)
            assert database.quarantine.mentioning("sha256:" + "1" * 64) == [BAD]
            assert database.quarantine.mentioning("sha256:" + "2" * 64) == []
        finally:
            database.close()


def test_a_dry_check_moves_nothing(path):
    database, ids, kept = loaded(path, dry=True)
    assert (ids, kept) == ([GOOD], [BAD])
    assert len(database.quarantine.new()) == 1
    database.close()
    database, _, _ = loaded(path)
    assert len(database.quarantine.new()) == 1, "it was still in its table"
    database.close()


@pytest.mark.parametrize(
    ("kind", "statement", "load"),
    [
        ("volume", "INSERT INTO volumes VALUES ('name', 1, NULL, '{')", lambda db: VolumeTable(db).rows()),
        ("volume", "INSERT INTO volumes VALUES ('../../etc', 1, NULL, NULL)", lambda db: VolumeTable(db).rows()),
        ("volume", "INSERT INTO volumes VALUES ('name', 'then', NULL, NULL)", lambda db: VolumeTable(db).rows()),
        ("network", "INSERT INTO networks VALUES ('id', 'name', 'x')", lambda db: NetworkStore(db).all()),
        ("image", "INSERT INTO images VALUES ('sha256:12', '{}')", lambda db: ImageIndex(db).images()),
        ("image name", "INSERT INTO image_names VALUES ('//', 'x', 1)", lambda db: ImageIndex(db).images()),
        ("image name", "INSERT INTO image_names VALUES ('a:1', x'00', 1)", lambda db: ImageIndex(db).images()),
    ],
)  # fmt: skip
def test_every_kind_of_record(path, kind, statement, load):
    database = Database(path)
    try:
        database.write(lambda connection: connection.execute(statement) and None)
        assert load(database) == []
        assert [entry.kind for entry in database.quarantine.entries()] == [kind]
    finally:
        database.close()


def test_what_is_unknown_holds_content(path):
    database, _, _ = loaded(path)
    try:
        found = database.quarantine
        assert not found.holds_content, "the container's row names what it needs"
        no, yes = (quarantine.VOLUME, quarantine.NETWORK), (quarantine.IMAGE, quarantine.LAYER, quarantine.SNAPSHOT)
        for kind in (*no, *yes, quarantine.CONTAINER):
            holds = kind not in no
            found.note(kind, "key", "lost")
            assert found.holds_content == holds, kind
            assert found.discard(kind, "key") == 1
        assert found.discard(kind, "key") == 0
        assert found.warnings() == ["WARNING: 1 record is damaged and in quarantine; see `corten fsck`"]
    finally:
        database.close()
