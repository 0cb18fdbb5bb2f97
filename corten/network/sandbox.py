"""A running container's network: its namespace and its endpoints."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from corten import faultpoint
from corten.linux import link, netns
from corten.linux.netlink import Batch, Socket
from corten.model.record import Record
from corten.network.endpoint import Endpoint
from corten.network.portspec import Published
from corten.network.record import NetworkRecord


@dataclass(slots=True)
class Sandbox:
    """``path`` is the namespace's file, "" on the host's network."""

    container_id: str
    name: str
    path: str
    endpoints: list[Endpoint] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    hostname: str = ""

    @classmethod
    def of(
        cls, record: Record, path: str, endpoints: list[Endpoint], published: list[Published] | None = None
    ) -> "Sandbox":
        return cls(record.id, record.name, path, endpoints, published or [], hostname_of(record))


def hostname_of(record: Record) -> str:
    return record.config.hostname or record.id[:12]


def network_mode(record: Record) -> str:
    """The network that a container starts on, "default" resolved."""
    if record.config.network_disabled:
        return "none"
    mode = record.host_config.network_mode
    return "bridge" if mode in ("", "default") else mode


def bare_endpoint(network: NetworkRecord, endpoint_id: str = "") -> Endpoint:
    """An endpoint without device or address: on the networks "host" and "none"."""
    return Endpoint(network=network.name, network_id=network.id, id=endpoint_id or os.urandom(32).hex())


def make_namespace(path: str, setup: Callable[[Socket, int], None]) -> None:
    """A namespace at *path* with its loopback up; ``setup(socket, fd)`` runs inside with a netlink socket of it."""

    def inside(namespace: int) -> None:
        with Socket() as inner:
            batch = Batch()
            link.add_up(batch, link.LOOPBACK_INDEX)
            inner.run(batch)
            faultpoint.reach("network.namespace")
            setup(inner, namespace)

    netns.create(path, inside)
