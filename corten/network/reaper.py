"""Devices of ended endpoints, deleted behind the back of whoever waits for a container to go.

Deleting a veth pair waits for the kernel's grace periods, 40 ms and more; nobody needs to stand by. An address is
released only after its device is gone, since the kernel answers for it until then.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable

from corten import errors
from corten.linux import link
from corten.linux.netlink import Batch, Socket

log = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds until a deletion is tried again for which there was no descriptor or no memory."""


class Reaper:
    """One thread that deletes devices; it starts with the first one."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[str, Callable[[], None]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def delete(self, device: str, after: Callable[[], None]) -> None:
        """Delete *device* soon, then call *after*."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="network-reaper", daemon=True)
                self._thread.start()
        self._queue.put((device, after))

    def close(self) -> None:
        """Finish what is queued."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            device, after = item
            while not _deleted(device):
                time.sleep(PAUSE)
            after()


def _deleted(device: str) -> bool:
    """False where the host lacked something just now."""
    batch = Batch()
    link.add_delete_link(batch, device)
    try:
        with Socket() as socket:
            socket.run(batch)
    except errors.System as error:
        log.error("network: %s", error)
    except OSError as error:
        log.warning("network: deleting %s: %s, trying again", device, error.strerror)
        return False
    return True
