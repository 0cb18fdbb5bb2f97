"""Moving bytes between a client and a container's stdio.

A session that is opened before the start waits for the container's monitor: the launcher hands every waiting session a
connection after the container is created and before its program runs, so not a byte is missed.

conmon's packets (SOCK_SEQPACKET, at most 8 KiB and one byte): the first byte is 2 for stdout, 3 for stderr; towards
conmon plain bytes are stdin, and a closed sending side ends stdin.
"""

import asyncio
import contextlib
import socket
from typing import Any

from corten.engine.peer import STDERR, STDOUT, Peer
from corten.wire.detachkeys import DetachScanner

PACKET = 8192
_BURST = 64
"""Packets read before other work gets a turn."""


class Session:
    """One client attached to one container."""

    def __init__(self, peer: Peer, *, stdin: bool, stdout: bool, stderr: bool, detach_keys: bytes | None) -> None:
        self.peer = peer
        self._stdin = stdin
        self._stdout = stdout
        self._stderr = stderr
        self._scanner = DetachScanner(detach_keys) if detach_keys else None
        self._loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[socket.socket | None] = self._loop.create_future()
        self.detached = False

    def connect(self, connection: socket.socket | None) -> None:
        """Give the session its connection, or None when the container will not run. Loop's thread."""
        if self._connected.done():
            if connection is not None:
                connection.close()
        else:
            self._connected.set_result(connection)

    @property
    def waiting(self) -> bool:
        return not self._connected.done()

    async def run(self) -> None:
        """Until the container closes its output, the client goes or detaches."""
        gone = asyncio.ensure_future(self.peer.wait_closed())
        try:
            either: set[asyncio.Future[Any]] = {gone, self._connected}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not self._connected.done():
                self._connected.set_result(None)
            connection = self._connected.result()
            if connection is not None:
                with connection:
                    await self._move(connection, gone)
        finally:
            gone.cancel()

    async def _move(self, connection: socket.socket, gone: "asyncio.Future[None]") -> None:
        output = asyncio.create_task(self._pump_output(connection))
        tasks: set[asyncio.Future[None]] = {output, gone}
        stdin = asyncio.create_task(self._pump_input(connection)) if self._stdin else None
        try:
            if stdin is not None:
                await asyncio.wait({*tasks, stdin}, return_when=asyncio.FIRST_COMPLETED)
                if self.detached:
                    return
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (output, stdin):
                if task is not None:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError, OSError):
                        await task

    async def _pump_output(self, connection: socket.socket) -> None:
        wanted = {2: STDOUT if self._stdout else 0, 3: STDERR if self._stderr else 0}
        write, drain = self.peer.write, self.peer.drain
        loop = self._loop
        while True:
            try:
                packet = await loop.sock_recv(connection, PACKET + 1)
                taken = 0
                while packet:
                    if stream := wanted.get(packet[0], 0):
                        write(stream, packet[1:])
                    taken += 1
                    if taken == _BURST:
                        break
                    packet = connection.recv(PACKET + 1)
                else:
                    return
            except BlockingIOError:
                pass  # nothing more for now
            except ConnectionResetError:
                continue  # conmon closed with some of our input unread; what it sent before is still to be had
            await drain()

    async def _pump_input(self, connection: socket.socket) -> None:
        loop = self._loop
        while data := await self.peer.read():
            if self._scanner is not None:
                data, self.detached = self._scanner.feed(data)
            for start in range(0, len(data), PACKET):
                try:
                    await loop.sock_sendall(connection, data[start : start + PACKET])
                except (BrokenPipeError, ConnectionResetError):
                    return
            if self.detached:
                return
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
