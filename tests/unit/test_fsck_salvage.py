"""A damaged state database: what can be read comes into a new one, the old one is kept as it was."""

import contextlib
import os
import sqlite3

import pytest

from corten import errors
from corten.engine.fsck import salvage
from corten.engine.paths import Paths
from corten.store.database import Database


@pytest.fixture
def paths(tmp_path):
    made = Paths(str(tmp_path / "data"), str(tmp_path / "exec"))
    made.make()
    database = Database(made.database)
    database.migrate("things", ["CREATE TABLE things (name TEXT PRIMARY KEY, size INTEGER) WITHOUT ROWID"])
    rows = [(f"{number:05}" + "x" * 80, number) for number in range(2000)]
    database.write(lambda c: c.executemany("INSERT INTO things VALUES (?, ?)", rows) and None)
    database.close()
    return made


def names(paths):
    with contextlib.closing(sqlite3.connect(paths.database)) as connection:
        return {int(name[:5]) for (name,) in connection.execute("SELECT name FROM things")}


def spoil(paths, what):
    with open(paths.database, "r+b") as file:
        data = file.read()
        page = data.index(what) // 4096
        file.seek(page * 4096)
        file.write(b"\xff" * 4096)
    with open(paths.database, "rb") as file:
        return file.read()


def test_the_state_of_a_file(paths):
    assert salvage.state_of(paths.database) == ""
    spoil(paths, b"01000xx")
    assert salvage.state_of(paths.database).startswith("is damaged: ")
    os.unlink(paths.database)
    assert salvage.state_of(paths.database) == "is missing"
    assert not os.path.exists(paths.database), "looking made the file"


def test_rows_on_both_sides_of_a_damaged_page_are_saved(paths):
    spoiled = spoil(paths, b"01000xx")
    with pytest.raises(errors.DataLoss, match="corten fsck --repair"):
        Database(paths.database)
    old, rows = salvage.renew(paths)
    with open(old, "rb") as file:
        assert file.read() == spoiled, "the old file was changed"
    assert salvage.state_of(paths.database) == ""
    saved = names(paths)
    assert {0, 500, 1500, 1999} <= saved
    assert 1900 < len(saved) < 2000
    assert rows >= len(saved)
    database = Database(paths.database)
    database.migrate("things", ["CREATE TABLE things (name TEXT PRIMARY KEY, size INTEGER) WITHOUT ROWID"])
    database.close()


def test_a_file_that_tells_nothing_gives_an_empty_database(paths):
    with open(paths.database, "r+b") as file:
        file.write(os.urandom(4096))
    old, rows = salvage.renew(paths)
    assert rows == 0
    assert os.path.exists(old)
    Database(paths.database).close()
