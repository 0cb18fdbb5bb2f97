"""Group commit: isolation of jobs, durability of the order, errors to their owner."""

import gc
import os
import threading

import pytest

from corten import errors
from corten.store.database import Database


@pytest.fixture
def database(tmp_path):
    made = Database(str(tmp_path / "state.db"))
    made.migrate("test", ["CREATE TABLE t (n INTEGER PRIMARY KEY)"])
    yield made
    made.close()


def rows(database):
    return [row[0] for row in database.reader().execute("SELECT n FROM t ORDER BY n")]


def test_a_failing_job_is_rolled_back_alone(database):
    def bad(connection):
        connection.execute("INSERT INTO t VALUES (2)")
        raise ValueError("no")

    futures = [database.submit(lambda c, n=n: c.execute("INSERT INTO t VALUES (?)", (n,)).rowcount) for n in (1, 3)]
    failed = database.submit(bad)
    assert [future.result(5) for future in futures] == [1, 1]
    with pytest.raises(ValueError, match="no"):
        failed.result(5)
    assert rows(database) == [1, 3]


def test_many_threads_write_and_all_is_there_after_reopening(tmp_path):
    path = str(tmp_path / "state.db")
    database = Database(path)
    database.migrate("test", ["CREATE TABLE t (n INTEGER PRIMARY KEY)"])
    threads = [
        threading.Thread(
            target=database.write, args=(lambda c, n=n: c.execute("INSERT INTO t VALUES (?)", (n,)).rowcount,)
        )
        for n in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.close()
    again = Database(path)
    assert rows(again) == list(range(50))
    again.close()


def test_migrations_run_once_and_in_order(tmp_path):
    path = str(tmp_path / "state.db")
    first = Database(path)
    first.migrate("x", ["CREATE TABLE a (n INTEGER)"])
    first.close()
    second = Database(path)
    second.migrate("x", ["CREATE TABLE a (n INTEGER)", "ALTER TABLE a ADD COLUMN m INTEGER"])
    assert second.reader().execute("SELECT n, m FROM a").fetchall() == []
    second.close()


def test_a_closed_database_says_so(tmp_path):
    database = Database(str(tmp_path / "state.db"))
    database.close()
    with pytest.raises(errors.Unavailable):
        database.write(lambda connection: None)


def test_a_file_that_is_no_database_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "state.db"
    path.write_bytes(b"this is not a database, not at all" * 100)
    with pytest.raises(errors.DataLoss, match=r"state\.db is damaged .*corten fsck --repair"):
        Database(str(path))


def test_a_full_database_says_so_and_goes_on(tmp_path):
    database = Database(str(tmp_path / "state.db"))
    database.migrate("x", ["CREATE TABLE a (data BLOB)"])
    pages = database.write(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    database.write(lambda c: c.execute(f"PRAGMA max_page_count={pages}") and None)
    with pytest.raises(errors.System, match=r"cannot write the state database .*state\.db: no space left on device"):
        database.write(lambda c: c.execute("INSERT INTO a VALUES (zeroblob(9000000))") and None)
    database.write(lambda c: c.execute("INSERT INTO a VALUES ('small')") and None)
    database.write(lambda c: c.execute("PRAGMA max_page_count=1000000") and None)
    database.write(lambda c: c.execute("INSERT INTO a VALUES (zeroblob(9000000))") and None)
    assert database.reader().execute("SELECT count(*) FROM a").fetchone() == (2,)
    database.close()


def test_what_a_thread_reads_through_goes_with_it(database):
    """Every push reads in threads of its own."""
    rows(database)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        thread = threading.Thread(target=rows, args=(database,))
        thread.start()
        thread.join()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_was_taken_away_is_noticed(tmp_path):
    path = tmp_path / "state.db"
    database = Database(str(path))
    try:
        assert database.in_place()
        path.rename(tmp_path / "elsewhere")
        assert not database.in_place()
        path.touch()
        assert not database.in_place()
    finally:
        database.close()
