"""Values that a container gets where its client said nothing, as they then show in ``inspect``."""

from typing import Any

import msgspec

from corten.linux.host import Host
from corten.model.container import HostConfig, RestartPolicy
from corten.runtime import security
from corten.runtime.spec_mounts import DEFAULT_SHM_SIZE


def fill(
    host_config: HostConfig, host: Host, *, ipc_mode: str = "private", cgroupns: str = "", runtime: str = ""
) -> HostConfig:
    """*host_config* with Docker's defaults filled in. The keywords are the daemon's settings."""
    changes: dict[str, Any] = {}
    if host_config.network_mode in ("", "default"):
        changes["network_mode"] = "bridge"
    if not host_config.restart_policy.name:
        changes["restart_policy"] = RestartPolicy(name="no")
    if not host_config.ipc_mode:
        changes["ipc_mode"] = ipc_mode
    if not host_config.cgroupns_mode:
        private = not host_config.privileged or host.cgroups.is_v2
        default = cgroupns or ("private" if host.cgroups.is_v2 else "host")
        changes["cgroupns_mode"] = default if private else "host"
    if not host_config.shm_size and not host_config.ipc_mode.startswith(("container:", "host", "none")):
        changes["shm_size"] = DEFAULT_SHM_SIZE
    if not host_config.runtime and runtime:
        changes["runtime"] = runtime
    if host_config.memory > 0 and host_config.memory_swap == 0:
        changes["memory_swap"] = host_config.memory * 2
    if host_config.memory_swappiness == -1:
        changes["memory_swappiness"] = None
    if host_config.pids_limit is not None and host_config.pids_limit <= 0:
        changes["pids_limit"] = None
    if host_config.oom_kill_disable is None and not host.cgroups.is_v2:
        changes["oom_kill_disable"] = False
    changes.update(_paths(host_config, host))
    return msgspec.structs.replace(host_config, **changes) if changes else host_config


def _paths(host_config: HostConfig, host: Host) -> dict[str, Any]:
    """The lists of hidden and read-only paths; none where the client lifted them."""
    open_paths = host_config.privileged or security.parse(host_config.security_opt).system_paths_unconfined
    changes: dict[str, Any] = {}
    if host_config.masked_paths is None and not open_paths:
        changes["masked_paths"] = security.masked_paths(host)
    if host_config.readonly_paths is None and not open_paths:
        changes["readonly_paths"] = list(security.READONLY_PATHS)
    return changes
