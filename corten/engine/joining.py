"""Namespaces of other containers that a container joins by its modes (``--network container:x`` and the like)."""

import contextlib
import os
from collections.abc import Callable

from corten import errors
from corten.engine.container import Container
from corten.engine.launcher import Joined
from corten.engine.paths import Paths


def joined(container: Container, get: Callable[[str], Container], places: Paths) -> Joined:
    """What the modes name; those containers must be running. Conflict when one is not, or does not share."""
    host = container.host_config
    found: dict[str, str] = {}
    fds: list[int] = []
    with contextlib.ExitStack() as undo:
        for mode, kind in ((host.pid_mode, "pid"), (host.ipc_mode, "ipc"), (host.network_mode, "net")):
            if not mode.startswith("container:"):
                continue
            other = get(mode.removeprefix("container:"))
            if kind == "ipc" and other.alive and other.host_config.ipc_mode != "shareable":
                hint = "(hint: use IpcMode:shareable for the donor container)"
                raise errors.Conflict(f"can't join IPC of container {other.id}: non-shareable IPC {hint}")
            fd = _open_namespace(other, kind)
            fds.append(fd)
            undo.callback(os.close, fd)
            found[kind] = f"/proc/{os.getpid()}/fd/{fd}"
            if kind == "ipc":
                found["shm"] = f"{places.run(other.id)}/shm"
            if kind == "net":
                found["files"], found["hostname"] = other.id, other.config.hostname
        undo.pop_all()
    return Joined(
        pid_ns=found.get("pid", ""), ipc_ns=found.get("ipc", ""), netns=found.get("net", ""),
        shm_source=found.get("shm", ""), files_of=found.get("files", ""), hostname=found.get("hostname", ""),
        fds=tuple(fds),
    )  # fmt: skip


def _open_namespace(other: Container, kind: str) -> int:
    """A descriptor of the running container's namespace, and of no other process that has got its pid since."""
    gone = errors.Conflict(f"cannot join {kind} namespace: container {other.id} is not running")
    if not other.alive:
        raise gone
    try:
        fd = os.open(f"/proc/{other.state.pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise gone from None
    if other.over:  # only now is it known that the pid was still its own
        os.close(fd)
        raise gone
    return fd
