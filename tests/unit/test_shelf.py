"""Containers' records: their order on disk, and who waits for containers."""

import asyncio

import msgspec
import pytest
from msgspec.structs import replace

from corten import errors
from corten.engine import lifecycle
from corten.engine.container import Container
from corten.engine.life import Life
from corten.engine.shelf import Shelf
from corten.model.record import Record
from corten.store.database import Database


def test_an_exit_during_a_rename_is_not_undone(tmp_path):
    """The rename waits for the disk; what is recorded meanwhile is newer and must stay."""

    async def scene(shelf):
        container = Container(Record(id="a" * 64, name="old", created=1))
        shelf.add(container)
        container.record = replace(container.record, name="new")
        renaming = asyncio.create_task(shelf.commit(container))
        await asyncio.sleep(0)
        state = lifecycle.started(container.state, pid=1, monitor_pid=2, now=3, health=False, by_policy=False)
        container.enter(lifecycle.exited(state, exit_code=7, now=9, oom=False))
        shelf.save(container)
        await renaming

    database = Database(str(tmp_path / "state.db"))
    asyncio.run(scene(Shelf(database)))
    database.close()
    database = Database(str(tmp_path / "state.db"))
    fresh = Shelf(database)
    fresh.load()
    database.close()
    record = fresh.get("a" * 64).record
    assert (record.name, record.state.status, record.state.exit_code) == ("new", "exited", 7)


def test_who_gave_up_waiting_is_forgotten():
    async def scene():
        life = Life.__new__(Life)
        life._loop = asyncio.get_running_loop()
        waiters = set()
        first, second = life.waiter(waiters), life.waiter(waiters)
        first.cancel()
        await asyncio.sleep(0)
        assert waiters == {second}
        life.notify(waiters, (3, ""))
        assert await second == (3, "")

    asyncio.run(scene())


def test_a_reserved_name_is_no_container_yet(tmp_path):
    database = Database(str(tmp_path / "state.db"))
    try:
        shelf = Shelf(database)
        shelf.reserve("soon", "a" * 64)
        with pytest.raises(errors.NotFound, match="No such container: soon"):
            shelf.get("soon")
    finally:
        database.close()


def test_what_a_newer_daemon_wrote_outlives_every_kind_of_write(tmp_path):
    record = Record(id="a" * 64, name="new", created=1)
    document = {**msgspec.to_builtins(record), "later": 7}
    database = Database(str(tmp_path / "state.db"))
    try:
        shelf = Shelf(database)
        row = (record.id, msgspec.msgpack.encode(document))
        database.write(lambda c: c.execute("INSERT INTO containers VALUES (?, ?)", row) and None)
        shelf.load()
        shelf.write(replace(record, name="renamed"))
        (data,) = database.reader().execute("SELECT data FROM containers").fetchone()
    finally:
        database.close()
    written = msgspec.msgpack.decode(data)
    assert (written["name"], written["later"]) == ("renamed", 7)
