"""Publishing: a host port is reserved, sent on by the firewall and, on IPv6, answered by the relay where need be."""

import ipaddress
import logging
import threading
from collections.abc import Callable

from corten import errors
from corten.linux import conntrack
from corten.linux.netlink import NETLINK_NETFILTER, Socket
from corten.network.endpoint import Endpoint
from corten.network.firewall import Firewall
from corten.network.ports import Held, Ports, PortTaken
from corten.network.portspec import Published, Wanted
from corten.network.relay import Relay

log = logging.getLogger(__name__)


class Publisher:
    """The published ports of all endpoints. Safe for use by several threads."""

    def __init__(self, firewall: Firewall) -> None:
        self._firewall = firewall
        self._ports = Ports()
        self._relay = Relay()
        self._held: dict[str, list[Held]] = {}
        self._lock = threading.Lock()

    def publish(self, endpoint: Endpoint, container: str, wanted: list[Wanted]) -> list[Published]:
        """Publish *wanted* for a container of that name. Nothing stays when it raises, with Docker's text."""
        held: list[Held] = []
        published: list[Published] = []
        try:
            for item in wanted:
                taken = self._ports.reserve(item, endpoint.ipv4)
                held += taken
                published += [_published(endpoint, item.port, each) for each in taken]
            self._firewall.publish(endpoint.id, published)
        except (PortTaken, errors.Exhausted) as error:
            self._ports.release(held)
            raise errors.System(
                "failed to set up container networking: driver failed programming external connectivity "
                f"on endpoint {container} ({endpoint.id}): {error}"
            ) from error
        except errors.CortenError:
            self._ports.release(held)
            raise
        self._serve(endpoint, published, held)
        ports = {item.host_port for item in published if item.protocol == "udp"}
        if ports:
            # A client that has been sending already would go on past the new port.
            _forget(lambda netfilter: conntrack.forget_udp_ports(netfilter, ports))
        return published

    def adopt(self, endpoint: Endpoint, published: list[Published]) -> None:
        """Take up the ports of an endpoint that lived on while the daemon was away."""
        held: list[Held] = []
        again = [_retarget(endpoint, item) for item in published]
        pairs: list[Published] = []
        for item in again:
            try:
                held.append(self._ports.adopt(item.protocol, item.host_ip, item.host_port))
                pairs.append(item)
            except PortTaken as error:
                log.warning("network: port %d of endpoint %s: %s", item.host_port, endpoint.id, error)
        self._firewall.adopt(endpoint.id, again)
        self._serve(endpoint, pairs, held)

    def _serve(self, endpoint: Endpoint, published: list[Published], held: list[Held]) -> None:
        for item, each in zip(published, held, strict=True):
            if ":" in each.host_ip and each.socket is not None and each.protocol in ("tcp", "udp"):
                self._relay.add(each.socket, (endpoint.ipv4, item.port))
        if held:
            with self._lock:
                self._held[endpoint.id] = held

    def withdraw(self, endpoint: Endpoint) -> None:
        """Stop publishing an endpoint's ports; one that has none is no failure."""
        self._firewall.unpublish(endpoint.id)
        with self._lock:
            held = self._held.pop(endpoint.id, [])
        for item in held:
            if ":" in item.host_ip and item.socket is not None:
                self._relay.remove(item.socket)
        if any(item.protocol == "udp" for item in held):
            # A client that goes on sending would be sent on to this container's address for ever.
            addresses = [ipaddress.ip_address(text) for text in (endpoint.ipv4, endpoint.ipv6) if text]
            _forget(lambda netfilter: conntrack.forget_addresses(netfilter, addresses))
        self._ports.release(held)

    def close(self) -> None:
        self._relay.close()
        self._ports.close()


def _forget(work: Callable[[Socket], None]) -> None:
    """Forget connections; a kernel that cannot is no reason to refuse a port."""
    try:
        with Socket(NETLINK_NETFILTER) as netfilter:
            work(netfilter)
    except (errors.System, OSError) as error:
        log.warning("network: old UDP conversations stay: %s", error)


def _published(endpoint: Endpoint, port: int, held: Held) -> Published:
    plain = Published(protocol=held.protocol, port=port, host_ip=held.host_ip, host_port=held.port)
    return _retarget(endpoint, plain)


def _retarget(endpoint: Endpoint, item: Published) -> Published:
    """*item* with the container's address of the same IP version, "" if it has none."""
    target = endpoint.ipv6 if ":" in item.host_ip else endpoint.ipv4
    return Published(
        protocol=item.protocol, port=item.port, host_ip=item.host_ip, host_port=item.host_port, target=target
    )
