"""``--network`` and what goes with it."""

from __future__ import annotations

from corten.cli.container.values import address, fields
from corten.cli.failure import Failure
from corten.cli.values import BadValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corten.cli.flags import Options

_PREDEFINED = ("", "default", "bridge", "host", "none")


def parse(text: str) -> dict[str, Any]:
    """A value of ``--network``: a name, or ``name=...,alias=...,ip=...``, as name and endpoint settings."""
    if "=" not in text:
        return {"name": text}
    result: dict[str, Any] = {"name": ""}
    for field in fields(text):
        key, equals, value = field.partition("=")
        key, value = key.strip().lower(), value.strip()
        if not equals or not key:
            raise BadValue(f"invalid key/value pair format: {field}")
        _set(result, key, value)
    if not result["name"]:
        raise BadValue("network name/id is not specified")
    return result


def _set(result: dict[str, Any], key: str, value: str) -> None:
    if key == "name":
        result["name"] = value
    elif key == "alias":
        result.setdefault("aliases", []).append(value)
    elif key == "link-local-ip":
        result.setdefault("link-local", []).append(_address(value))
    elif key in ("ip", "ip6"):
        result[key] = _address(value)
    elif key == "mac-address":
        result["mac"] = _mac(value)
    elif key == "gw-priority":
        if not value.lstrip("-").isdigit():
            raise BadValue(f'invalid gw-priority ({value}): strconv.Atoi: parsing "{value}": invalid syntax')
        result["priority"] = int(value)
    elif key == "driver-opt":
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise BadValue("invalid key value pair format in driver options")
        result.setdefault("options", {})[name.strip().lower()] = text.strip()
    else:
        raise BadValue(f"invalid field key {key}")


def _address(text: str) -> str:
    if address(text) is None:
        raise BadValue(f"IP address is not correctly formatted: {text}")
    return text


def _mac(text: str) -> str:
    if not is_mac(text):
        raise BadValue(f"{text} is not a valid mac address")
    return text


def is_mac(text: str) -> bool:
    """Whether ``text`` is six octets in hexadecimal, with colons or dashes."""
    parts = text.replace("-", ":").split(":")
    return len(parts) == 6 and all(len(part) == 2 and set(part.lower()) <= set("0123456789abcdef") for part in parts)


def mode(options: Options) -> str:
    """The container's network mode: the first network, ``default`` when none was given."""
    networks = options.value("network")
    return str(networks[0]["name"]) if networks else "default"


def endpoints(options: Options) -> dict[str, dict[str, Any]]:
    """EndpointsConfig of all networks. Failure for combinations that docker refuses."""
    networks = [dict(network) for network in options.value("network")]
    if options.given("mac-address") and not is_mac(options.text("mac-address")):
        raise Failure(f"{options.text('mac-address')} is not a valid mac address", 125)
    if not networks:
        networks = [{"name": "default"}]
    _apply_single_flags(networks[0], options)
    result: dict[str, dict[str, Any]] = {}
    for network in networks:
        _refuse(network, networks)
        name = network["name"]
        if name in result:
            raise Failure(f'network "{name}" is specified multiple times', 125)
        result[name] = _endpoint(network)
    if len(result) == 1 and not any(result.values()) and not _user_defined(networks[0]["name"]):
        return {}
    return result


def _apply_single_flags(network: dict[str, Any], options: Options) -> None:
    """``--ip``, ``--network-alias`` and the like belong to the first network."""
    for key, flag in (("ip", "ip"), ("ip6", "ip6"), ("mac", "mac-address")):
        if options.text(flag):
            if key in network:
                raise Failure(f"conflicting options: cannot specify both --{flag} and per-network {flag}", 125)
            network[key] = options.text(flag)
    for key, flag in (("aliases", "network-alias"), ("link-local", "link-local-ip")):
        if options.texts(flag):
            if key in network:
                raise Failure(f"conflicting options: cannot specify both --{flag} and per-network {flag}", 125)
            network[key] = options.texts(flag)
    if options.texts("link") and _user_defined(network["name"]):
        network["links"] = options.texts("link")


def _user_defined(name: str) -> bool:
    return name not in _PREDEFINED and not name.startswith("container:")


def _refuse(network: dict[str, Any], networks: list[dict[str, Any]]) -> None:
    own = _user_defined(network["name"])
    if len(networks) > 1 and not own and network["name"] not in ("bridge", "default"):
        raise Failure("conflicting options: cannot attach both user-defined and non-user-defined network-modes", 125)
    if network.get("aliases") and not own:
        raise Failure("network-scoped aliases are only supported for user-defined networks", 125)


def _endpoint(network: dict[str, Any]) -> dict[str, Any]:
    ipam = {
        name: network[key]
        for key, name in (("ip", "IPv4Address"), ("ip6", "IPv6Address"), ("link-local", "LinkLocalIPs"))
        if key in network
    }
    names = {
        "aliases": "Aliases",
        "links": "Links",
        "mac": "MacAddress",
        "options": "DriverOpts",
        "priority": "GwPriority",
    }
    result = {name: network[key] for key, name in names.items() if key in network}
    return {"IPAMConfig": ipam, **result} if ipam else result
