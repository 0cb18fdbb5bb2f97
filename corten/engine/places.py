"""Where a container's files lie on the host, for those who ask (inspect)."""

from typing import NamedTuple


class Places(NamedTuple):
    """Host paths of a container's files and of its network namespace; "" for what it does not have (yet)."""

    hosts: str = ""
    hostname: str = ""
    resolv_conf: str = ""
    log: str = ""
    sandbox_id: str = ""
    sandbox_key: str = ""
