"""The three predefined networks: what they are on this host, from the configuration and what the last start chose."""

import ipaddress
import secrets
import time

import msgspec

from corten import errors
from corten.linux import link
from corten.linux.netlink import Socket
from corten.network import ipam
from corten.network.config import NetworkConfig
from corten.network.record import NetworkRecord, PoolConfig

DEVICE = "corten0"
PREDEFINED = ("bridge", "host", "none")
PREFIX = "com.docker.network."
OPTION_NAME = PREFIX + "bridge.name"
OPTION_ICC = PREFIX + "bridge.enable_icc"
OPTION_MASQUERADE = PREFIX + "bridge.enable_ip_masquerade"
OPTION_HOST_IP = PREFIX + "bridge.host_binding_ipv4"
OPTION_MTU = PREFIX + "driver.mtu"


def alias(owner: str) -> str:
    """What a device of ours says of itself (ip-link(8), alias)."""
    return f"corten:{owner}"


def simple(name: str, driver: str, old: NetworkRecord | None) -> NetworkRecord:
    """The record of "host" or "none"."""
    return old or NetworkRecord(
        id=secrets.token_hex(32), name=name, driver=driver, created=time.time_ns(), enable_ipv6=False
    )


def bridge(config: NetworkConfig, old: NetworkRecord | None, owner: str, socket: Socket) -> NetworkRecord:
    """The record of "bridge": device name, subnets and options."""
    links = {item.name: item for item in link.list_links(socket)}
    device = config.bridge or _device(old, links, owner)
    index = links[device].index if device in links else 0
    pools = [_pool_v4(config, old, socket, index)]
    if config.ipv6:
        pools.append(_pool_v6(config, owner))
    options = {
        PREFIX + "bridge.default_bridge": "true",
        OPTION_ICC: str(config.icc).lower(),
        OPTION_MASQUERADE: str(config.ip_masq).lower(),
        OPTION_HOST_IP: config.default_ip,
        OPTION_NAME: device,
        OPTION_MTU: str(config.mtu),
    }
    base = old or NetworkRecord(id=secrets.token_hex(32), name="bridge", driver="bridge", created=time.time_ns())
    return msgspec.structs.replace(base, pools=pools, options=options, enable_ipv6=config.ipv6)


def _device(old: NetworkRecord | None, links: dict[str, link.Link], owner: str) -> str:
    """``corten0``, unless that is somebody else's; then a name that carries the owner."""
    for name in ((old.options.get(OPTION_NAME, "") if old else ""), DEVICE, f"corten{owner}"):
        if name and (name not in links or links[name].alias == alias(owner)):
            return name
    raise errors.System(f"no name is left for the bridge device: corten{owner} belongs to somebody else")


def _pool_v4(config: NetworkConfig, old: NetworkRecord | None, socket: Socket, index: int) -> PoolConfig:
    if config.bip:
        own = _interface(config.bip, "bip")
    elif config.bridge and (own_text := _present(socket, index)):
        own = own_text
    else:
        own = _chosen(old, socket, index)
    part = str(_network(config.fixed_cidr, "fixed-cidr")) if config.fixed_cidr else ""
    return PoolConfig(subnet=str(own.network), gateway=str(own.ip), ip_range=part)


def _pool_v6(config: NetworkConfig, owner: str) -> PoolConfig:
    if config.bip6:
        own = _interface(config.bip6, "bip6")
    else:
        # Without a prefix from the user: a unique local one (RFC 4193) made from the owner's id.
        default = f"fd{owner[:2]}:{owner[2:6]}:{owner[6:8]}00::/64"
        network = _network(config.fixed_cidr_v6 or default, "fixed-cidr-v6")
        own = ipaddress.ip_interface(f"{network.network_address + 1}/{network.prefixlen}")
    return PoolConfig(subnet=str(own.network), gateway=str(own.ip))


def _chosen(old: NetworkRecord | None, socket: Socket, index: int) -> ipaddress.IPv4Interface:
    """Last start's subnet if it is still free, else the first free candidate."""
    occupied = [network for device, network in link.list_routes(socket) if device != index]
    last = [pool.subnet for pool in old.pools if ":" not in pool.subnet] if old else []
    subnet = ipam.first_free([*last, *ipam.CANDIDATES], occupied)
    return ipaddress.IPv4Interface(f"{subnet.network_address + 1}/{subnet.prefixlen}")


def _present(socket: Socket, index: int) -> ipaddress.IPv4Interface | None:
    for device, address in link.list_addresses(socket):
        if device == index and isinstance(address, ipaddress.IPv4Interface):
            return address
    return None


def _interface(text: str, flag: str) -> link.Address:
    try:
        return ipaddress.ip_interface(text)
    except ValueError as error:
        raise errors.InvalidArgument(f"invalid {flag}: {error}") from error


def _network(text: str, flag: str) -> link.Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise errors.InvalidArgument(f"invalid {flag}: {error}") from error
