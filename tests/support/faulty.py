"""A daemon that dies or fails at a step that a test names (``corten.faultpoint``)."""

import http.client
import os
import tempfile
import time

from tests.support.daemon import Daemon
from tests.support.http import Api, Response
from tests.support.stock import PATIENCE


class FaultyDaemon(Daemon):
    """``arm`` before a request, ``disarm`` after it. ``call`` gives None where the daemon died over a request."""

    def __init__(self) -> None:
        super().__init__(kind="cortend")
        self.faults = tempfile.mkdtemp(prefix="faults-", dir=self.base)

    def environment(self) -> dict[str, str]:
        return {"CORTEN_FAULTS": self.faults}

    def arm(self, step: str, action: str, count: int = 1) -> None:
        """*action*: kill, wait, or an errno's name."""
        with open(f"{self.faults}/new", "w") as file:
            file.write(f"{step} {action} {count}\n")
        os.rename(f"{self.faults}/new", f"{self.faults}/armed")

    def disarm(self) -> None:
        if os.path.exists(f"{self.faults}/armed"):
            os.unlink(f"{self.faults}/armed")

    def forget_trace(self) -> None:
        open(f"{self.faults}/trace", "w").close()

    def trace(self) -> list[str]:
        """The steps reached since ``forget_trace``."""
        if not os.path.exists(f"{self.faults}/trace"):
            return []
        with open(f"{self.faults}/trace") as file:
            return file.read().split()

    def call(self, method: str, path: str, body: object = None, query: dict | None = None) -> Response | None:
        try:
            return Api(self.socket, timeout=60 * PATIENCE)(method, path, body, query)
        except (http.client.HTTPException, ConnectionError, FileNotFoundError):
            return None

    def dies(self, seconds: float) -> bool:
        """Whether it ends within that time."""
        assert self.process is not None
        deadline = time.monotonic() + seconds * PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.process.poll() is not None
