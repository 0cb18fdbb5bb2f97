"""The schema of the state database across versions of the daemon, newer and older ones (docs/upgrade.md).

Each component has an ordered list of scripts; how many of them a file has seen stands in ``schema_version``. A daemon
runs the ones that lack. A file that has seen more than the daemon knows was written by a newer one: scripts make new
tables only, which an older daemon does not look at, unless they are ``Breaking``. How many scripts a daemon has to
know to use the file stands in ``schema_floor``.
"""

import contextlib
import logging
import sqlite3
import time

import corten
from corten import errors

log = logging.getLogger("corten.store")


class Breaking(str):
    """A script whose result a daemon that does not know it cannot use: it changes what was there before."""

    __slots__ = ()


def prepare(connection: sqlite3.Connection) -> None:
    """The tables of this module, in a file that may be new."""
    for table in (
        "schema_version (component TEXT PRIMARY KEY, version INTEGER NOT NULL)",
        "schema_floor (component TEXT PRIMARY KEY, version INTEGER NOT NULL)",
        "daemons (version TEXT PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL)",
    ):
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table}")


def behind(connection: sqlite3.Connection, path: str, component: str, known: int) -> bool:
    """Whether the file lacks scripts of *component*, of which this daemon knows *known*.

    ``NotSupported`` when a newer daemon has made of it what this one cannot use.
    """
    floor = _number(connection, "schema_floor", component)
    version = _number(connection, "schema_version", component)
    if floor > known:
        raise errors.NotSupported(
            f"{path} was changed by Corten {newest(connection)}, and Corten {corten.__version__} cannot use it "
            f"({component}: schema {version}, {known} is known here): start that version again; "
            "the containers run on meanwhile"
        )
    return version < known


def advance(connection: sqlite3.Connection, component: str, scripts: list[str]) -> None:
    """Run what lacks. Inside a transaction."""
    version = _number(connection, "schema_version", component)
    for script in scripts[version:]:
        for statement in script.split(";"):
            if statement.strip():
                connection.execute(statement)
    _put(connection, "schema_version", component, max(version, len(scripts)))
    floor = max((number for number, script in enumerate(scripts, 1) if isinstance(script, Breaking)), default=0)
    if floor > _number(connection, "schema_floor", component):
        _put(connection, "schema_floor", component, floor)


def sign(connection: sqlite3.Connection) -> str:
    """Note that this version of the daemon uses the file; gives the version that did before, "" when it was this one.

    Only a change is written: a daemon must be able to start on a full disk.
    """
    former = newest(connection)
    if former == corten.__version__:
        return ""
    now = time.time_ns()
    with contextlib.suppress(sqlite3.OperationalError):  # a note, and no reason not to start
        connection.execute(
            "INSERT INTO daemons (version, first, last) VALUES (?, ?, ?)"
            " ON CONFLICT (version) DO UPDATE SET last=excluded.last",
            (corten.__version__, now, now),
        )
    return former


def newest(connection: sqlite3.Connection) -> str:
    """The version of the daemon that was the last to begin using the file; "" for a new one."""
    row = connection.execute("SELECT version FROM daemons ORDER BY last DESC LIMIT 1").fetchone()
    return str(row[0]) if row else ""


def _number(connection: sqlite3.Connection, table: str, component: str) -> int:
    row = connection.execute(f"SELECT version FROM {table} WHERE component=?", (component,)).fetchone()
    return int(row[0]) if row else 0


def _put(connection: sqlite3.Connection, table: str, component: str, version: int) -> None:
    connection.execute(
        f"INSERT INTO {table} (component, version) VALUES (?, ?)"
        " ON CONFLICT (component) DO UPDATE SET version=excluded.version",
        (component, version),
    )
