"""What a client may ask of an endpoint, with Docker's texts."""

from collections.abc import Mapping

from corten import errors
from corten.model.container import EndpointSettings
from corten.network.defaults import PREDEFINED


def check_endpoints(endpoints: Mapping[str, EndpointSettings]) -> None:
    """Raise ``errors.InvalidArgument`` for wishes that the predefined networks cannot grant: they have no name service
    for aliases and no subnet of the user's own for addresses."""
    for name, settings in endpoints.items():
        if name not in PREDEFINED:
            continue
        problems = []
        ipam = settings.ipam_config
        if ipam and (ipam.ipv4_address or ipam.ipv6_address):
            problems.append("user specified IP address is supported on user defined networks only")
        if settings.aliases:
            problems.append("network-scoped alias is supported only for containers in user defined networks")
        if problems:
            text = "\n".join(problems)
            raise errors.InvalidArgument(f"invalid config for network {name}: invalid endpoint settings:\n{text}")
