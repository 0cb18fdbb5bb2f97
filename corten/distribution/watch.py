"""An end to what would take for ever: sockets are shut down when their time is over.

A socket's own timeout bounds each wait, and a peer that sends a byte a minute never meets it.
"""

import contextlib
import heapq
import itertools
import socket
import threading
import time
from collections.abc import Iterator


class Watch:
    """One thread for all deadlines; it starts with the first and ends when none was set for a while."""

    IDLE = 10.0
    """Seconds that the thread waits for a next deadline."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._heap: list[tuple[float, int, socket.socket]] = []
        self._over: set[int] = set()
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._wakes = 0.0

    @contextlib.contextmanager
    def limit(self, sock: socket.socket | None, seconds: float) -> Iterator[None]:
        """Inside, *sock* is shut down after *seconds*: who waits for it finds its end. TimeoutError then."""
        if sock is None:
            yield
            return
        number = self.start(sock, seconds)
        try:
            yield
        except OSError as error:
            if self.stop(number):
                raise TimeoutError(f"not done within {seconds:g} s") from error
            raise
        except BaseException:
            self.stop(number)
            raise
        if self.stop(number):
            raise TimeoutError(f"not done within {seconds:g} s")

    def start(self, sock: socket.socket, seconds: float) -> int:
        """Shut *sock* down after *seconds* unless ``stop`` is called before with what this gives."""
        with self._condition:
            number = next(self._numbers)
            heapq.heappush(self._heap, (time.monotonic() + seconds, number, sock))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="registry-watch", daemon=True)
                self._thread.start()
            elif self._heap[0][0] < self._wakes:
                self._condition.notify()
            return number

    def stop(self, number: int) -> bool:
        """Forget a deadline; says whether it has passed."""
        with self._condition:
            if number in self._over:
                self._over.discard(number)
                return True
            self._heap = [entry for entry in self._heap if entry[1] != number]
            heapq.heapify(self._heap)
            return False

    def _run(self) -> None:
        with self._condition:
            while True:
                now = time.monotonic()
                while self._heap and self._heap[0][0] <= now:
                    _, number, sock = heapq.heappop(self._heap)
                    self._over.add(number)
                    shut(sock)
                # most deadlines are met long before: waking for each new one would cost more than the reads they guard
                wait = min(self._heap[0][0] - now, self.IDLE) if self._heap else self.IDLE
                self._wakes = now + wait
                if not self._condition.wait(wait) and wait == self.IDLE and not self._heap:
                    self._thread = None
                    return


def shut(sock: socket.socket) -> None:
    """Make every wait for *sock* end, in any thread. Its TLS layer, not ours to touch from here, sees the end too."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
