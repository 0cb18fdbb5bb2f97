"""urllib3's connections, with our own way to the peer: resolve, look at each address, connect, bound the head."""

import http.client
import socket
import weakref
from contextlib import AbstractContextManager
from typing import Any

import urllib3.connection
from urllib3.response import HTTPResponse

from corten.distribution.address import Reach
from corten.distribution.network import Network, dial
from corten.distribution.watch import Watch, shut

MAX_INTERIM = 20
"""Interim answers (1xx) before the final one; the standard library would take them for ever."""


class Dialer:
    """What the connections of one pool share: how far they may go, the way there, and time limits."""

    def __init__(
        self, reach: Reach, network: Network, watch: Watch, handshake_timeout: float, head_timeout: float
    ) -> None:
        self.reach = reach
        self.network = network
        self.watch = watch
        self.handshake_timeout = handshake_timeout
        self.head_timeout = head_timeout
        self.open: weakref.WeakSet[Connection] = weakref.WeakSet()

    def abort(self) -> None:
        """End every connection that was made here."""
        for connection in list(self.open):
            connection.abort()


class _Answer(http.client.HTTPResponse):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._interim = 0

    def _read_status(self) -> tuple[str, int, str]:
        self._interim += 1
        if self._interim > MAX_INTERIM:
            raise http.client.HTTPException("too many interim answers")
        version, status, reason = super()._read_status()  # type: ignore[misc]
        # the standard library goes on reading after 100 alone; 103 may come as well
        return version, 100 if 100 < status < 200 and status != 101 else status, reason


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
        sock = dial(self.dialer.network, self._dns_host.strip("[]"), self.port, self.dialer.reach, self.timeout)
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

    def limit(self, seconds: float) -> AbstractContextManager[None]:
        """Inside, the connection ends after *seconds*."""
        return self.dialer.watch.limit(self.wire, seconds)

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
