"""Attaching to containers: clients joined to the stdio of a program, and its terminal's size."""

import socket
from collections.abc import Awaitable, Callable

from corten import errors
from corten.engine.attach import Session
from corten.engine.container import Container
from corten.engine.life import Life
from corten.engine.peer import Peer
from corten.runtime.conmon import Monitor
from corten.wire import detachkeys

Replay = Callable[[Container, Peer, bool, bool], Awaitable[None]]
"""Sends the log so far to a peer: (container, peer, stdout, stderr)."""


class Attachments:
    """All coroutines run on the engine's loop."""

    def __init__(self, life: Life, replay: Replay) -> None:
        self._life = life
        self._replay = replay

    def check_attach(self, reference: str) -> Container:
        """Raises what attach would raise, before the connection is taken over."""
        container = self._life.shelf.get(reference)
        if container.state.status == "paused":
            raise errors.Conflict(f"container {reference} is paused, unpause the container before attach")
        if container.state.status == "restarting":
            raise errors.Conflict(f"container {reference} is restarting, wait until the container is running")
        return container

    async def attach(
        self,
        reference: str,
        peer: Peer,
        *,
        stdin: bool = False,
        stdout: bool = False,
        stderr: bool = False,
        logs: bool = False,
        stream: bool = False,
        detach_keys: str = "",
    ) -> None:
        """Join *peer* to the container's stdio until either ends. A container that does not run yet is waited for."""
        container = self.check_attach(reference)
        keys = detachkeys.parse(detach_keys) if stdin and container.config.tty else None
        session = Session(
            peer, stdin=stdin and container.config.open_stdin, stdout=stdout, stderr=stderr, detach_keys=keys
        )
        self._life.emit(container, "attach")
        try:
            if logs and (stdout or stderr):
                await self._replay(container, peer, stdout, stderr)
            if stream and container.state.status not in ("dead", "removing"):
                container.sessions.add(session)
                if container.monitor is not None:
                    session.connect(await self._connection(container.monitor))
                await session.run()
            if session.detached:
                self._life.emit(container, "detach")
        finally:
            container.sessions.discard(session)
            peer.close()

    async def _connection(self, monitor: Monitor) -> socket.socket | None:
        """To the stdio of a running container; in a thread, as a stopped conmon does not accept."""
        try:
            return await self._life.call(monitor.attach)
        except OSError:
            return None  # it ends just now, and so does the session

    async def resize(self, reference: str, height: int, width: int) -> None:
        """Set the size of the container's terminal."""
        container = self._life.shelf.get(reference)
        await container.started()
        monitor = container.monitor
        if monitor is None:
            raise errors.Conflict(f"container {container.id} is not running")
        await self._life.call(monitor.resize, height, width)
        self._life.emit(container, "resize", height=str(height), width=str(width))

    def check_detach_keys(self, keys: str) -> None:
        """InvalidArgument for a sequence that cannot be."""
        detachkeys.parse(keys)
