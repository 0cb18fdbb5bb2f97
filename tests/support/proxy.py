"""A TCP proxy before a registry that cuts connections, holds them back and counts them."""

import contextlib
import socket
import threading
from collections.abc import Callable


class Proxy:
    """``with Proxy(port) as proxy``: listens at ``proxy.host``. ``before(data, sent)`` is called before bytes go on to
    the registry, with how many of the connection went before; when it gives False the connection is cut. ``open`` are
    the clients' connections, ``ended`` how many bytes those that have ended brought."""

    def __init__(self, port: int, before: Callable[[bytes, int], bool] = lambda data, sent: True) -> None:
        self.before = before
        self.open: set[socket.socket] = set()
        self.ended: list[int] = []
        self._port = port
        self._closed = False
        self._server = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._server.getsockname()[1]}"

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._server.close()
        for sock in list(self.open):
            sever(sock)

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._server.accept()
                registry = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                return
            self.open.add(client)
            threading.Thread(target=self._pass_on, args=(client, registry, self.before), daemon=True).start()
            threading.Thread(
                target=self._pass_on, args=(registry, client, lambda data, sent: True), daemon=True
            ).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, before: Callable[[bytes, int], bool]) -> None:
        sent = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if not before(data, sent):
                    break
                target.sendall(data)
                sent += len(data)
        if source in self.open:
            self.open.discard(source)
            self.ended.append(sent)
        sever(source)
        sever(target)


def sever(sock: socket.socket) -> None:
    """End both directions, so that nobody waits for it."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
