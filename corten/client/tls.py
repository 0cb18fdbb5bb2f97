"""TLS to a remote daemon; loaded only when an endpoint asks for it."""

from __future__ import annotations

import os
import socket
import ssl
import threading

from corten.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.client.endpoint import TlsFiles

_BLOCK = 256 * 1024
_RECORD = 16 * 1024


def wrap(sock: socket.socket, host: str, files: TlsFiles) -> TlsSocket:
    """``sock`` secured for ``host``; closes ``sock`` when the handshake fails."""
    try:
        return TlsSocket(sock, context(files), host)
    except BaseException:
        sock.close()
        raise


def context(files: TlsFiles) -> ssl.SSLContext:
    """A client context of TLS 1.2 or newer; the client certificate is optional, the CA is not when verifying."""
    result = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    result.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if not files.verify:
            result.check_hostname = False
            result.verify_mode = ssl.CERT_NONE
        else:
            result.load_verify_locations(files.ca)
        if os.path.exists(files.certificate):
            result.load_cert_chain(files.certificate, files.key)
    except OSError as error:
        raise InvalidArgument(f"could not read the TLS files in {os.path.dirname(files.ca)}: {error}") from error
    return result


class TlsSocket:
    """A TLS connection with the methods of a socket that the client uses.

    ``ssl.SSLSocket`` cannot end one direction and go on reading, which is how the end of standard input is told;
    here that sends close_notify alone (RFC 8446, section 6.1). One thread may read while another writes: ``_state``
    guards the TLS state and is never held while the network is waited for, ``_order`` keeps records in order.
    """

    def __init__(self, sock: socket.socket, settings: ssl.SSLContext, host: str) -> None:
        self._sock = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = settings.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._state = threading.Lock()
        self._order = threading.Lock()
        self._handshake()

    def _handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._receive()
            else:
                self._flush()
                return

    def _receive(self) -> None:
        data = self._sock.recv(_BLOCK)
        with self._state:
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    def _flush(self) -> None:
        with self._order:
            with self._state:
                data = self._outgoing.read()
            self._sock.sendall(data)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Up to ``size`` bytes, none at the end. With flags (a peek) it tells of the bare socket alone."""
        if flags:
            return self._sock.recv(size, flags)
        while True:
            try:
                with self._state:
                    return self._tls.read(size)
            except ssl.SSLWantReadError:
                if self._outgoing.pending:
                    self._flush()
                self._receive()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def sendall(self, data: bytes) -> None:
        """Send all of ``data``."""
        view = memoryview(data)
        while view:
            with self._state:
                self._tls.write(view[:_RECORD])
            self._flush()
            view = view[_RECORD:]

    def shutdown(self, how: int) -> None:
        """End the writing direction, or the whole connection at once."""
        if how != socket.SHUT_WR:
            self._sock.shutdown(how)
            return
        with self._state:
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                pass  # it wants the other side's close_notify, which may come much later
        self._flush()

    def setblocking(self, flag: bool) -> None:
        self._sock.setblocking(flag)

    def close(self) -> None:
        self._sock.close()
