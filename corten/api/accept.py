"""Taking clients from a listening socket, with care for the descriptors that the daemon itself needs.

asyncio's own listener tries a failed accept(2) again a thousand times at once, each time with a timer of its own, which
keeps the daemon busy for as long as it has no descriptor free. Here a lack is one pause; clients wait in the socket's
queue meanwhile. And it begins before everything is taken, so that those who are connected can be served: a start
takes descriptors, and so does what gives some back.
"""

import asyncio
import errno
import fcntl
import logging
import os
import resource
import socket
from collections.abc import Callable

log = logging.getLogger("corten.api")

BACKLOG = 1024
BURST = 64
"""Clients taken in one turn of the loop."""
PAUSE = 0.25
"""Seconds."""
RESERVE = 128
"""Descriptors that clients do not get; a smaller share where there are few."""
LACKS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Acceptor:
    """Serves *make*'s protocol to whoever connects to *sock*, which is bound. Loop thread only."""

    def __init__(self, sock: socket.socket, make: Callable[[], asyncio.Protocol]) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._make = make
        self._pause: asyncio.TimerHandle | None = None
        self._full = False
        self._taking: set[asyncio.Task[None]] = set()
        sock.setblocking(False)
        sock.listen(BACKLOG)
        self._listen()

    def close(self) -> None:
        """Take nobody any more and close the socket."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._socket, self._ready)

    def _ready(self) -> None:
        for _ in range(BURST):
            try:
                _check_descriptors(self._socket)
                connection, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in LACKS:
                    raise
                self._wait(error)
                return
            self._full = False
            connection.setblocking(False)
            task = self._loop.create_task(self._take(connection))
            self._taking.add(task)
            task.add_done_callback(self._taking.discard)

    def _wait(self, error: OSError) -> None:
        if not self._full:
            log.error("no new clients for now: %s", (error.strerror or "").lower())
        self._full = True
        self._loop.remove_reader(self._socket)
        self._pause = self._loop.call_later(PAUSE, self._listen)

    async def _take(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, connection)
        except OSError as error:
            connection.close()
            log.error("a client could not be served: %s", error)


def _check_descriptors(sock: socket.socket) -> None:
    """EMFILE when only the reserve is left: the lowest free number tells, as the kernel gives that one first."""
    bound, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = fcntl.fcntl(sock, fcntl.F_DUPFD_CLOEXEC, 0)
    os.close(lowest)
    if lowest >= bound - min(RESERVE, bound // 8):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
