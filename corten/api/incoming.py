"""What a client sends: bytes to requests and their bodies, with bounds and back-pressure.

A fresh h11 parser per request stops at that request's end, so what follows can be handed, untouched, to a hijacked
stream even when the client never asked to upgrade.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import h11

from corten.api.errors import Malformed

MAX_HEAD = 256 << 10
"""Bytes of request line and headers (registry credentials and filters travel there)."""
HIGH_WATER = 512 << 10
"""Bytes of a body that wait for the handler before the client is held up."""
PART = 256 << 10
"""Clients send small chunks; so many bytes are handed on at once where they are there."""


MOST_PARTS = 512
"""Chunks of a body that are taken apart in one go; a client that sends bytes one by one must not hold up the others."""


class Incoming:
    """One connection's receiving side. *pause* and *resume* stop and start the transport; *send* answers 100s."""

    def __init__(self, pause: Callable[[], None], resume: Callable[[], None], send: Callable[[bytes], None]) -> None:
        self._pause = pause
        self._resume = resume
        self._send = send
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._inbox: deque[bytes] = deque()
        self._inbox_size = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._broken: Malformed | None = None
        self.eof = False
        """The client has closed its sending side, or has gone."""
        self.body_done = True
        self.continue_wanted = False
        """The client waits for a 100 before it sends the body."""

    # bytes in

    def feed(self, data: bytes) -> None:
        """Bytes that belong to a body, or that come early."""
        self._inbox.append(data)
        self._inbox_size += len(data)
        if self._waiter is not None:
            self._wake()
        elif self._inbox_size > HIGH_WATER and not self._paused:
            self._paused = True
            self._pause()

    def feed_eof(self) -> None:
        self.eof = True
        self._wake()

    def resume(self) -> None:
        """Let the client go on if it was held up."""
        if self._paused:
            self._paused = False
            self._resume()

    # requests out

    def next_request(self) -> h11.Request | None:
        """The next request's head, None while it is not whole. Raises Malformed."""
        while self._inbox:
            self._parser.receive_data(self._inbox.popleft())
        self._inbox_size = 0
        try:
            event = self._parser.next_event()
        except h11.RemoteProtocolError as error:
            raise Malformed(f"malformed request: {error}") from error
        return event if isinstance(event, h11.Request) else None

    @property
    def begun(self) -> bool:
        """Whether there are bytes of a request whose head is not whole."""
        return bool(self._inbox or self._parser.trailing_data[0])

    def begin_body(self, has_body: bool) -> None:
        """Prepare for the body of the request that was just returned."""
        self.continue_wanted = has_body and self._parser.they_are_waiting_for_100_continue
        self.body_done = not has_body
        if not has_body:
            self._parser.next_event()  # its end

    def end_request(self) -> None:
        """Prepare for the next request, once the body has been read."""
        rest = self.rest()
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        if rest:
            self._inbox.append(rest)

    def rest(self) -> bytes:
        """Take what came after the request."""
        rest = self._parser.trailing_data[0] + b"".join(self._inbox)
        self._inbox.clear()
        self._inbox_size = 0
        return rest

    # bodies

    async def read(self) -> bytes:
        """The next part of the body, what has arrived up to about ``PART`` bytes; b"" after the last.

        Raises Malformed for broken framing or a broken-off body.
        """
        if self.body_done:
            return b""
        if self.continue_wanted:
            self.continue_wanted = False
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._broken is not None:
            raise self._broken
        parts: list[bytes] = []
        size = 0
        while size < PART and len(parts) < MOST_PARTS:
            try:
                event = self._parser.next_event()
                if isinstance(event, h11.Data):
                    parts.append(bytes(event.data))
                    size += len(event.data)
                    continue
                if event is not h11.NEED_DATA:
                    self.body_done = True
                    break
                if self._inbox or self.eof:
                    self._parser.receive_data(self._take())
                    continue
            except h11.RemoteProtocolError as error:
                self._broken = Malformed(f"malformed request body: {error}")
                if parts:
                    break
                raise self._broken from error
            if parts:
                break
            await self._more()
        if len(parts) == MOST_PARTS:
            await asyncio.sleep(0)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _take(self) -> bytes:
        """The next bytes; b"" tells the parser that there will be none."""
        if not self._inbox:
            return b""
        data = self._inbox.popleft()
        self._inbox_size -= len(data)
        if self._inbox_size < HIGH_WATER // 4:
            self.resume()
        return data

    async def _more(self) -> None:
        self.resume()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
