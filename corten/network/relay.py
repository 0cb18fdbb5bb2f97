"""Connections that the firewall cannot send on, carried by one thread of the daemon.

That is IPv6 to a container that has none, and [::1], whose packets the kernel lets go nowhere else. Everything else
goes through the firewall and never gets here. The thread starts with the first port.
"""

import errno
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable

from corten import errors

log = logging.getLogger(__name__)
CHUNK = 1 << 16
UDP_IDLE = 90.0
"""Seconds after which an idle UDP conversation is forgotten."""
MAX_UDP = 4096
"""UDP conversations a port may have at a time; more are dropped, as a full queue would."""
Target = tuple[str, int]


class Relay:
    """Carries what arrives at held sockets to targets. All sockets belong to the relay's thread while registered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._tasks: list[Callable[[], None]] = []
        self._selector: selectors.BaseSelector | None = None
        self._wake = -1
        self._running = False
        self._datagrams: dict[socket.socket, _Datagrams] = {}
        self._streams: dict[socket.socket, set[_Stream]] = {}

    def add(self, held: socket.socket, target: Target) -> None:
        """Serve *held*, a listening TCP socket or a bound UDP one."""
        self._start()
        if held.type == socket.SOCK_STREAM:
            self._do(lambda: self._add_stream(held, target))
        else:
            self._do(lambda: self._add_datagrams(held, target))

    def remove(self, held: socket.socket) -> None:
        """Stop serving *held* and cut what it carries; after that the caller may close it."""
        if self._thread is None:
            return
        done = threading.Event()

        def work() -> None:
            self._forget(held)
            done.set()

        self._do(work)
        done.wait()

    def close(self) -> None:
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._do(self._stop)
            thread.join()
            os.close(self._wake)

    # any thread

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
                self._selector = selectors.DefaultSelector()
                self._selector.register(self._wake, selectors.EVENT_READ, self._woken)
                self._running = True
                self._thread = threading.Thread(target=self._run, name="port-relay", daemon=True)
                self._thread.start()

    def _do(self, task: Callable[[], None]) -> None:
        with self._lock:
            self._tasks.append(task)
        os.eventfd_write(self._wake, 1)

    # the relay's thread

    @property
    def selector(self) -> selectors.BaseSelector:
        if self._selector is None:
            raise errors.Unavailable("the port relay is not running")
        return self._selector

    def _run(self) -> None:
        while self._running:
            for key, events in self.selector.select(UDP_IDLE if self._datagrams else None):
                try:
                    key.data(events)
                except OSError as error:
                    log.info("port relay: %s", error)
            for each in self._datagrams.values():
                each.expire()
        self.selector.close()

    def _woken(self, _: int) -> None:
        os.eventfd_read(self._wake)
        with self._lock:
            tasks, self._tasks = self._tasks, []
        for task in tasks:
            task()

    def _stop(self) -> None:
        for held in [*self._streams, *self._datagrams]:
            self._forget(held)
        self._running = False

    def _add_stream(self, held: socket.socket, target: Target) -> None:
        self._streams[held] = set()
        self.selector.register(held, selectors.EVENT_READ, lambda _: self._accept(held, target))

    def _add_datagrams(self, held: socket.socket, target: Target) -> None:
        self._datagrams[held] = _Datagrams(self.selector, held, target)

    def _accept(self, held: socket.socket, target: Target) -> None:
        streams = self._streams.get(held)
        if streams is None:
            return
        try:
            client, _ = held.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                time.sleep(0.1)  # the connection stays in the queue; do not spin until a descriptor is free
            raise
        streams.add(_Stream(self.selector, client, target, streams))

    def _forget(self, held: socket.socket) -> None:
        datagrams = self._datagrams.pop(held, None)
        if datagrams is not None:
            datagrams.close()
        streams = self._streams.pop(held, None)
        if streams is not None:
            self.selector.unregister(held)
            for stream in list(streams):
                stream.close()


class _Stream:
    """One TCP connection carried both ways, with half-close and back-pressure."""

    def __init__(
        self, selector: selectors.BaseSelector, client: socket.socket, target: Target, owner: set["_Stream"]
    ) -> None:
        self._selector, self._client, self._owner = selector, client, owner
        family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        self._server = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._pending = {self._client: b"", self._server: b""}
        """What waits to be written to each end."""
        self._finished = {self._client: False, self._server: False}
        """Whether that end has sent all that it had."""
        self._shut: set[socket.socket] = set()
        self._masks = {self._client: 0, self._server: 0}
        for end in (self._client, self._server):
            end.setblocking(False)
        self._connecting = self._server.connect_ex(target) != 0
        self._watch()

    def _other(self, end: socket.socket) -> socket.socket:
        return self._server if end is self._client else self._client

    def _watch(self) -> None:
        for end in (self._client, self._server):
            mask = 0
            if not self._connecting and not self._finished[end] and not self._pending[self._other(end)]:
                mask |= selectors.EVENT_READ
            if self._pending[end] or (self._connecting and end is self._server):
                mask |= selectors.EVENT_WRITE
            self._set(end, mask)

    def _set(self, end: socket.socket, mask: int) -> None:
        old = self._masks[end]
        if mask == old:
            return
        self._masks[end] = mask
        if not mask:
            self._selector.unregister(end)
        elif not old:
            self._selector.register(end, mask, lambda events: self._ready(end, events))
        else:
            self._selector.modify(end, mask, lambda events: self._ready(end, events))

    def _ready(self, end: socket.socket, events: int) -> None:
        try:
            if self._connecting:
                self._connected()
            elif events & selectors.EVENT_WRITE:
                self._flush(end)
            elif events & selectors.EVENT_READ:
                self._read(end)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if self._is_over():
            self.close()
        else:
            self._watch()

    def _connected(self) -> None:
        code = self._server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        self._connecting = False

    def _read(self, end: socket.socket) -> None:
        data = end.recv(CHUNK)
        other = self._other(end)
        if data:
            self._pending[other] = data
            self._flush(other)
        else:
            self._finished[end] = True
            self._shutdown(other)

    def _flush(self, end: socket.socket) -> None:
        try:
            sent = end.send(self._pending[end])
        except BlockingIOError:
            sent = 0
        self._pending[end] = self._pending[end][sent:]
        if not self._pending[end] and self._finished[self._other(end)]:
            self._shutdown(end)

    def _shutdown(self, end: socket.socket) -> None:
        if not self._pending[end]:
            end.shutdown(socket.SHUT_WR)
            self._shut.add(end)

    def _is_over(self) -> bool:
        return len(self._shut) == 2

    def close(self) -> None:
        for end in (self._client, self._server):
            self._set(end, 0)
            end.close()
        self._owner.discard(self)


class _Datagrams:
    """The UDP conversations of one port: a connected socket to the target for every client."""

    def __init__(self, selector: selectors.BaseSelector, held: socket.socket, target: Target) -> None:
        self._selector, self._held, self._target = selector, held, target
        self._clients: dict[tuple[str, int], socket.socket] = {}
        self._used: dict[tuple[str, int], float] = {}
        selector.register(held, selectors.EVENT_READ, self._from_client)

    def _from_client(self, _: int) -> None:
        data, client = self._held.recvfrom(CHUNK)
        server = self._clients.get(client)
        if server is None:
            if len(self._clients) >= MAX_UDP:
                return
            server = self._connect(client)
        self._used[client] = time.monotonic()
        server.send(data)

    def _connect(self, client: tuple[str, int]) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._target[0] else socket.AF_INET
        server = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        server.connect(self._target)
        self._clients[client] = server
        self._selector.register(server, selectors.EVENT_READ, lambda _: self._from_server(client, server))
        return server

    def _from_server(self, client: tuple[str, int], server: socket.socket) -> None:
        data = server.recv(CHUNK)
        self._used[client] = time.monotonic()
        self._held.sendto(data, client)

    def expire(self) -> None:
        oldest = time.monotonic() - UDP_IDLE
        for client in [client for client, used in self._used.items() if used < oldest]:
            self._drop(client)

    def _drop(self, client: tuple[str, int]) -> None:
        server = self._clients.pop(client)
        self._used.pop(client, None)
        self._selector.unregister(server)
        server.close()

    def close(self) -> None:
        self._selector.unregister(self._held)
        for client in list(self._clients):
            self._drop(client)
