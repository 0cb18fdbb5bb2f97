"""Execs: further processes in running containers (the API's group "exec")."""

import asyncio
import contextlib
import itertools
import os
import secrets
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Protocol

from msgspec.structs import replace

from corten import errors
from corten.engine.container import Container
from corten.engine.containers import Containers
from corten.engine.events import Events
from corten.engine.peer import STDERR, STDOUT, Peer
from corten.engine.rootview import process_root
from corten.linux import path as rooted
from corten.linux.host import Host
from corten.linux.migration import Migrations
from corten.model.exec import ExecOptions, ExecState
from corten.runtime import process as processes
from corten.runtime.ociruntime import OCIRuntime
from corten.runtime.process import Process
from corten.runtime.spec_process import ExecInput, exec_process
from corten.wire import detachkeys
from corten.wire.detachkeys import DetachScanner

KEPT = 300.0
"""Seconds that an ended exec can still be inspected."""

CHUNK = 65536
START_WAIT = 10.0
BURST = 16
"""Chunks read before other work gets a turn."""
SILENCE = 2.0
"""Seconds without output after the process's end; then those who still hold its stdout open are not waited for."""


Ended = asyncio.Future[None]


class Sink(Protocol):
    """Where output goes: a client's peer, or what keeps a probe's first bytes."""

    def write(self, stream: int, data: bytes) -> None: ...

    async def drain(self) -> None: ...


class Exec:
    """Live side of one exec."""

    def __init__(self, state: ExecState, container: Container) -> None:
        self.state = state
        self.container = container
        self.process: Process | None = None
        self.started = asyncio.Event()
        self.ended: Ended = asyncio.get_running_loop().create_future()


class Execs:
    """See the module."""

    def __init__(
        self,
        containers: Containers,
        events: Events,
        host: Host,
        runtimes: Callable[[str], OCIRuntime],
        pool: Executor,
        default_ulimits: Mapping[str, tuple[int, int]],
        migrations: Migrations,
    ) -> None:
        self._default_ulimits = default_ulimits
        self._containers = containers
        self._events = events
        self._host = host
        self._runtimes = runtimes
        self._pool = pool
        self._migrations = migrations
        self._execs: dict[str, Exec] = {}
        self._drains: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        containers.on_remove.append(self._forget)

    def _forget(self, container: Container) -> None:
        """A container that is gone has no execs; kept ones would hold its record."""
        for identifier in [key for key, held in self._execs.items() if held.container is container]:
            held = self._execs[identifier]
            if held.ended.done() or not held.state.started:
                del self._execs[identifier]

    def get(self, exec_id: str) -> Exec:
        """NotFound "No such exec instance: x"."""
        found = self._execs.get(exec_id)
        if found is None:
            raise errors.NotFound(f"No such exec instance: {exec_id}")
        return found

    def inspect(self, exec_id: str) -> ExecState:
        return self.get(exec_id).state

    async def create(self, reference: str, options: ExecOptions) -> str:
        """Prepare an exec; nothing runs yet. Conflict while the container is paused or not running."""
        await self._containers.get(reference).started()
        container = self._running(reference)
        if not options.cmd:
            raise errors.InvalidArgument("no exec command provided")
        detachkeys.parse(options.detach_keys)
        self._migrations.announce()  # the start follows in a moment
        exec_id = secrets.token_hex(32)
        self._execs[exec_id] = Exec(ExecState(id=exec_id, container_id=container.id, options=options), container)
        container.exec_ids.append(exec_id)
        self._emit(container, "exec_create", exec_id, options)
        return exec_id

    def _running(self, reference: str) -> Container:
        container = self._containers.get(reference)
        if container.state.status == "paused":
            raise errors.Conflict(f"container {reference} is paused, unpause the container before exec")
        if container.state.status == "restarting":
            raise errors.Conflict(f"container {reference} is restarting, wait until the container is running")
        if container.state.status != "running":
            raise errors.Conflict(f"container {container.id} is not running")
        return container

    def check_start(self, exec_id: str) -> Exec:
        """Raises what ``start`` would raise, before the connection is taken over."""
        found = self.get(exec_id)
        if found.state.started:
            raise errors.Conflict(f"exec command {exec_id} is already running")
        self._running(found.container.id)
        return found

    async def start(
        self,
        exec_id: str,
        peer: Peer | None,
        detach: bool = False,
        tty: bool = False,
        console_size: tuple[int, int] | None = None,
    ) -> None:
        """Run it. With a peer until the process has ended and its output is sent; detached until it has started.

        Raises StartFailed (126, 127) when the program cannot be executed; the exec's exit code says so, too.
        """
        found = self.check_start(exec_id)
        options = found.state.options
        if console_size and any(console_size):
            options = replace(options, console_size=list(console_size))
        found.state = replace(found.state, started=True)
        attached = peer is not None and not detach
        try:
            process = await self._spawn(found.container, options, attached)
        except BaseException as error:
            code = error.exit_code if isinstance(error, errors.StartFailed) else 126
            self._finish(found, code)
            raise
        found.process = process
        found.state = replace(found.state, running=True, pid=process.pid)
        found.started.set()
        self._emit(found.container, "exec_start", exec_id, options)
        self._loop.add_reader(process.pidfd, self._exited, found)
        if peer is not None and not detach:
            await self._stream(found, process, peer, options)
        elif process.terminal:  # its program would stand still once the terminal is full
            self._drain_later(found, process)

    async def _spawn(self, container: Container, options: ExecOptions, attached: bool) -> Process:
        def spawn() -> Process:
            pid = container.state.pid  # read once: it can end just now
            root = process_root(pid, container.id) if pid else -1
            if root < 0:
                raise errors.Conflict(f"container {container.id} is not running")
            with rooted.opened(root) as root_fd:
                document = exec_process(
                    container.record,
                    ExecInput(
                        cmd=options.cmd or [],
                        tty=options.tty,
                        env=options.env,
                        user=options.user,
                        working_dir=options.working_dir,
                        privileged=options.privileged,
                        console_size=options.console_size,
                    ),
                    root_fd,
                    self._host,
                    default_ulimits=self._default_ulimits,
                )
            return processes.spawn(
                self._runtimes(container.record.runtime),
                container.id,
                document,
                stdin=attached and options.attach_stdin,
                stdout=attached and options.attach_stdout,
                stderr=attached and options.attach_stderr,
            )

        self._migrations.announce()
        spawning = self._loop.run_in_executor(self._pool, spawn)
        try:
            return await asyncio.shield(spawning)
        except asyncio.CancelledError:
            spawning.add_done_callback(self._abandon)
            raise

    def _abandon(self, spawning: "asyncio.Future[Process]") -> None:
        """Whoever asked for the process has gone before it had started: it runs on, and is reaped at its end."""
        if not spawning.cancelled() and spawning.exception() is None:
            self._reap_later(spawning.result())

    def _reap_later(self, process: Process) -> None:
        """Nobody waits for the process any more, but its zombie must not stay."""

        def reap() -> None:
            self._loop.remove_reader(process.pidfd)
            process.exit_code()
            process.close()

        self._loop.add_reader(process.pidfd, reap)

    def _exited(self, found: Exec) -> None:
        assert found.process is not None
        self._loop.remove_reader(found.process.pidfd)
        self._finish(found, found.process.exit_code())

    def _finish(self, found: Exec, code: int) -> None:
        found.state = replace(found.state, running=False, exit_code=code, can_remove=True)
        found.started.set()
        _resolve(found.ended)
        if found.state.id in found.container.exec_ids:
            found.container.exec_ids.remove(found.state.id)
        self._events.emit(
            "container",
            "exec_die",
            found.container.id,
            {**found.container.attributes(), "execID": found.state.id, "exitCode": str(code)},
        )
        self._loop.call_later(KEPT, self._execs.pop, found.state.id, None)
        if found.process is not None and found.process.stdout < 0 and found.process.stderr < 0:
            found.process.close()

    async def resize(self, exec_id: str, height: int, width: int) -> None:
        """Set the terminal's size; waits for the start, since clients send it early."""
        found = self.get(exec_id)
        try:
            await asyncio.wait_for(found.started.wait(), START_WAIT)
        except TimeoutError as error:
            raise errors.Conflict(f"exec {exec_id} was not started in time to be resized") from error
        if found.process is not None and not found.ended.done():
            found.process.resize(height, width)

    def _emit(self, container: Container, action: str, exec_id: str, options: ExecOptions) -> None:
        command = " ".join(options.cmd or [])
        attributes = {**container.attributes(), "execID": exec_id}
        self._events.emit("container", f"{action}: {command}", container.id, attributes)

    # streams

    async def _stream(self, found: Exec, process: Process, peer: Peer, options: ExecOptions) -> None:
        outputs = [
            asyncio.create_task(self._pump_output(fd, stream, peer, found.ended))
            for fd, stream in ((process.stdout, STDOUT), (process.stderr, STDERR))
            if fd >= 0
        ]
        keys = DetachScanner(detachkeys.parse(options.detach_keys)) if options.tty and options.attach_stdin else None
        stdin = asyncio.create_task(self._pump_input(process, peer, keys)) if process.stdin >= 0 else None
        gone = asyncio.create_task(peer.wait_closed())
        ended = asyncio.create_task(_all_done(found.ended, outputs))
        try:
            waited: set[asyncio.Task[None]] = {ended, gone}
            detached = False
            while not (ended.done() or gone.done() or detached):
                await asyncio.wait({*waited, stdin} if stdin else waited, return_when=asyncio.FIRST_COMPLETED)
                if stdin is not None and stdin.done():
                    detached, stdin = stdin.result(), None
            if detached:
                self._events.emit("container", "exec_detach", found.container.id, found.container.attributes())
        finally:
            for task in (stdin, gone, ended, *outputs):
                if task is not None:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError, OSError):
                        await task
            peer.close()
            if found.ended.done():
                process.close()
            else:
                self._drain_later(found, process)

    def _drain_later(self, found: Exec, process: Process) -> None:
        task = asyncio.create_task(self._drain(found, process))
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)

    async def _drain(self, found: Exec, process: Process) -> None:
        """Nobody listens any more, or ever did: the process runs on and its output goes nowhere, as with Docker.

        A terminal must stay open for that: closing its master side would hang the process up.
        """
        if process.stdin >= 0 and not process.terminal:
            os.close(process.stdin)
            process.stdin = -1
        outputs = [
            asyncio.create_task(self._pump_output(fd, STDOUT, _Collector(0), found.ended))
            for fd in (process.stdout, process.stderr)
            if fd >= 0
        ]
        try:
            await _all_done(found.ended, outputs)
        finally:
            for output in outputs:
                output.cancel()
            await asyncio.gather(*outputs, return_exceptions=True)
            process.close()

    async def _pump_output(self, fd: int, stream: int, peer: Sink, ended: Ended) -> None:
        for taken in itertools.count(1):
            try:
                data = os.read(fd, CHUNK)
            except BlockingIOError:
                if not await self._readable(fd, ended):
                    return
                continue
            except OSError:  # EIO: the terminal's other side is closed
                return
            if not data:
                return
            peer.write(stream, data)
            await peer.drain()
            if taken % BURST == 0:
                await asyncio.sleep(0)

    async def _readable(self, fd: int, ended: Ended) -> bool:
        """Wait for output; False when the process has ended and there was none for a while."""
        future = self._loop.create_future()
        self._loop.add_reader(fd, _resolve, future)
        try:
            await asyncio.wait({future, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not future.done():
                await asyncio.wait({future}, timeout=SILENCE)
            return future.done()
        finally:
            self._loop.remove_reader(fd)

    async def _pump_input(self, process: Process, peer: Peer, keys: DetachScanner | None) -> bool:
        """Until the client closes its side; True when it typed the detach keys."""
        detached = False
        while not detached and (data := await peer.read()):
            if keys is not None:
                data, detached = keys.feed(data)
            if not await self._write_all(process.stdin, data):
                return detached
        if not detached and not process.terminal and process.stdin >= 0:
            os.close(process.stdin)
            process.stdin = -1
        return detached

    async def _write_all(self, fd: int, data: bytes) -> bool:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(fd, view) :]
            except BlockingIOError:
                future = self._loop.create_future()
                self._loop.add_writer(fd, _resolve, future)
                try:
                    await future
                finally:
                    self._loop.remove_writer(fd)
            except OSError:  # the process has closed its stdin
                return False
        return True

    # for health checks

    async def probe(self, container: Container, command: list[str], timeout: float, limit: int) -> tuple[int, str]:
        """Run *command* and return (exit code, output up to *limit* bytes); -1 when it took longer than *timeout*."""
        options = ExecOptions(cmd=command, attach_stdout=True, attach_stderr=True)
        process = await self._spawn(container, options, True)
        collected = _Collector(limit)
        ended = self._loop.create_future()
        self._loop.add_reader(process.pidfd, _resolve, ended)
        pumps = [
            asyncio.create_task(self._pump_output(fd, 1, collected, ended)) for fd in (process.stdout, process.stderr)
        ]
        reaped = False
        try:
            done, _ = await asyncio.wait({ended}, timeout=timeout)
            if not done:
                signal.pidfd_send_signal(process.pidfd, signal.SIGKILL)
                await ended
            code, reaped = process.exit_code(), True
            if not done:
                return -1, f"Health check exceeded timeout ({_duration(timeout)})"
            await asyncio.wait(pumps, timeout=1)
            return code, collected.text()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._loop.remove_reader(process.pidfd)
            if reaped:
                process.close()
            else:
                self._reap_later(process)


class _Collector:
    """A peer that keeps the first bytes and drops the rest, so that a talkative probe costs no memory."""

    def __init__(self, limit: int) -> None:
        self._data = bytearray()
        self._limit = limit

    def write(self, stream: int, data: bytes) -> None:
        self._data += data[: max(0, self._limit - len(self._data))]

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def text(self) -> str:
        return self._data.decode("utf-8", "replace")


def _duration(seconds: float) -> str:
    return f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1000:g}ms"


async def _all_done(ended: Ended, pumps: list[asyncio.Task[None]]) -> None:
    await asyncio.wait({ended, *pumps})


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
