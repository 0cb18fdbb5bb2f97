"""Which repositories a blob was pulled from or pushed to: whence a registry can mount it in place of an upload.

What is recorded is a hint. A registry that has lost the blob, or does not show the repository to the user, is asked
for the upload as if nothing were known. (containerd keeps the same as labels, ``containerd.io/distribution.source.*``.)
"""

import sqlite3
from collections.abc import Iterable

from corten.oci.reference import Reference
from corten.store.database import Database

_MIGRATIONS = (
    """
    CREATE TABLE blob_sources (
        digest TEXT NOT NULL, domain TEXT NOT NULL, path TEXT NOT NULL, PRIMARY KEY (digest, domain, path)
    ) WITHOUT ROWID
    """,
)
MAX_SOURCES = 8
"""Repositories of one registry that are remembered for a blob; a base image may be pushed to thousands."""


class BlobSources:
    """Thread-safe; reading blocks for a look into the database, recording does not wait for the disk."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("blob sources", _MIGRATIONS)

    def record(self, repository: Reference, digests: Iterable[str]) -> None:
        """*repository* has these blobs: they came from it or went to it just now. Durable with the next commit."""
        rows = [(digest, repository.domain, repository.path) for digest in digests]

        def job(connection: sqlite3.Connection) -> None:
            for digest, domain, path in rows:
                key = (digest, domain)
                known = connection.execute("SELECT path FROM blob_sources WHERE digest=? AND domain=?", key).fetchall()
                if len(known) < MAX_SOURCES:
                    connection.execute("INSERT OR IGNORE INTO blob_sources VALUES (?, ?, ?)", (digest, domain, path))

        if rows:
            self._database.defer(job)

    def candidates(self, target: Reference, digest: str) -> list[str]:
        """Other repositories of *target*'s registry that should have the blob, those most like it first."""
        rows = self._database.reader().execute(
            "SELECT path FROM blob_sources WHERE digest=? AND domain=?", (digest, target.domain)
        )
        paths = [path for (path,) in rows if path != target.path]
        return sorted(paths, key=lambda path: (-_shared(path, target.path), path))

    def repositories(self, digest: str) -> list[Reference]:
        """Every repository that should have the blob."""
        rows = self._database.reader().execute("SELECT domain, path FROM blob_sources WHERE digest=?", (digest,))
        return [Reference(domain=domain, path=path) for domain, path in rows]

    def discard(self, target: Reference, path: str, digest: str) -> None:
        """The repository turned out not to have the blob."""
        key = (digest, target.domain, path)
        self._database.defer(
            lambda c: c.execute("DELETE FROM blob_sources WHERE digest=? AND domain=? AND path=?", key).rowcount
        )

    def forget(self, digests: Iterable[str]) -> None:
        """The blobs are gone from here."""
        rows = [(digest,) for digest in digests]
        if rows:
            self._database.defer(lambda c: c.executemany("DELETE FROM blob_sources WHERE digest=?", rows).rowcount)


def _shared(one: str, other: str) -> int:
    """How many leading components two repositories have in common: the same owner's are the likeliest to be shown."""
    count = 0
    for left, right in zip(one.split("/"), other.split("/"), strict=False):
        if left != right:
            break
        count += 1
    return count
