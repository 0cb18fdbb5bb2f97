"""An endpoint: one container on one network."""

from corten.model.base import Value
from corten.model.container import EndpointSettings


class Endpoint(Value, frozen=True):
    """What a container has on a network. ``device`` is the host's end ("" where there is none), ``interface`` the
    container's; addresses are text, "" for none."""

    network: str
    network_id: str
    id: str
    device: str = ""
    interface: str = ""
    mac: str = ""
    ipv4: str = ""
    prefix: int = 0
    gateway: str = ""
    ipv6: str = ""
    prefix_v6: int = 0
    gateway_v6: str = ""

    def settings(self, wanted: EndpointSettings | None) -> EndpointSettings:
        """The API's view: what was asked for with what it got."""
        asked = wanted or EndpointSettings()
        return EndpointSettings(
            ipam_config=asked.ipam_config,
            links=asked.links,
            aliases=asked.aliases,
            driver_opts=asked.driver_opts,
            gw_priority=asked.gw_priority,
            network_id=self.network_id,
            endpoint_id=self.id,
            gateway=self.gateway,
            ip_address=self.ipv4,
            mac_address=self.mac,
            ip_prefix_len=self.prefix,
            ipv6_gateway=self.gateway_v6,
            global_ipv6_address=self.ipv6,
            global_ipv6_prefix_len=self.prefix_v6,
        )
