"""Networks: the networks of this daemon, and every running container's place in them."""

import contextlib
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Collection

from corten import errors, faultpoint
from corten.linux import netns, sysctl
from corten.linux.netlink import Socket
from corten.model.record import Record
from corten.network import defaults, files, links
from corten.network.bridge import Bridge
from corten.network.config import NetworkConfig
from corten.network.endpoint import Endpoint
from corten.network.firewall import Firewall, Zone
from corten.network.forwarding import Forwarding
from corten.network.guard import FirewallGuard
from corten.network.portspec import port_map, wanted_ports
from corten.network.publisher import Publisher
from corten.network.reaper import Reaper
from corten.network.record import Attachment, NetworkFiles, NetworkRecord
from corten.network.recovery import Recovery
from corten.network.sandbox import Sandbox, bare_endpoint, make_namespace, network_mode
from corten.network.store import NetworkStore
from corten.store.database import Database

log = logging.getLogger(__name__)

Observer = Callable[[str, str, Endpoint], None]
"""Takes an action, a container's id and its endpoint."""


class Networks:
    """The door to this package. All methods may be called from any thread; calls for one container must not overlap."""

    def __init__(self, database: Database, config: NetworkConfig) -> None:
        self.config = config
        self._store = NetworkStore(database)
        self.owner = config.owner or self._store.owner()
        self._directory = os.path.join(config.exec_root, "netns")
        self._sandboxes: dict[str, Sandbox] = {}
        self._records: dict[str, NetworkRecord] = {}
        self._bridges: dict[str, Bridge] = {}
        self._reaper = Reaper()
        self._firewall = Firewall(self.owner, enabled=config.iptables)
        self._forwarding = Forwarding(self._store)
        self._publisher = Publisher(self._firewall)
        self.guard = FirewallGuard(self._firewall)
        self._host_has_ipv6 = os.path.exists("/proc/thread-self/net/if_inet6")
        self._lock = threading.Lock()
        self.observer: Observer = lambda action, container_id, endpoint: None
        """Told of every endpoint that comes ("connect") and goes ("disconnect"), in the thread that makes it so."""

    # the daemon's life

    def start(self) -> None:
        """Make or take up the predefined networks. Raises ``errors.InvalidArgument`` for a wrong configuration.

        Call ``recover`` next; until then the rules of containers that still run are left as they are.
        """
        os.makedirs(self._directory, mode=0o755, exist_ok=True)
        old = {record.name: record for record in self._store.all()}
        records = [defaults.simple("host", "host", old.get("host")), defaults.simple("none", "null", old.get("none"))]
        with Socket() as socket:
            if self.config.ip_forward:
                self._forwarding.enable(socket, ipv6=self.config.ipv6)
                self._firewall.keep_apart(self._forwarding.kept_apart())
            if self.config.bridge != "none":
                record = defaults.bridge(self.config, old.get("bridge"), self.owner, socket)
                records.append(record)
                self._start_bridge(record, socket)
        for record in records:
            if record != old.get(record.name):
                self._store.put(record)
            self._records[record.name] = record
        if self.config.iptables:
            if not self._firewall.exists():
                self._firewall.reset()
            self.guard.start()

    def _start_bridge(self, record: NetworkRecord, socket: Socket) -> None:
        bridge = Bridge(record, self.owner, made_by_user=bool(self.config.bridge), gateway=self.config.default_gateway)
        bridge.start(socket)
        self._bridges[record.name] = bridge
        subnets = tuple(pool.subnet for pool in record.pools)
        self._firewall.add_zone(Zone(bridge.device, subnets, bridge.icc, bridge.masquerade))

    def recover(self, live: dict[str, Record], unknown: Collection[str] = ()) -> None:
        """Take up the networks of the containers that still run, by id, and delete what no living container has.

        *unknown* are containers that run and whose records cannot be read: what might be theirs is kept.
        """
        recovery = Recovery(self.owner, self._directory, self._records, self._bridges, self._publisher)
        for container_id, record in live.items():
            sandbox = recovery.adopt(container_id, record)
            if sandbox is not None:
                self._sandboxes[container_id] = sandbox
        self._firewall.reset()
        self._firewall.settle()
        recovery.collect_garbage(self._sandboxes, self._reaper, unknown)

    def sandbox(self, container_id: str) -> Sandbox | None:
        """The running container's network, None for one without (stopped, or in another's network)."""
        return self._sandboxes.get(container_id)

    def close(self) -> None:
        """Stop the helpers. Containers keep their networks; without any, bridge and table are taken away."""
        self.guard.close()
        self._reaper.close()
        if not any(sandbox.path for sandbox in self._sandboxes.values()):
            self._firewall.remove()
            with Socket() as socket:
                for bridge in self._bridges.values():
                    bridge.delete(socket)
                self._forwarding.restore(socket, {bridge.device for bridge in self._bridges.values()})
        self._publisher.close()
        self._firewall.close()

    # questions

    def records(self) -> list[NetworkRecord]:
        """All networks, by name."""
        return sorted(self._records.values(), key=lambda record: record.name)

    def endpoints(self, network_id: str) -> list[tuple[Sandbox, Endpoint]]:
        """The live endpoints of a network."""
        with self._lock:
            return [
                (sandbox, endpoint)
                for sandbox in self._sandboxes.values()
                for endpoint in sandbox.endpoints
                if endpoint.network_id == network_id
            ]

    def files(self, record: Record, attachment: Attachment) -> NetworkFiles:
        """The contents of /etc/hosts, /etc/resolv.conf and /etc/hostname for a container that was attached."""
        gateways = []
        if "bridge" in self._bridges:
            gateways = [str(pool.gateway) for pool in self._bridges["bridge"].pools.values()]
        lines = []
        if record.host_config.links:
            with self._lock:
                lines = links.hosts_lines(record, self._sandboxes)
        return files.build(record, attachment, self.config, gateways, lines)

    # containers

    def attach(self, container_id: str, record: Record) -> Attachment:
        """Give a starting container its network. Leaves nothing behind when it raises."""
        if container_id in self._sandboxes:
            self.detach(container_id)
        mode = network_mode(record)
        if mode.startswith("container:"):
            return self._join(mode.removeprefix("container:"))
        network = self._find(mode)
        self._refuse_further(network, record)
        if network.driver == "host":
            sandbox = Sandbox.of(record, "", [bare_endpoint(network)])
        elif network.driver == "null":
            sandbox = self._isolate(container_id, record, network)
        else:
            sandbox = self._connect(container_id, record, network)
        with self._lock:
            self._sandboxes[container_id] = sandbox
        for endpoint in sandbox.endpoints:
            self.observer("connect", container_id, endpoint)
        return self._attachment(sandbox, record)

    def _refuse_further(self, network: NetworkRecord, record: Record) -> None:
        """A container is on one network so far; what it wants beyond is refused and not left out."""
        for name in record.endpoints:
            if name not in (network.name, network.id, network_mode(record), "default"):
                other = self._find(name)
                raise errors.NotSupported(f"a container cannot be on {network.name} and on {other.name} at once yet")

    def _attachment(self, sandbox: Sandbox, record: Record) -> Attachment:
        return Attachment(
            netns=sandbox.path or None,
            sandbox_id=hashlib.sha256(f"sandbox {sandbox.container_id}".encode()).hexdigest(),
            sandbox_key=sandbox.path or os.path.join(self._directory, "default"),
            endpoints={
                endpoint.network: endpoint.settings(
                    record.endpoints.get(endpoint.network) or record.endpoints.get(network_mode(record))
                )
                for endpoint in sandbox.endpoints
                if not record.config.network_disabled
            },
            ports=port_map(record, sandbox.published) if sandbox.endpoints[0].device else {},
        )

    def _join(self, other: str) -> Attachment:
        with self._lock:
            found = [box for key, box in self._sandboxes.items() if key.startswith(other) or box.name == other]
        if not found:
            raise errors.Conflict(f"cannot join network of a non running container: {other}")
        return Attachment(netns=found[0].path or None, sandbox_id="", sandbox_key="")

    def _isolate(self, container_id: str, record: Record, network: NetworkRecord) -> Sandbox:
        path = os.path.join(self._directory, container_id)
        make_namespace(path, lambda inner, namespace: None)
        return Sandbox.of(record, path, [bare_endpoint(network)])

    def _connect(self, container_id: str, record: Record, network: NetworkRecord) -> Sandbox:
        bridge = self._bridges[network.name]
        ports = wanted_ports(record, self.config.default_ip, host_has_ipv6=self._host_has_ipv6)
        wanted = record.endpoints.get(network.name) or record.endpoints.get(network_mode(record))
        mac = (wanted.mac_address if wanted else "") or record.config.mac_address
        path = os.path.join(self._directory, container_id)
        with contextlib.ExitStack() as undo, Socket() as socket:
            endpoint = bridge.plan("eth0", wanted, mac)
            undo.callback(self._drop, endpoint)
            faultpoint.reach("network.planned")
            published = self._publisher.publish(endpoint, record.name, ports) if ports else []
            undo.callback(self._publisher.withdraw, endpoint)
            faultpoint.reach("network.published")
            make_namespace(path, lambda inner, namespace: bridge.plug(socket, inner, namespace, endpoint, default=True))
            undo.callback(netns.remove, path)
            faultpoint.reach("network.plugged")
            sysctl.write(f"net/ipv6/conf/{endpoint.device}/disable_ipv6", "1")
            undo.pop_all()
        return Sandbox.of(record, path, [endpoint], published)

    def detach(self, container_id: str) -> None:
        """Take a container's network away; one that has none is no failure."""
        with self._lock:
            sandbox = self._sandboxes.get(container_id)
        if sandbox is None:
            return
        for endpoint in sandbox.endpoints:
            self._publisher.withdraw(endpoint)
        faultpoint.reach("network.withdrawn")
        if sandbox.path:
            netns.remove(sandbox.path)
        faultpoint.reach("network.unplugged")
        with self._lock:  # not before: what could not be taken away is tried again
            del self._sandboxes[container_id]
        for endpoint in sandbox.endpoints:
            self._drop(endpoint)
            self.observer("disconnect", container_id, endpoint)

    def _drop(self, endpoint: Endpoint) -> None:
        bridge = self._bridges.get(endpoint.network)
        if bridge is not None and endpoint.device:
            owner = bridge
            self._reaper.delete(endpoint.device, lambda: owner.release(endpoint))

    def _find(self, ref: str) -> NetworkRecord:
        for record in self._records.values():
            if ref in (record.name, record.id):
                return record
        found = [record for record in self._records.values() if len(ref) >= 12 and record.id.startswith(ref)]
        if len(found) == 1:
            return found[0]
        raise errors.NotFound(f"network {ref} not found")
