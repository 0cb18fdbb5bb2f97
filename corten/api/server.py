"""The API server: listening sockets, connections and an orderly end.

``create_app(engine)`` makes it, ``serve(...)`` adds listening sockets, ``close`` ends it.
"""

import asyncio
import logging
import socket
import ssl

import corten
from corten.api import versions
from corten.api.accept import Acceptor
from corten.api.audit.trail import Trail
from corten.api.backend import Backend
from corten.api.connection import Connection
from corten.api.hijack import HijackedPeer
from corten.api.routes import all_routes
from corten.api.routing import Router
from corten.api.tls import TlsLayer

log = logging.getLogger("corten.api")


class Server:
    """The Engine API of one engine on any number of sockets. All methods belong to the loop's thread."""

    def __init__(self, backend: Backend, trail: Trail | None = None) -> None:
        self.backend = backend
        self.trail = trail
        self.router = Router(all_routes())
        self.connections: set[Connection | HijackedPeer] = set()
        self.common_headers = (
            f"Api-Version: {versions.MAX_TEXT}\r\nDocker-Experimental: false\r\nOstype: linux\r\n"
            f"Server: Corten/{corten.__version__} (linux)\r\n"
        )
        self.closed = False
        self._listeners: list[Acceptor] = []

    async def serve(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Answer on *sock*, which is bound (and may be listening already, as from systemd).

        Web browsers are refused on TCP without TLS: there nothing but the address protects the API from pages that
        guess it.
        """
        browsers = sock.family == socket.AF_UNIX or tls is not None

        def connection() -> asyncio.Protocol:
            return Connection(self, browsers)

        def tls_connection() -> asyncio.Protocol:
            assert tls is not None
            return TlsLayer(tls, connection)

        self._listeners.append(Acceptor(sock, connection if tls is None else tls_connection))

    async def close(self, timeout: float = 5.0) -> None:
        """Stop listening, cut streams, let running requests end for up to *timeout* seconds, then cut them too."""
        self.closed = True
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for connection in list(self.connections):
            connection.shutdown()
        tasks = [connection.task for connection in self.connections if connection.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)
        for connection in list(self.connections):
            connection.abort()
        for _ in range(3):  # let aborted transports, and connections that were just being accepted, end
            await asyncio.sleep(0)


def create_app(backend: Backend, trail: Trail | None = None) -> Server:
    """The server for *backend* (the engine, or anything with the same methods). *trail* records who did what."""
    return Server(backend, trail)
