"""The way to a server: names to addresses, addresses to sockets. Each address is looked at just before it is used."""

import socket
from collections.abc import Sequence

from corten import errors
from corten.distribution import address
from corten.distribution.address import Reach

SocketAddress = tuple[str, int]


class Refused(errors.Forbidden):
    """The address is one that this request must not go to."""


class Network:
    """The host's own; a test may put another in its place."""

    def resolve(self, host: str, port: int) -> Sequence[SocketAddress]:
        """Addresses, best first. OSError."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError:  # a label of more than 63 characters, or an empty one
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
        return list(dict.fromkeys((str(entry[4][0]), port) for entry in found))

    def connect(self, where: SocketAddress, timeout: float | None) -> socket.socket:
        """A connected socket. OSError."""
        return socket.create_connection(where, timeout)


def dial(network: Network, host: str, port: int, reach: Reach, timeout: float | None) -> socket.socket:
    """A connection to *host*. Refused when none of its addresses lies within *reach*; OSError of the last one tried."""
    candidates = network.resolve(host, port)
    allowed = [each for each in candidates if (ip := address.parse(each[0])) and reach.admits(ip)]
    if not allowed:
        shown = ", ".join(each[0] for each in candidates) or "no address"
        raise Refused(f"connecting to {host} refused: {shown} is not where this registry may lead")
    failure: OSError | None = None
    for each in allowed:
        try:
            sock = network.connect(each, timeout)
        except OSError as error:
            error.filename = f"[{each[0]}]:{each[1]}" if ":" in each[0] else f"{each[0]}:{each[1]}"
            failure = error
            continue
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return sock
    assert failure is not None
    raise failure
