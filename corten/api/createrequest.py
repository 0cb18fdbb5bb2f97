"""The body of ``POST /containers/create`` and what older API versions meant by it."""

from typing import Any

from msgspec.structs import replace

from corten import errors
from corten.api.decode import decode
from corten.api.versions import Version
from corten.model.container import ContainerConfig, EndpointSettings, HostConfig

_DEPRECATED_MAC = (
    "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
)


class CreateRequest:
    """``config``, ``host`` and ``endpoints`` as decoded; ``warnings`` for fields on their way out."""

    def __init__(self, document: dict[str, Any], version: Version) -> None:
        host_document = _take(document, "hostconfig")
        networking = _take(document, "networkingconfig")
        if not document and host_document is None and networking is None:
            raise errors.InvalidArgument("config cannot be empty in order to create a container")
        self.warnings: list[str] = []
        self.config = decode(ContainerConfig, document, "Config")
        self.host = _of_version(decode(HostConfig, host_document, "HostConfig"), version)
        self.endpoints = _endpoints(networking)
        if version < (1, 44) and len(self.endpoints) > 1:
            names = ", ".join(self.endpoints)
            raise errors.InvalidArgument(f"Container cannot be connected to network endpoints: {names}")
        if self.config.mac_address:
            self._place_mac(version)

    def _place_mac(self, version: Version) -> None:
        """Below 1.44 the address was the container's; it belongs to the endpoint of the first network."""
        mode = self.host.network_mode
        network = "bridge" if mode in ("", "default") else mode
        if network in ("host", "none") or network.startswith("container:"):
            raise errors.InvalidArgument("conflicting options: mac-address and the network mode")
        endpoint = self.endpoints.get(network, EndpointSettings())
        if endpoint.mac_address and endpoint.mac_address != self.config.mac_address:
            raise errors.InvalidArgument(
                "the container-wide MAC address must match the endpoint-specific MAC address for the main network, "
                "or be left empty"
            )
        self.endpoints[network] = replace(endpoint, mac_address=self.config.mac_address)
        if version >= (1, 44):
            self.warnings.append(_DEPRECATED_MAC)


def _take(document: dict[str, Any], name: str) -> Any:
    """Remove the key of that name, in any letter case, and return its value."""
    found = None
    for key in [key for key in document if key.lower() == name]:
        found = document.pop(key)
    return found


def _endpoints(networking: Any) -> dict[str, EndpointSettings]:
    if networking is None:
        return {}
    if not isinstance(networking, dict):
        raise errors.InvalidArgument("invalid JSON: NetworkingConfig: expected object")
    endpoints = _take(dict(networking), "endpointsconfig")
    if endpoints is None:
        return {}
    if not isinstance(endpoints, dict):
        raise errors.InvalidArgument("invalid JSON: NetworkingConfig.EndpointsConfig: expected object")
    path = "NetworkingConfig.EndpointsConfig"
    return {name: decode(EndpointSettings, value, f"{path}.{name}") for name, value in endpoints.items()}


def _of_version(host: HostConfig, version: Version) -> HostConfig:
    """Defaults that changed, and fields that older versions did not have and must not be obeyed through them."""
    changes: dict[str, Any] = {}
    if host.pids_limit is not None and host.pids_limit <= 0:
        changes["pids_limit"] = None
    if version < (1, 41) and not host.cgroupns_mode:
        changes["cgroupns_mode"] = "host"
    if version < (1, 40) and not host.ipc_mode:
        changes["ipc_mode"] = "shareable"
    if version < (1, 43) and host.annotations:
        changes["annotations"] = None
    return replace(host, **changes) if changes else host
