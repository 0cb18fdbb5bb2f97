"""Networks in the API's JSON, and requests for new ones."""

from collections.abc import Sequence
from typing import Any

from corten.api.decode import decode
from corten.api.times import rfc3339
from corten.model.base import Value
from corten.network.record import Member, NetworkRecord, NetworkRequest, PoolConfig


class _Pool(Value, frozen=True):
    subnet: str = ""
    ip_range: str = ""
    gateway: str = ""
    auxiliary_addresses: dict[str, str] | None = None


class _Ipam(Value, frozen=True):
    driver: str = ""
    options: dict[str, str] | None = None
    config: list[_Pool] | None = None


class _Source(Value, frozen=True):
    network: str = ""


class _Request(Value, frozen=True):
    """The body of POST /networks/create as clients send it."""

    name: str = ""
    driver: str = ""
    scope: str = ""
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
    ipam: _Ipam | None = None
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: _Source | None = None
    options: dict[str, str] | None = None
    labels: dict[str, str] | None = None


def request_of(document: dict[str, Any]) -> NetworkRequest:
    """The body as the engine's value. Raises InvalidArgument."""
    sent = decode(_Request, document, "NetworkCreateRequest")
    ipam = sent.ipam or _Ipam()
    return NetworkRequest(
        name=sent.name,
        driver=sent.driver,
        scope=sent.scope,
        internal=sent.internal,
        attachable=sent.attachable,
        ingress=sent.ingress,
        config_only=sent.config_only,
        config_from=sent.config_from.network if sent.config_from is not None else "",
        enable_ipv4=sent.enable_ipv4 is not False,
        enable_ipv6=sent.enable_ipv6,
        ipam_driver=ipam.driver,
        pools=[
            PoolConfig(
                subnet=pool.subnet,
                gateway=pool.gateway,
                ip_range=pool.ip_range,
                auxiliary=pool.auxiliary_addresses or {},
            )
            for pool in ipam.config or ()
        ],
        options=sent.options or {},
        labels=sent.labels or {},
    )


def network_document(network: NetworkRecord) -> dict[str, Any]:
    """A network as in the list."""
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": rfc3339(network.created),
        "Scope": network.scope,
        "Driver": network.driver,
        "EnableIPv4": network.enable_ipv4,
        "EnableIPv6": network.enable_ipv6,
        "IPAM": {
            "Driver": network.ipam_driver,
            "Options": None,
            "Config": [_pool(pool) for pool in network.pools],
        },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Options": network.options,
        "Labels": network.labels,
    }


def _pool(pool: PoolConfig) -> dict[str, Any]:
    document: dict[str, Any] = {"Subnet": pool.subnet}
    if pool.ip_range:
        document["IPRange"] = pool.ip_range
    if pool.gateway:
        document["Gateway"] = pool.gateway
    if pool.auxiliary:
        document["AuxiliaryAddresses"] = pool.auxiliary
    return document


def inspect_document(network: NetworkRecord, members: Sequence[Member]) -> dict[str, Any]:
    """A network with the endpoints on it."""
    document = network_document(network)
    document["Containers"] = {
        member.container_id: {
            "Name": member.name,
            "EndpointID": member.endpoint_id,
            "MacAddress": member.mac,
            "IPv4Address": member.ipv4,
            "IPv6Address": member.ipv6,
        }
        for member in members
    }
    return document
