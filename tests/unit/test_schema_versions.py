"""A database that a newer daemon has used: what it may have done, and what makes an older one refuse."""

import importlib
import pkgutil
import sqlite3
from pathlib import Path

import msgspec
import pytest

import corten
from corten import errors
from corten.engine.launcher import check_known
from corten.engine.shelf import Shelf
from corten.model.container import HostConfig
from corten.model.record import Record
from corten.model.unknown import put_back, unknown
from corten.store import schema
from corten.store.database import Database

ADDING = ("CREATE TABLE", "CREATE INDEX", "CREATE UNIQUE INDEX")
OLD = ["CREATE TABLE things (id TEXT PRIMARY KEY)"]


def migrated(path: Path, *lists: list[str]) -> None:
    for scripts in lists:
        database = Database(str(path))
        try:
            database.migrate("things", scripts)
        finally:
            database.close()


def test_further_tables_are_no_reason_to_refuse(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    migrated(path, OLD, [*OLD, "CREATE TABLE more (id TEXT)"], OLD, [*OLD, "CREATE TABLE more (id TEXT)"])
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version FROM schema_version WHERE component='things'").fetchone() == (2,)


def test_a_breaking_change_is_refused_by_who_does_not_know_it(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    new = [*OLD, schema.Breaking("ALTER TABLE things ADD COLUMN name TEXT"), "CREATE TABLE more (id TEXT)"]
    migrated(path, OLD, new, new, new[:2])
    with pytest.raises(errors.NotSupported, match=r"schema 3, 1 is known here\): start that version again"):
        migrated(path, OLD)


def test_the_version_that_wrote_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(str(tmp_path / "state.db"))
    assert database.write(schema.sign) == ""
    monkeypatch.setattr(corten, "__version__", "9.0")
    assert database.write(schema.sign) != ""
    assert database.write(schema.sign) == ""
    assert database.reader().execute("SELECT count(*) FROM daemons").fetchone() == (2,)
    database.close()


def test_every_script_that_is_not_breaking_adds() -> None:
    """What an older daemon's statements count on stays as it is: they name tables, and give every column."""
    lists = 0
    for module in pkgutil.walk_packages(corten.__path__, "corten."):
        if module.name.startswith(("corten.cli", "corten.client")) or module.name.endswith("__main__"):
            continue
        for name in ("_MIGRATIONS", "SCRIPTS", "_SCHEMA", "SCHEMA"):
            scripts = getattr(importlib.import_module(module.name), name, None)
            if not isinstance(scripts, list | tuple) or not all(isinstance(each, str) for each in scripts):
                continue
            lists += 1
            for script in scripts:
                statements = [] if isinstance(script, schema.Breaking) else script.split(";")
                for statement in filter(None, map(str.strip, statements)):
                    assert statement.upper().startswith(("CREATE TABLE", "CREATE INDEX", "CREATE UNIQUE INDEX")), (
                        statement
                    )
    assert lists >= 5


def test_fields_of_a_newer_daemon_are_given_back(tmp_path: Path) -> None:
    record = Record(id="c" * 64, name="old", created=1, host_config=HostConfig(memory=1 << 20))
    document = msgspec.to_builtins(record)
    document["future"] = {"deep": [1, 2]}
    document["host_config"]["knob"] = 7
    document["config"] = {"hint": "x"}
    path = tmp_path / "state.db"
    database = Database(str(path))
    shelf = Shelf(database)
    database.write(
        lambda c: c.execute("INSERT INTO containers VALUES (?, ?)", (record.id, msgspec.msgpack.encode(document)))
    )
    shelf.load()
    container = shelf.get("old")
    container.record = msgspec.structs.replace(container.record, name="renamed")
    shelf.save(container)
    database.close()
    with sqlite3.connect(path) as connection:
        after = msgspec.msgpack.decode(connection.execute("SELECT data FROM containers").fetchone()[0])
    assert after == {**document, "name": "renamed"}


def test_unknown_fields() -> None:
    record = Record(id="1", name="n", created=1)
    assert unknown(msgspec.to_builtins(record), record) == {}
    assert unknown({"id": "1", "x": {}, "state": {"status": "created"}}, record) == {"x": {}}
    document = {"a": 1, "b": {"c": 2}}
    put_back(document, {"a": 9, "b": {"d": 3}, "e": {"f": {"g": 4}}})
    assert document == {"a": 1, "b": {"c": 2, "d": 3}, "e": {"f": {"g": 4}}}


def test_what_is_needed_and_not_known_is_not_started() -> None:
    check_known(Record(id="1", name="n", created=1))
    with pytest.raises(errors.NotSupported, match="needs what this one does not know: landlock"):
        check_known(Record(id="1", name="n", created=1, needs=["landlock"]))
