"""The records' home: one SQLite file, one writer thread, many readers.

``Database.write(job)`` hands *job* to the writer thread and returns when the transaction that contains it is on disk.
Jobs that arrive while a transaction is being synced share the next one, so fifty parallel creates cost a few syncs and
not fifty. A job that raises is rolled back alone (each runs in a savepoint). WAL with ``synchronous=FULL``: what
``write`` has returned from survives a power cut (sqlite.org/wal.html, pragma synchronous).

The blocks of the log (WAL) are taken from the file system beforehand: on a full disk it must still be possible to
record an exit and to remove the container that fills it. While the database is closed a file beside it keeps the room.

``defer(job)`` queues a job and does not wait; it is durable with the next commit. Order between jobs is kept.
"""

import contextlib
import logging
import os
import queue
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

from corten import errors, faultpoint
from corten.store import schema
from corten.store.quarantine import Quarantine

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], Any]

log = logging.getLogger("corten.store")

PAGE_SIZE = 4096
"""SQLite's own default."""


class Database:
    """A SQLite database with group commit.

    *migrations* maps a component's name to its ordered list of SQL scripts; each runs once, recorded in the table
    ``schema_version``.
    """

    MAX_BATCH = 256
    FREE_PAGES = 128
    """Pages of the database that are kept for later; doubled when they have been used up."""
    LOG_SPACE = 8 << 20
    """Bytes of the log that are allocated in advance; SQLite writes it anew from the start at about 4 MiB."""

    def __init__(self, path: str, *, dry: bool = False) -> None:
        """Open or make the file. ``DataLoss`` when it is damaged. With *dry*, damaged rows are only noted."""
        self.path = path
        self._dry = dry
        self._quarantine: Quarantine | None = None
        self._room = f"{path}-room"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._room)
        self._jobs: queue.SimpleQueue[tuple[Job, Future[Any]] | None] = queue.SimpleQueue()
        self._local = threading.local()
        self._readers: weakref.WeakSet[_Reader] = weakref.WeakSet()
        self._readers_lock = threading.Lock()
        self._connection = self._open()
        self._file = _identity(path)
        self._check()
        schema.prepare(self._connection)
        self._keep_room(f"{path}-wal")
        self._keep_pages()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="database-writer", daemon=True)
        self._thread.start()

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
        except sqlite3.Error as error:
            raise failure(self.path, error) from error
        return connection

    def _check(self) -> None:
        """A damaged page is found now and not when a record on it is needed."""
        try:
            found = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.Error as error:
            raise failure(self.path, error) from error
        if found != "ok":
            raise damaged(self.path, found)

    @property
    def quarantine(self) -> Quarantine:
        """Where rows go that cannot be read."""
        if self._quarantine is None:
            self._quarantine = Quarantine(self, dry=self._dry)
        return self._quarantine

    def _keep_room(self, path: str) -> None:
        """Allocate the file's blocks. Zeros behind its last frame end a log for SQLite as the end of the file does."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, self.LOG_SPACE)
            finally:
                os.close(fd)
        except OSError as error:
            log.warning("no room could be kept for the log of %s: %s", self.path, error)

    def _keep_pages(self) -> None:
        """Have free pages inside the database: where what the log holds finds no room, the log grows for ever."""
        connection = self._connection
        if connection.execute("PRAGMA freelist_count").fetchone()[0] >= self.FREE_PAGES:
            return
        try:  # a page must have been in use and on disk to be free afterwards
            connection.execute("CREATE TABLE room AS SELECT zeroblob(?)", (2 * self.FREE_PAGES * PAGE_SIZE,))
            connection.execute("PRAGMA wal_checkpoint(FULL)")
        except sqlite3.Error as error:
            log.warning("no room could be kept inside %s: %s", self.path, error)
        with contextlib.suppress(sqlite3.Error):
            connection.execute("DROP TABLE IF EXISTS room")

    def migrate(self, component: str, scripts: Iterable[str]) -> None:
        """Run the scripts of *component* that this file has not seen yet, in order, in one transaction.

        With nothing to run nothing is written: a daemon must be able to start on a full disk. ``NotSupported`` when a
        newer daemon has made of the file what this one cannot use.
        """
        scripts = list(scripts)
        if schema.behind(self.reader(), self.path, component, len(scripts)):
            self.write(lambda connection: schema.advance(connection, component, scripts))

    def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run *job* in a transaction and return its result once that is durable. Blocks the calling thread."""
        return self.submit(job).result()

    def submit(self, job: Callable[[sqlite3.Connection], T]) -> "Future[T]":
        """As ``write``, but returns a future (await it with ``asyncio.wrap_future``)."""
        if self._closed:
            raise errors.Unavailable("the state database is closed")
        future: Future[T] = Future()
        self._jobs.put((job, future))
        return future

    def defer(self, job: Job) -> None:
        """Queue *job* without waiting for it; a failure is logged."""
        self.submit(job).add_done_callback(_log_failure)

    def reader(self) -> sqlite3.Connection:
        """This thread's own read connection, which goes with the thread; sees every committed write."""
        reader: _Reader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = _Reader(self._open())
            with self._readers_lock:
                self._readers.add(reader)
        return reader.connection

    def in_place(self) -> bool:
        """Whether the path still leads to the file that is open; if not, what is written ends with this process."""
        return _identity(self.path) == self._file

    def close(self) -> None:
        """Write what is queued, then close."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        self._thread.join()
        with self._readers_lock:
            for reader in self._readers:
                reader.connection.close()
            self._readers.clear()
        self._keep_room(self._room)

    # the writer thread

    def _run(self) -> None:
        stop = False
        while not stop:
            item = self._jobs.get()
            batch: list[tuple[Job, Future[Any]]] = []
            while True:
                if item is None:
                    stop = True
                    break
                batch.append(item)
                if len(batch) == self.MAX_BATCH:
                    break
                try:
                    item = self._jobs.get_nowait()
                except queue.Empty:
                    break
            if batch:
                self._commit(batch)
        self._connection.close()

    def _told(self, error: Exception) -> Exception:
        """What a job's own error is to the caller: that of the file says which file."""
        if isinstance(error, sqlite3.OperationalError):
            return errors.System(f"cannot write the state database {self.path}: {reason(error)}")
        return error

    def _commit(self, batch: list[tuple[Job, Future[Any]]]) -> None:
        connection = self._connection
        done: list[tuple[Future[Any], Any]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job, future in batch:
                connection.execute("SAVEPOINT job")
                try:
                    result = job(connection)
                except Exception as error:
                    if not connection.in_transaction:  # SQLite has given up the whole of it, as on a full disk
                        raise sqlite3.OperationalError(reason(error)) from error
                    connection.execute("ROLLBACK TO job")
                    future.set_exception(self._told(error))
                else:
                    done.append((future, result))
                connection.execute("RELEASE job")
            faultpoint.reach("database.commit")
            connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            failure = errors.System(f"cannot write the state database {self.path}: {reason(error)}")
            for _, future in batch:
                if not future.done():
                    future.set_exception(failure)
            return
        for future, result in done:
            future.set_result(result)


class _Reader:
    """A connection for as long as its thread lives."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __del__(self) -> None:
        self.connection.close()


def reason(error: Exception) -> str:
    """SQLite has words of its own for a lack of room."""
    full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    return "no space left on device" if full else str(error)


def failure(path: str, error: sqlite3.Error) -> errors.CortenError:
    """What an error of SQLite means for whoever starts the daemon."""
    if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(path, str(error))
    return errors.System(f"cannot open the state database {path}: {error}")


def damaged(path: str, what: str) -> errors.DataLoss:
    """The file itself is damaged, not only what stands in it."""
    what = " ".join(what.split())
    return errors.DataLoss(
        f"the state database {path} is damaged ({what}); `corten fsck --repair` saves what can still be read"
    )


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _log_failure(future: "Future[Any]") -> None:
    error = future.exception()
    if error is not None:
        log.error("a deferred change of the state was not recorded: %s", error)
