"""Networks as the database keeps them, and what a container gets from them."""

from corten.model.base import Value
from corten.model.container import EndpointSettings


class PoolConfig(Value, frozen=True):
    """One subnet of a network (API ``IPAM.Config``)."""

    subnet: str
    gateway: str = ""
    ip_range: str = ""
    auxiliary: dict[str, str] = {}


class NetworkRecord(Value, frozen=True):
    """A network. ``options`` are driver options under Docker's names (com.docker.network...)."""

    id: str
    name: str
    driver: str
    created: int
    scope: str = "local"
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    ipam_driver: str = "default"
    pools: list[PoolConfig] = []
    options: dict[str, str] = {}
    labels: dict[str, str] = {}


class NetworkRequest(Value, frozen=True):
    """What a client asks of a new network (API ``NetworkCreateRequest``)."""

    name: str
    driver: str = ""
    scope: str = ""
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: str = ""
    enable_ipv4: bool = True
    enable_ipv6: bool | None = None
    ipam_driver: str = ""
    pools: list[PoolConfig] = []
    options: dict[str, str] = {}
    labels: dict[str, str] = {}


class Member(Value, frozen=True):
    """A running container on a network (API ``Network.Containers``); addresses with their prefix, "" for none."""

    container_id: str
    name: str
    endpoint_id: str
    mac: str = ""
    ipv4: str = ""
    ipv6: str = ""


class Attachment(Value, frozen=True):
    """What ``Networks.attach`` made. ``netns`` is None in host mode, else the path that the runtime is to join.

    ``endpoints`` is keyed by network name; ``ports`` is the API's map: "80/tcp" -> [{"HostIp", "HostPort"}], or None
    for a port that is exposed and not published.
    """

    netns: str | None
    sandbox_id: str
    sandbox_key: str
    endpoints: dict[str, EndpointSettings] = {}
    ports: dict[str, list[dict[str, str]] | None] = {}


class NetworkFiles(Value, frozen=True):
    """Contents for /etc/hosts, /etc/resolv.conf and /etc/hostname of a container."""

    hosts: bytes
    resolv_conf: bytes
    hostname: bytes
