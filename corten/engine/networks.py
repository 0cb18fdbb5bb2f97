"""Use cases of networks: list, inspect, create, remove, connect, disconnect, prune; and their events."""

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from corten import errors
from corten.engine.events import Events
from corten.engine.networkfilter import NetworkFilter
from corten.model.container import EndpointSettings
from corten.model.record import Record
from corten.network.defaults import PREDEFINED
from corten.network.endpoint import Endpoint
from corten.network.networks import Networks
from corten.network.record import Member, NetworkRecord, NetworkRequest
from corten.network.sandbox import network_mode

Lookup = Callable[[str], Record]
"""From a container's name, id or prefix to its record; raises ``errors.NotFound``."""


class NetworkUseCases:
    """What the API does with networks."""

    def __init__(self, networks: Networks, events: Events, lookup: Lookup) -> None:
        self._networks, self._events, self._lookup = networks, events, lookup
        networks.observer = self._tell

    # questions

    def list(self, filters: Mapping[str, Sequence[str]] | None = None) -> "Sequence[NetworkRecord]":
        """The networks that match *filters* (dangling, driver, id, label, name, scope, type)."""
        wanted = NetworkFilter(filters or {})
        return [each for each in self._networks.records() if wanted.matches(each, bool(self.members(each)))]

    def get(self, ref: str) -> NetworkRecord:
        """A network by its id, its name or the beginning of its id, in this order.

        Raises ``errors.NotFound``, and ``errors.InvalidArgument`` for a beginning that several ids have.
        """
        records = self._networks.records()
        for record in records:
            if record.id == ref:
                return record
        for record in records:
            if record.name == ref:
                return record
        found = [record for record in records if ref and record.id.startswith(ref)]
        if len(found) > 1:
            raise errors.InvalidArgument(f"network {ref} is ambiguous ({len(found)} matches found on ID prefix)")
        if not found:
            raise errors.NotFound(f"network {ref} not found")
        return found[0]

    def members(self, network: NetworkRecord) -> "Sequence[Member]":
        """The running containers on *network*."""
        return [
            Member(
                container_id=sandbox.container_id,
                name=sandbox.name,
                endpoint_id=endpoint.id,
                mac=endpoint.mac,
                ipv4=f"{endpoint.ipv4}/{endpoint.prefix}" if endpoint.ipv4 else "",
                ipv6=f"{endpoint.ipv6}/{endpoint.prefix_v6}" if endpoint.ipv6 else "",
            )
            for sandbox, endpoint in self._networks.endpoints(network.id)
        ]

    # changes

    async def create(self, request: NetworkRequest) -> tuple[str, str]:
        """The new network's (id, warning)."""
        if not request.name.strip():
            raise errors.InvalidArgument("network name cannot be empty")
        if request.name in PREDEFINED:
            raise errors.Forbidden(f"operation is not permitted on predefined {request.name} network")
        if any(record.name == request.name for record in self._networks.records()):
            raise errors.AlreadyExists(f"network with name {request.name} already exists")
        raise errors.NotSupported("this daemon does not make user-defined networks yet; use bridge, host or none")

    async def remove(self, ref: str) -> None:
        network = self.get(ref)
        if network.name in PREDEFINED:
            raise errors.Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        raise errors.NotSupported("this daemon does not have user-defined networks yet")

    async def connect(self, ref: str, container: str, settings: EndpointSettings) -> None:
        network, record = self.get(ref), self._lookup(container)
        self._refuse_fixed(network, record)
        if any(member.container_id == record.id for member in self.members(network)):
            raise errors.Forbidden(f"endpoint with name {record.name} already exists in network {network.name}")
        raise errors.NotSupported("this daemon cannot connect a container to a further network yet")

    async def disconnect(self, ref: str, container: str, force: bool) -> None:
        network, record = self.get(ref), self._lookup(container)
        self._refuse_fixed(network, record)
        if network.name not in record.endpoints and network_mode(record) not in (network.name, network.id):
            raise errors.System(f"container {record.id} is not connected to network {network.name}")
        raise errors.NotSupported("this daemon cannot disconnect a container from its network yet")

    async def prune(self, filters: Mapping[str, Sequence[str]] | None = None) -> "Sequence[str]":
        """Names of the deleted networks. The predefined ones stay, so there is nothing to delete yet."""
        for key in filters or {}:
            if key not in ("label", "label!", "until"):
                raise errors.InvalidArgument(f"invalid filter '{key}'")
        return []

    def _refuse_fixed(self, network: NetworkRecord, record: Record) -> None:
        """Raise for containers and networks whose connection can never be changed."""
        mode = network_mode(record)
        if mode.startswith("container:"):
            raise errors.InvalidArgument(
                "container sharing network namespace with another container or host "
                "cannot be connected to any other network"
            )
        if mode == "host" or network.driver == "host":
            raise errors.InvalidArgument(
                "container cannot be disconnected from host network or connected to host network"
            )
        if mode == "none" or network.driver == "null":
            _refuse_none()

    def _tell(self, action: str, container_id: str, endpoint: Endpoint) -> None:
        drivers = {record.id: record.driver for record in self._networks.records()}
        attributes = {
            "container": container_id,
            "name": endpoint.network,
            "type": drivers.get(endpoint.network_id, ""),
        }
        self._events.emit("network", action, endpoint.network_id, attributes)


def _refuse_none() -> NoReturn:
    raise errors.InvalidArgument(
        "container cannot be connected to multiple networks with one of the networks in private (none) mode"
    )
