"""One client connection: HTTP/1.1 on an asyncio transport, one handler at a time.

A client that closes its sending side is still answered; handlers of long answers (``start_stream``) are cancelled then,
as nobody would tell them otherwise that the client has gone.
"""

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from corten import errors
from corten.api import versions
from corten.api.audit import identity
from corten.api.call import Call
from corten.api.errors import Malformed, error_response, status_of
from corten.api.head import RequestHead, accept, answer_head
from corten.api.hijack import HijackedPeer
from corten.api.incoming import Incoming
from corten.api.response import Response

if TYPE_CHECKING:
    from corten.api.server import Server
    from corten.api.websocket import WebSocketPeer

log = logging.getLogger("corten.api")

HEAD_TIMEOUT = 60.0
"""Seconds for a begun head to become complete."""
LINGER = 2.0
"""Seconds to take bytes from a client that is still sending when its request has been answered."""
WRITE_HIGH_WATER = 1 << 20
DRAINABLE = 256 << 10
"""An unread rest of a body up to here is skipped to keep the connection; beyond, it is closed."""


class ClientGone(ConnectionResetError):
    """Nobody is there any more to take the answer."""


class Stream:
    """An answer whose length is not known: ``write`` parts, ``drain`` between them."""

    __slots__ = ("_chunked", "_connection", "ended")

    def __init__(self, connection: "Connection", chunked: bool) -> None:
        self._connection = connection
        self._chunked = chunked
        self.ended = False

    def write(self, *parts: bytes) -> None:
        """Send *parts* as one chunk; nothing when they are empty."""
        size = sum(map(len, parts))
        if not size:
            return
        data = b"".join((b"%x\r\n" % size, *parts, b"\r\n")) if self._chunked else b"".join(parts)
        self._connection.send(data)

    async def drain(self) -> None:
        """Wait until the client has taken enough; raises ClientGone."""
        await self._connection.drain()

    def end(self) -> None:
        if not self.ended:
            self.ended = True
            if self._chunked:
                self._connection.send(b"0\r\n\r\n")


class Connection(asyncio.Protocol):
    """The server side of one connection; belongs to the loop's thread."""

    def __init__(self, server: "Server", browsers: bool) -> None:
        self.server = server
        self.transport: asyncio.Transport | None = None
        self._browsers = browsers
        self._incoming = Incoming(self._pause_reading, self._resume_reading, self.send)
        self._task: asyncio.Task[None] | None = None
        self._drain_waiter: asyncio.Future[None] | None = None
        self._write_paused = False
        self._stream: Stream | None = None
        self._hijacked = False
        self._keep_alive = True
        self._http10 = False
        self.has_body = False
        self._timer: asyncio.TimerHandle | None = None
        self._lingering = False
        self._peer: dict[str, Any] | None = None
        self._entry: dict[str, Any] | None = None
        self._status = 0
        self.failed = 0
        """Status of what went wrong inside a stream that had begun."""

    @property
    def task(self) -> "asyncio.Task[None] | None":
        """The running handler."""
        return self._task

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self.server.closed:
            transport.abort()
            return
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self.server.connections.add(self)
        if self.server.trail is not None:
            self._peer = identity.of(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.server.connections.discard(self)
        self._stop_timer()
        self._incoming.feed_eof()
        self.resume_writing()
        if self._task is not None and self._stream is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        self._incoming.feed(data)
        if self._task is None:
            self._next_request()

    def eof_received(self) -> bool:
        self._incoming.feed_eof()
        if self._lingering or self._task is None:
            return False  # the transport closes
        if self._stream is not None and self._incoming.body_done:
            self._task.cancel()
        return True

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        waiter, self._drain_waiter = self._drain_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _pause_reading(self) -> None:
        if self.transport is not None:
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self.transport is not None:
            self.transport.resume_reading()

    # requests

    def _next_request(self) -> None:
        """Start the handler of the next request when its head is complete."""
        try:
            event = self._incoming.next_request()
            if event is None:
                if self._timer is None and self._incoming.begun:
                    self._timer = asyncio.get_running_loop().call_later(HEAD_TIMEOUT, self._close)
                return
            self._stop_timer()
            head = accept(event, self._browsers)
            self._incoming.begin_body(head.has_body)
        except Malformed as error:
            self._keep_alive = False
            self._write(error_response(error, "request"), False)
            self._close()
            return
        self.has_body, self._keep_alive, self._http10 = head.has_body, head.keep_alive, head.http10
        self._task = asyncio.get_running_loop().create_task(self._run(head))

    async def _run(self, head: RequestHead) -> None:
        """One request from its head to the end of its answer, then what follows on the connection."""
        started = time.perf_counter()
        again = False
        self._entry, self._status, self.failed = None, 0, 0
        try:
            response = await self._answer(head)
            if not self._hijacked:
                if response is not None:
                    self._write(response, head.method == "HEAD")
                elif self._stream is not None:
                    self._stream.end()
                again = await self._skip_rest()
        except asyncio.CancelledError:
            self.abort_answer()
            raise
        except ClientGone:
            self.abort_answer()
        finally:
            self._task = None
            self._stream = None
            self._record(head, time.perf_counter() - started)
            if log.isEnabledFor(logging.DEBUG):
                log.debug("%s %s: %.1f ms", head.method, head.path, (time.perf_counter() - started) * 1000)
        if again:
            self._take_next()
        else:
            self._close()

    async def _answer(self, head: RequestHead) -> Response | None:
        """Run the handler; its errors become answers while that is still possible."""
        try:
            version, path = versions.split(head.path)
            handler, params = self.server.router.match(head.method, path)
            call = Call(self, self.server.backend, head.method, path, head.query, head.headers, version, params)
            trail = self.server.trail
            if trail is not None and trail.concerns(head.method, handler):
                self._entry = await trail.request(call, handler, self._peer)
            return await handler(call)
        except (asyncio.CancelledError, ClientGone):
            raise
        except Exception as error:  # the one place where a failure of any kind becomes an answer
            if self._hijacked or self._stream is not None:
                bug = None if isinstance(error, errors.CortenError) else error
                level = logging.ERROR if status_of(error) >= 500 else logging.INFO
                log.log(level, "%s %s: broken off: %s", head.method, head.path, error, exc_info=bug)
                self.abort_answer()
                return None
            if isinstance(error, Malformed):
                self._keep_alive = False
            return error_response(error, f"{head.method} {head.path}")

    def _record(self, head: RequestHead, seconds: float) -> None:
        """The request's outcome, for the audit trail; status 0 says that the client has got no answer."""
        trail = self.server.trail
        if trail is None:
            return
        if self._entry is not None:
            trail.response(self._entry, self._status, self.failed, seconds)
        elif trail.concerns(head.method, None):
            trail.refused(head, self._peer, self._status, seconds)

    async def _skip_rest(self) -> bool:
        """After an answer: skip the rest of the body; says whether the connection can take another request."""
        if not self._keep_alive or self.transport is None or self.transport.is_closing():
            return False
        incoming = self._incoming
        if incoming.body_done:
            return True
        if incoming.continue_wanted:
            return False  # the client was never told to send the body; what comes next is ambiguous
        skipped = 0
        try:
            while skipped < DRAINABLE and (data := await asyncio.wait_for(incoming.read(), LINGER)):
                skipped += len(data)
        except (TimeoutError, Malformed):
            return False
        return incoming.body_done

    def _take_next(self) -> None:
        self._incoming.end_request()
        self._incoming.resume()
        if self._incoming.begun:
            self._next_request()
        if self._incoming.eof and self._task is None:
            self._close()

    async def read_body(self) -> bytes:
        """The next part of the body, b"" after the last. Raises Malformed."""
        return await self._incoming.read()

    # answers

    def send(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    async def drain(self) -> None:
        if self.transport is None or self.transport.is_closing():
            raise ClientGone("the client has gone")
        if self._write_paused:
            if self._drain_waiter is None:
                self._drain_waiter = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._drain_waiter)

    def _write(self, response: Response, no_body: bool) -> None:
        body = response.body
        self._status = response.status
        framing = f"Content-Length: {len(body)}\r\n" if response.status not in (204, 304) else ""
        if not self._keep_alive:
            framing += "Connection: close\r\n"
        common = self.server.common_headers
        head = answer_head(response.status, common, response.content_type, response.headers, framing)
        self.send(head if no_body else head + body)

    def start_stream(self, status: int, content_type: str, headers: dict[str, str] | None) -> Stream:
        """Send the head of an answer without a known length."""
        self._keep_alive = self._keep_alive and not self._http10
        framing = "" if self._keep_alive else "Connection: close\r\n"
        if not self._http10:
            framing += "Transfer-Encoding: chunked\r\n"
        self._stream = Stream(self, not self._http10)
        self._status = status
        self.send(answer_head(status, self.server.common_headers, content_type, headers, framing))
        if self._incoming.eof and self._incoming.body_done and self._task is not None:
            self._task.cancel()
        return self._stream

    # other protocols

    def hijack(self, multiplexed: bool, content_type: str, upgrade: bool) -> HijackedPeer:
        """Answer the head and hand the transport, with what the client has sent already, to a peer."""
        switch = "Connection: Upgrade\r\nUpgrade: tcp\r\n" if upgrade else ""
        status = "101 UPGRADED" if upgrade else "200 OK"
        self._status = 101 if upgrade else 200
        head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{switch}\r\n"
        transport = self._leave(head)
        return self._hand_over(transport, HijackedPeer(transport, multiplexed))

    def websocket(self, head: str) -> "WebSocketPeer":
        """As ``hijack`` for a websocket; *head* is the whole 101 answer."""
        from corten.api.websocket import WebSocketPeer

        self._status = 101
        transport = self._leave(head)
        peer = WebSocketPeer(transport)
        self._hand_over(transport, peer)
        return peer

    def _leave(self, head: str) -> asyncio.Transport:
        transport = self.transport
        if transport is None:
            raise ClientGone("the client has gone")
        transport.write(head.encode("latin-1"))
        self._hijacked = True
        return transport

    def _hand_over(self, transport: asyncio.Transport, peer: HijackedPeer) -> HijackedPeer:
        connections = self.server.connections
        connections.discard(self)
        connections.add(peer)
        peer.on_lost = connections.discard
        transport.set_protocol(peer)
        if self._write_paused:
            peer.pause_writing()
        if rest := self._incoming.rest():
            peer.data_received(rest)
        self._incoming.resume()
        if self._incoming.eof:
            peer.eof_received()
        self.transport = None
        return peer

    # the end

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def abort_answer(self) -> None:
        """Close without an orderly end, so that the client sees that the answer is not whole."""
        if self.transport is not None:
            self.transport.abort() if self._stream is not None else self._close()

    def _close(self) -> None:
        """Send what is buffered, and give a client that is still sending the time to read the answer."""
        transport = self.transport
        if transport is None or self._lingering:
            return
        self._stop_timer()
        self._keep_alive = False
        self._lingering = True
        if self._incoming.eof or not transport.can_write_eof():
            transport.close()
            return
        transport.write_eof()
        self._incoming.resume()
        self._timer = asyncio.get_running_loop().call_later(LINGER, self._linger_over)

    def _linger_over(self) -> None:
        """Cut a client that still sends, but not one that is still taking a long answer."""
        self._timer = None
        if self.transport is not None:
            if self.transport.get_write_buffer_size():
                self._timer = asyncio.get_running_loop().call_later(LINGER, self._linger_over)
            else:
                self.transport.abort()

    def shutdown(self) -> None:
        """Close now if idle; a running handler's connection closes after its answer, an open stream is cut."""
        self._keep_alive = False
        if self._task is None:
            self._close()
        elif self._stream is not None:
            self._task.cancel()

    def abort(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self.transport is not None:
            self.transport.abort()
