"""The records of layers and of what stands on them, and of the sums over the layers' trees."""

import sqlite3
import time
from collections.abc import Mapping, Sequence

import msgspec

from corten import errors
from corten.oci import digest as digests
from corten.store.treesum import TreeSum

MIGRATIONS = (
    """
    CREATE TABLE layers (
        chain_id TEXT PRIMARY KEY, parent TEXT NOT NULL, diff_id TEXT NOT NULL, size INTEGER NOT NULL,
        created INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE snapshots (key TEXT PRIMARY KEY, chain_id TEXT NOT NULL) WITHOUT ROWID
    """,
    """
    CREATE TABLE layer_sums (
        chain_id TEXT PRIMARY KEY, entries INTEGER NOT NULL, size INTEGER NOT NULL, digest TEXT NOT NULL
    ) WITHOUT ROWID
    """,
)


class Layer(msgspec.Struct, frozen=True):
    """A committed layer; ``parent`` is the chainID below or "", ``size`` the bytes it takes on disk."""

    chain_id: str
    parent: str
    diff_id: str
    size: int


def checked_layer(chain_id: str, parent: str, diff_id: str, size: int) -> Layer:
    """A record's value, checked: the chainID follows from what lies below (image-spec, config.md, Layer ChainID)."""
    if not isinstance(size, int):
        raise TypeError("a value has the wrong type")
    digests.check(diff_id)
    if chain_id != (digests.of(f"{parent} {diff_id}".encode()) if parent else diff_id):
        raise errors.DataLoss("its chainID does not follow from the layer below it")
    return Layer(chain_id, parent, diff_id, size)


def insert(connection: sqlite3.Connection, layers: Sequence[Layer], sums: Mapping[str, TreeSum | None]) -> None:
    now = time.time_ns()
    connection.executemany(
        "INSERT OR REPLACE INTO layers VALUES (?, ?, ?, ?, ?)",
        [(layer.chain_id, layer.parent, layer.diff_id, layer.size, now) for layer in layers],
    )
    insert_sums(connection, sums)


def insert_sums(connection: sqlite3.Connection, sums: Mapping[str, TreeSum | None]) -> None:
    """Record the sums that are known."""
    connection.executemany(
        "INSERT OR REPLACE INTO layer_sums VALUES (?, ?, ?, ?)",
        [(chain_id, tree.entries, tree.size, tree.digest) for chain_id, tree in sums.items() if tree is not None],
    )


def read_sum(connection: sqlite3.Connection, chain_id: str) -> TreeSum | None:
    """The sum of a layer; None when none was recorded."""
    select = "SELECT entries, size, digest FROM layer_sums WHERE chain_id=?"
    row = connection.execute(select, (chain_id,)).fetchone()
    return TreeSum(*row) if row else None


def delete(connection: sqlite3.Connection, names: Sequence[tuple[str]]) -> None:
    connection.executemany("DELETE FROM layers WHERE chain_id=?", names)
    connection.executemany("DELETE FROM layer_sums WHERE chain_id=?", names)
