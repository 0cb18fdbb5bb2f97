"""urllib3's connections, with our own way to the peer: resolve, look at each address, connect, bound the head."""

import http.client
import socket
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import urllib3.connection
from urllib3.response import HTTPResponse

from corten import errors
from corten.distribution import address
from corten.distribution.address import Reach
from corten.distribution.watch import Watch, shut

Resolver = Callable[[str, int], Sequence[tuple[str, int]]]
"""(host, port) → socket addresses, best first. OSError."""
MAX_INTERIM = 20
"""Interim answers (1xx) before the final one; the standard library would take them for ever."""


class Refused(errors.Forbidden):
    """The address is one that this request must not go to."""


def resolve(host: str, port: int) -> list[tuple[str, int]]:
    """The system's answer, in its order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((str(entry[4][0]), port) for entry in found))


class Dialer:
    """How far a connection may go, and the way there."""

    def __init__(
        self, reach: Reach, resolver: Resolver, watch: Watch, handshake_timeout: float, head_timeout: float
    ) -> None:
        self.reach = reach
        self.resolver = resolver
        self.watch = watch
        self.handshake_timeout = handshake_timeout
        self.head_timeout = head_timeout
        self.open: weakref.WeakSet[Connection] = weakref.WeakSet()

    def abort(self) -> None:
        """End every connection that was made here."""
        for connection in list(self.open):
            connection.abort()

    def dial(self, host: str, port: int, timeout: float | None) -> socket.socket:
        """A connected socket. Refused when no address of *host* may be used; OSError of the last one tried."""
        candidates = self.resolver(host, port)
        allowed = [each for each in candidates if (ip := address.parse(each[0])) and self.reach.admits(ip)]
        if not allowed:
            shown = ", ".join(each[0] for each in candidates) or "no address"
            raise Refused(f"connecting to {host} refused: {shown} is not where this registry may lead")
        failure: OSError | None = None
        for each in allowed:
            try:
                sock = socket.create_connection(each, timeout)
            except OSError as error:
                error.filename = f"{each[0]}:{each[1]}" if ":" not in each[0] else f"[{each[0]}]:{each[1]}"
                failure = error
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return sock
        assert failure is not None
        raise failure


class _Answer(http.client.HTTPResponse):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._interim = 0

    def _read_status(self) -> tuple[str, int, str]:
        self._interim += 1
        if self._interim > MAX_INTERIM:
            raise http.client.HTTPException("too many interim answers")
        return super()._read_status()  # type: ignore[misc, no-any-return]


class Connection:
    """What both kinds share; ``dialer`` comes from the pool."""

    response_class = _Answer
    dialer: Dialer
    wire: socket.socket | None = None
    """The connected socket; ``sock`` is given up early where the server closes after its answer."""
    port: Any
    timeout: Any
    sock: Any
    _dns_host: Any

    def connect(self) -> None:
        """Dial, and shake hands where there are hands to shake, within a time for the whole."""
        self._handshake: tuple[int, socket.socket] | None = None
        over = False
        try:
            super().connect()  # type: ignore[misc]
        except (OSError, http.client.HTTPException) as error:
            if self._shaken():
                raise TimeoutError("TLS handshake timeout") from error
            raise
        finally:
            over = self._shaken()
        if over:
            raise TimeoutError("TLS handshake timeout")
        self.wire = self.sock
        self.dialer.open.add(self)

    def _new_conn(self) -> socket.socket:
        sock = self.dialer.dial(self._dns_host.strip("[]"), self.port, self.timeout)
        # TLS takes the descriptor over into an object that is not known before its handshake is done
        twin = sock.dup()
        self._handshake = self.dialer.watch.start(twin, self.dialer.handshake_timeout), twin
        return sock

    def _shaken(self) -> bool:
        """Done with the handshake, one way or the other; says whether its time was over."""
        handshake, self._handshake = self._handshake, None
        if handshake is None:
            return False
        number, twin = handshake
        over = self.dialer.watch.stop(number)
        twin.close()
        return over

    def abort(self) -> None:
        """From any thread: whoever waits for this connection finds its end."""
        if self.wire is not None:
            shut(self.wire)

    def getresponse(self) -> HTTPResponse:
        with self.dialer.watch.limit(self.sock, self.dialer.head_timeout):
            return super().getresponse()  # type: ignore[misc, no-any-return]


class PlainConnection(Connection, urllib3.connection.HTTPConnection):  # type: ignore[misc]
    def __init__(self, *arguments: Any, dialer: Dialer, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.dialer = dialer


class TLSConnection(Connection, urllib3.connection.HTTPSConnection):  # type: ignore[misc]
    def __init__(self, *arguments: Any, dialer: Dialer, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.dialer = dialer
