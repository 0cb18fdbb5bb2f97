"""The audit trail of one daemon: which requests are recorded, and what their lines say.

A change has two lines with one id: stage "request" is on disk before the change begins, stage "response" follows with
the status. A request that reached no handler has the latter alone. The second line repeats the first, so that a reader
of outcomes needs nothing else; a request without a response was under way when the daemon died.
"""

import os
import secrets
import time
from typing import TYPE_CHECKING, Any

import corten
from corten.api.audit import detail
from corten.api.audit.writer import AuditWriter
from corten.api.routes import files, streams
from corten.api.times import moment

if TYPE_CHECKING:
    from corten.api.call import Call
    from corten.api.head import RequestHead
    from corten.api.routing import Handler

HARMLESS = frozenset(("GET", "HEAD", "OPTIONS"))
READS: frozenset["Handler"] = frozenset((streams.attach_websocket, files.get, files.export))
"""Requests that change nothing but hand out what is inside a container."""

Entry = dict[str, Any]


class Trail:
    """*writer* is the caller's to close, after ``end``."""

    def __init__(self, writer: AuditWriter) -> None:
        self._writer = writer
        self._run = secrets.token_hex(4)
        self._count = 0

    def start(self) -> None:
        """Record that the daemon is up: a jump in the ids without this line is a line that somebody took out."""
        self._writer.add(self._stamp("start", pid=os.getpid(), version=corten.__version__))

    def end(self) -> None:
        self._writer.add(self._stamp("end", pid=os.getpid()))

    @staticmethod
    def concerns(method: str, handler: "Handler | None") -> bool:
        return method not in HARMLESS or handler in READS

    async def request(self, call: "Call", handler: "Handler", peer: Entry | None) -> Entry:
        """Write the first line. Unavailable when it cannot be written, and what reading the body raises."""
        entry = self._stamp("request", peer=peer)
        entry |= {"method": call.method, "path": call.path, "version": "{}.{}".format(*call.version)}
        if (found := detail.target(call)) is not None:
            entry["object"] = found
        entry |= await detail.of_request(call, handler)
        entry = {key: detail.bounded(value) for key, value in entry.items()}
        await self._writer.write(entry)
        return entry

    def response(self, entry: Entry, status: int, failed: int, seconds: float) -> None:
        """Write the second line. *failed* is the status of what went wrong inside a stream, 0 for nothing."""
        outcome: Entry = {"status": status, "ms": round(seconds * 1000, 1)}
        if failed:
            outcome["failed"] = failed
        self._writer.add({**entry, "time": moment(time.time_ns()), "stage": "response", **outcome})

    def refused(self, head: "RequestHead", peer: Entry | None, status: int, seconds: float) -> None:
        """The only line of a request that came to no handler."""
        entry = self._stamp("response", peer=peer)
        entry |= {"method": head.method, "path": detail.bounded(head.path)}
        self._writer.add({**entry, "status": status, "ms": round(seconds * 1000, 1)})

    def _stamp(self, stage: str, **fields: Any) -> Entry:
        self._count += 1
        return {"time": moment(time.time_ns()), "id": f"{self._run}-{self._count}", "stage": stage, **fields}
