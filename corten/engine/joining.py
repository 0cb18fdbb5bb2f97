"""Namespaces of other containers that a container joins by its modes (``--network container:x`` and the like)."""

from collections.abc import Callable

from corten import errors
from corten.engine.container import Container
from corten.engine.launcher import Joined
from corten.engine.paths import Paths


def joined(container: Container, get: Callable[[str], Container], places: Paths) -> Joined:
    """What the modes name; those containers must be running. Conflict when one is not, or does not share."""
    host = container.host_config
    paths: dict[str, str] = {}
    for mode, kind in ((host.pid_mode, "pid"), (host.ipc_mode, "ipc"), (host.network_mode, "net")):
        if not mode.startswith("container:"):
            continue
        other = get(mode.removeprefix("container:"))
        if not other.alive:
            raise errors.Conflict(f"cannot join {kind} namespace: container {other.id} is not running")
        paths[kind] = f"/proc/{other.state.pid}/ns/{kind}"
        if kind == "ipc":
            if other.host_config.ipc_mode != "shareable":
                hint = "(hint: use IpcMode:shareable for the donor container)"
                raise errors.Conflict(f"can't join IPC of container {other.id}: non-shareable IPC {hint}")
            paths["shm"] = f"{places.run(other.id)}/shm"
        if kind == "net":
            paths["files"], paths["hostname"] = other.id, other.config.hostname
    return Joined(
        pid_ns=paths.get("pid", ""), ipc_ns=paths.get("ipc", ""), netns=paths.get("net", ""),
        shm_source=paths.get("shm", ""), files_of=paths.get("files", ""), hostname=paths.get("hostname", ""),
    )  # fmt: skip
