"""Kernel settings that belong to a container's namespaces (runtime-spec config-linux.md, "sysctl")."""

from corten.errors import InvalidArgument
from corten.model.container import HostConfig

_IPC = frozenset(
    f"kernel.{name}"
    for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced", "msg_next_id")
)


def check(host_config: HostConfig) -> None:
    """InvalidArgument for a setting that is not the container's own: it would change the host or another container."""
    for name in host_config.sysctls or ():
        dotted = name.replace("/", ".")
        if dotted.startswith("net."):
            if host_config.network_mode == "host":
                raise InvalidArgument(f"sysctl '{name}' not allowed in host network namespace")
        elif dotted in _IPC or dotted.startswith("fs.mqueue."):
            if host_config.ipc_mode == "host":
                raise InvalidArgument(f"sysctl '{name}' not allowed in host ipc namespace")
        elif dotted == "kernel.domainname":
            if host_config.uts_mode == "host":
                raise InvalidArgument(f"sysctl '{name}' not allowed in host uts namespace")
        else:
            raise InvalidArgument(f"sysctl '{name}' is not allowed as it is not separately namespaced")
