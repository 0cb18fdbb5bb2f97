"""The networks' tables in the state database."""

import secrets

import msgspec

from corten import errors
from corten.network.record import NetworkRecord
from corten.store import quarantine
from corten.store.database import Database

SCRIPTS = (
    "CREATE TABLE networks (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, body BLOB NOT NULL);"
    "CREATE TABLE network_settings (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
)


class NetworkStore:
    """Network records, and the few settings that must stay the same from one start of the daemon to the next."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("network", SCRIPTS)

    def all(self) -> list[NetworkRecord]:
        """Every record that can be read; the others go into quarantine."""
        found = []
        rows = self._database.reader().execute("SELECT id, name, body FROM networks ORDER BY name").fetchall()
        for network_id, name, body in rows:
            try:
                found.append(read_row(name, network_id, body))
            except (errors.CortenError, msgspec.MsgspecError, TypeError) as error:
                self._database.quarantine.take(quarantine.NETWORK, str(name), error, "networks", {"id": network_id})
        return found

    def put(self, record: NetworkRecord) -> None:
        body = msgspec.json.encode(record)
        self._database.write(
            lambda db: db.execute("INSERT OR REPLACE INTO networks VALUES (?, ?, ?)", (record.id, record.name, body))
        )

    def delete(self, network_id: str) -> None:
        self._database.write(lambda db: db.execute("DELETE FROM networks WHERE id=?", (network_id,)))

    def setting(self, key: str) -> str:
        """A stored setting, "" if it was never set."""
        row = self._database.reader().execute("SELECT value FROM network_settings WHERE key=?", (key,)).fetchone()
        return str(row[0]) if row else ""

    def set_setting(self, key: str, value: str) -> None:
        self._database.write(
            lambda db: db.execute("INSERT OR REPLACE INTO network_settings VALUES (?, ?)", (key, value))
        )

    def owner(self) -> str:
        """This daemon's id in the names of kernel objects: 8 hex digits, made at its first start."""
        owner = self.setting("owner")
        if not owner:
            owner = secrets.token_hex(4)
            self.set_setting("owner", owner)
        return owner


def read_row(name: str, network_id: str, body: bytes) -> NetworkRecord:
    """A record's value, checked. ``DataLoss``, ``MsgspecError`` or ``TypeError`` when it is damaged."""
    record = msgspec.json.decode(body, type=NetworkRecord)
    if (record.id, record.name) != (network_id, name):
        raise errors.DataLoss(f"it describes network {record.name[:100]!r}")
    return record
