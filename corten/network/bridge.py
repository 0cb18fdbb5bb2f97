"""The bridge driver: a bridge device on the host and a veth pair to each container."""

import ipaddress
import re
import secrets

from corten import errors
from corten.linux import link, sysctl
from corten.linux.netlink import Batch, Socket
from corten.model.container import EndpointSettings
from corten.network import defaults
from corten.network.endpoint import Endpoint
from corten.network.ipam import Pool
from corten.network.record import NetworkRecord, PoolConfig

_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}|[0-9a-fA-F]{2}(-[0-9a-fA-F]{2}){5}")


class Bridge:
    """A network of driver "bridge". ``device`` is the bridge's name, ``pools`` hold its addresses by IP version."""

    def __init__(self, record: NetworkRecord, owner: str, *, made_by_user: bool = False, gateway: str = "") -> None:
        """*gateway* replaces the bridge's own address as the containers' default gateway."""
        self.record = record
        self.device = record.options[defaults.OPTION_NAME]
        self.mtu = int(record.options.get(defaults.OPTION_MTU, "0"))
        self.icc = record.options.get(defaults.OPTION_ICC, "true") == "true"
        self.masquerade = record.options.get(defaults.OPTION_MASQUERADE, "true") == "true"
        self.pools: dict[int, Pool] = {}
        for config in record.pools:
            pool = _pool(config, gateway)
            self.pools[pool.subnet.version] = pool
        self._owner = owner
        self._made_by_user = made_by_user
        self._index = 0
        self._isolated = False
        self._gateway = gateway or str(self.pools[4].gateway)

    def start(self, socket: Socket) -> None:
        """Make the device, or take up the one of the last start, and give it exactly its addresses."""
        found = link.find_link(socket, self.device)
        if found is None and self._made_by_user:
            raise errors.InvalidArgument(f"bridge device {self.device} does not exist; it must be created first")
        if found is None:
            batch = Batch()
            mac = f"02:42:{secrets.token_bytes(4).hex(':')}"
            link.add_bridge(batch, self.device, self.mtu, defaults.alias(self._owner), mac)
            socket.run(batch)
            found = link.find_link(socket, self.device)
        if found is None:
            raise errors.System(f"bridge device {self.device} vanished as soon as it was made")
        self._index = found.index
        # Without communication between containers: where bridged packets pass the firewall (br_netfilter), its rules
        # keep them apart. Isolation would drop too much there, a packet to a published port that is sent on to a
        # neighbour never leaves the bridge; elsewhere only isolation sees the packets.
        self._isolated = not self.icc and sysctl.read("net/bridge/bridge-nf-call-iptables") != "1"
        sysctl.write(f"net/ipv4/conf/{self.device}/route_localnet", "1")
        sysctl.write(f"net/ipv6/conf/{self.device}/accept_ra", "0")
        self._address(socket)

    def _address(self, socket: Socket) -> None:
        wanted = [ipaddress.ip_interface(f"{pool.gateway}/{pool.subnet.prefixlen}") for pool in self.pools.values()]
        present = [address for index, address in link.list_addresses(socket) if index == self._index]
        batch = Batch()
        for address in present:
            if address not in wanted and not address.ip.is_link_local and not self._made_by_user:
                link.add_delete_address(batch, self._index, address)
        for address in wanted:
            if address not in present:
                link.add_address(batch, self._index, address)
        link.add_up(batch, self._index, self.mtu)
        socket.run(batch)

    def delete(self, socket: Socket) -> None:
        if not self._made_by_user:
            batch = Batch()
            link.add_delete_link(batch, self.device)
            socket.run(batch)

    # endpoints

    def plan(self, interface: str, wanted: EndpointSettings | None, mac: str) -> Endpoint:
        """Allocate an endpoint's addresses. Give them back with ``release``."""
        if mac and not _MAC.fullmatch(mac):
            raise errors.InvalidArgument(f"invalid MAC address: {mac}")
        identity = secrets.token_hex(32)
        ipam = wanted.ipam_config if wanted else None
        ipv4 = self._claim(4, ipam.ipv4_address if ipam else "")
        try:
            ipv6 = self._claim(6, ipam.ipv6_address if ipam else "") if 6 in self.pools else ""
        except errors.CortenError:
            self.pools[4].release(ipaddress.ip_address(ipv4))
            raise
        return Endpoint(
            network=self.record.name,
            network_id=self.record.id,
            id=identity,
            device=device_name(self._owner, identity),
            interface=interface,
            # An address brings its MAC with it, so a neighbour's table stays true when the address changes hands.
            mac=mac.lower().replace("-", ":") or "02:42:" + ipaddress.ip_address(ipv4).packed.hex(":"),
            ipv4=ipv4,
            prefix=self.pools[4].subnet.prefixlen,
            gateway=self._gateway,
            ipv6=ipv6,
            prefix_v6=self.pools[6].subnet.prefixlen if ipv6 else 0,
            gateway_v6=str(self.pools[6].gateway) if ipv6 else "",
        )

    def _claim(self, version: int, wanted: str) -> str:
        pool = self.pools[version]
        if not wanted:
            return str(pool.allocate())
        try:
            address = ipaddress.ip_address(wanted)
        except ValueError as error:
            raise errors.InvalidArgument(f"invalid IPv{version} address: {wanted}") from error
        pool.take(address)
        return wanted

    def plug(self, socket: Socket, inner: Socket, namespace: int, endpoint: Endpoint, *, default: bool) -> None:
        """Join a container's namespace to the bridge. Runs inside that namespace: *inner* is a socket of it, *socket*
        one of the host. *default* makes this network's gateway the container's default route."""
        batch = Batch()
        link.add_veth(
            batch,
            endpoint.device,
            endpoint.interface,
            peer_ns=namespace,
            peer_mac=endpoint.mac,
            mtu=self.mtu,
            master=self._index,
        )
        link.add_port_options(batch, endpoint.device, hairpin=True, isolated=self._isolated)
        socket.run(batch)
        found = link.find_link(inner, endpoint.interface)
        if found is None:
            raise errors.System(f"interface {endpoint.interface} is missing in the new network namespace")
        settings = f"net/ipv6/conf/{endpoint.interface}"
        if endpoint.ipv6:
            sysctl.write(f"{settings}/accept_ra", "0")
            sysctl.write(f"{settings}/accept_dad", "0")
        else:
            sysctl.write(f"{settings}/disable_ipv6", "1")
        batch = Batch()
        link.add_up(batch, found.index)
        link.add_address(batch, found.index, ipaddress.ip_interface(f"{endpoint.ipv4}/{endpoint.prefix}"))
        if default:
            link.add_default_route(batch, found.index, ipaddress.ip_address(endpoint.gateway))
        if endpoint.ipv6:
            link.add_address(batch, found.index, ipaddress.ip_interface(f"{endpoint.ipv6}/{endpoint.prefix_v6}"))
            if default:
                link.add_default_route(batch, found.index, ipaddress.ip_address(endpoint.gateway_v6))
        inner.run(batch)

    def adopt(self, endpoint: Endpoint) -> None:
        """Claim the addresses of an endpoint that lives already."""
        for address in filter(None, (endpoint.ipv4, endpoint.ipv6)):
            parsed = ipaddress.ip_address(address)
            if parsed.version in self.pools:
                self.pools[parsed.version].take(parsed)

    def release(self, endpoint: Endpoint) -> None:
        """Give the addresses back. Only once the device is gone: until then the kernel answers for them."""
        for address in filter(None, (endpoint.ipv4, endpoint.ipv6)):
            parsed = ipaddress.ip_address(address)
            if parsed.version in self.pools:
                self.pools[parsed.version].release(parsed)


def device_prefix(owner: str) -> str:
    """How the host's end of every veth pair of this daemon begins."""
    return f"v{owner[:5]}"


def device_name(owner: str, endpoint_id: str) -> str:
    """The host's end of an endpoint's veth pair; device names have at most 15 characters."""
    return device_prefix(owner) + endpoint_id[:9]


def _pool(config: PoolConfig, gateway: str) -> Pool:
    """The pool of *config* without its own gateway and *gateway*, another one of its subnet."""
    part = ipaddress.ip_network(config.ip_range) if config.ip_range else None
    taken = [ipaddress.ip_address(address) for address in config.auxiliary.values()]
    subnet = ipaddress.ip_network(config.subnet)
    if gateway and subnet.version == 4:
        if ipaddress.ip_address(gateway) not in subnet:
            raise errors.InvalidArgument(f"default gateway {gateway} is not in subnet {subnet}")
        taken.append(ipaddress.ip_address(gateway))
    return Pool(subnet, ipaddress.ip_address(config.gateway), part, taken)
