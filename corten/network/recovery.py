"""After a restart of the daemon: living containers' networks are taken up, everything else of ours is garbage.

Whose a thing is stands in its name: namespace files are named by container, devices begin with the owner's id and go
on with the endpoint's.
"""

import logging
import os
from collections.abc import Collection, Mapping

from corten import errors
from corten.linux import link, netns
from corten.linux.netlink import Socket
from corten.model.container import EndpointSettings
from corten.model.record import Record
from corten.network import defaults
from corten.network.bridge import Bridge, device_name, device_prefix
from corten.network.endpoint import Endpoint
from corten.network.portspec import from_map
from corten.network.publisher import Publisher
from corten.network.reaper import Reaper
from corten.network.record import NetworkRecord
from corten.network.sandbox import Sandbox, bare_endpoint, network_mode

log = logging.getLogger(__name__)


class Recovery:
    """One pass after a start."""

    def __init__(
        self,
        owner: str,
        directory: str,
        records: Mapping[str, NetworkRecord],
        bridges: Mapping[str, Bridge],
        publisher: Publisher,
    ) -> None:
        self._owner, self._directory = owner, directory
        self._records, self._bridges, self._publisher = records, bridges, publisher

    def adopt(self, container_id: str, record: Record) -> Sandbox | None:
        """The sandbox of a running container; None if it has none of its own or lost it."""
        mode = network_mode(record)
        if mode.startswith("container:"):
            return None
        network = next((each for each in self._records.values() if mode in (each.name, each.id)), None)
        if network is None:
            log.warning("network: container %s runs on network %s, which is gone", container_id, mode)
            return None
        settings = record.endpoints.get(network.name)
        if network.driver == "host":
            return Sandbox.of(record, "", [bare_endpoint(network, _identity(settings))])
        path = os.path.join(self._directory, container_id)
        if not netns.is_bound(path):
            log.warning("network: the namespace of running container %s is gone: %s", container_id, path)
            return None
        if network.driver == "null" or settings is None:
            return Sandbox.of(record, path, [bare_endpoint(network, _identity(settings))])
        return self._adopt_bridged(container_id, record, path, network, settings)

    def _adopt_bridged(
        self, container_id: str, record: Record, path: str, network: NetworkRecord, settings: EndpointSettings
    ) -> Sandbox:
        endpoint = _endpoint(network, settings, self._owner)
        try:
            self._bridges[network.name].adopt(endpoint)
        except errors.CortenError as error:
            log.warning("network: address of running container %s: %s", container_id, error)
        published = from_map(record.ports)
        if published:
            self._publisher.adopt(endpoint, published)
        return Sandbox.of(record, path, [endpoint], published)

    def collect_garbage(self, sandboxes: Mapping[str, Sandbox], reaper: Reaper, unknown: Collection[str] = ()) -> None:
        """Delete namespaces, veth pairs and bridges of ours that nobody living has.

        Which pairs are the *unknown* containers' cannot be told, so all stay while there is one.
        """
        for name in os.listdir(self._directory):
            if name not in sandboxes and name not in unknown and name != "default":
                netns.remove(os.path.join(self._directory, name))
        if unknown:
            return
        used = {endpoint.device for sandbox in sandboxes.values() for endpoint in sandbox.endpoints}
        used |= {bridge.device for bridge in self._bridges.values()}
        prefix, alias = device_prefix(self._owner), defaults.alias(self._owner)
        with Socket() as socket:
            for device in link.list_links(socket):
                ours = device.alias == alias or (device.kind == "veth" and device.name.startswith(prefix))
                if ours and device.name not in used:
                    reaper.delete(device.name, lambda: None)


def _identity(settings: EndpointSettings | None) -> str:
    return settings.endpoint_id if settings else ""


def _endpoint(network: NetworkRecord, settings: EndpointSettings, owner: str) -> Endpoint:
    return Endpoint(
        network=network.name,
        network_id=network.id,
        id=settings.endpoint_id,
        device=device_name(owner, settings.endpoint_id),
        interface="eth0",
        mac=settings.mac_address,
        ipv4=settings.ip_address,
        prefix=settings.ip_prefix_len,
        gateway=settings.gateway,
        ipv6=settings.global_ipv6_address,
        prefix_v6=settings.global_ipv6_prefix_len,
        gateway_v6=settings.ipv6_gateway,
    )
