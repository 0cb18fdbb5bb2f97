"""A small world of network namespaces: a host that runs ``Networks``, and a neighbour on its LAN.

Sockets stay in the namespace that they were made in, so servers and clients are plain sockets made inside with
``netns.enter``. Nothing of it touches the machine's own network.
"""

import contextlib
import ipaddress
import os
import select
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

from corten.linux import link, netns
from corten.linux.netlink import Batch, Socket
from corten.model.container import ContainerConfig, HostConfig, PortBinding
from corten.model.record import Record
from corten.network.config import NetworkConfig
from corten.network.networks import Networks
from corten.store.database import Database

HOST, LAN = "10.50.0.1", "10.50.0.2"
HOST6, LAN6 = "fd50::1", "fd50::2"


class World:
    """``run`` executes something on the lab's host; ``lan`` is the path of the neighbour's namespace."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.host, self.lan = f"{directory}/host", f"{directory}/lan"
        for path in (self.host, self.lan):
            netns.create(path, lambda _: None)
        self._wire()
        self.database = Database(f"{directory}/state.db")
        self.instances: list[Networks] = []
        self._servers: list[Server] = []
        self._further: dict[str, str] = {}

    def _wire(self) -> None:
        def host() -> None:
            with Socket() as here:
                fd = os.open(self.lan, os.O_RDONLY)
                batch = Batch()
                link.add_up(batch, 1)
                link.add_veth(batch, "lan0", "eth0", peer_ns=fd, peer_mac="02:00:00:00:00:02", mtu=1500, master=0)
                here.run(batch)
                os.close(fd)
                _configure(here, "lan0", (f"{HOST}/24", f"{HOST6}/64"))

        def lan() -> None:
            with Socket() as here:
                batch = Batch()
                link.add_up(batch, 1)
                here.run(batch)
                _configure(here, "eth0", (f"{LAN}/24", f"{LAN6}/64"))

        netns.enter(self.host, host)
        netns.enter(self.lan, lan)

    def wire_further(self, path: str, device: str, host: str, other: str) -> None:
        """Make one more namespace at *path* and connect it to the host's *device*; it goes with the world."""
        netns.create(path, lambda _: None)
        self._further[device] = path

        def here() -> None:
            with Socket() as socket_here:
                fd = os.open(path, os.O_RDONLY)
                batch = Batch()
                mac = "02:00:00:00:00:03"
                link.add_veth(batch, device, "eth0", peer_ns=fd, peer_mac=mac, mtu=1500, master=0)
                socket_here.run(batch)
                os.close(fd)
                _configure(socket_here, device, (host,))

        def there() -> None:
            with Socket() as socket_there:
                _configure(socket_there, "eth0", (other,))

        netns.enter(self.host, here)
        netns.enter(path, there)

    def run(self, work: Callable[[], Any]) -> Any:
        return netns.enter(self.host, work)

    def networks(self, recover: dict[str, Record] | None = None, **config: Any) -> Networks:
        config.setdefault("exec_root", self.directory)
        config.setdefault("bip", "10.60.0.1/24")

        def start() -> Networks:
            networks = Networks(self.database, NetworkConfig(**config))
            networks.start()
            networks.recover(recover or {})
            return networks

        made: Networks = self.run(start)
        self.instances.append(made)
        return made

    def attach(self, networks: Networks, record: Record) -> str:
        """Attach a container; the path of its namespace."""
        path = self.run(lambda: networks.attach(record.id, record)).netns
        assert path is not None
        return str(path)

    def kill(self, networks: Networks) -> None:
        """What a kill -9 of the daemon leaves: the kernel's objects, but no socket and no thread."""
        networks.guard.close()
        networks._reaper.close()
        networks._publisher.close()
        networks._firewall.close()
        self.instances.remove(networks)

    def server(self, path: str, port: int, kind: int = socket.SOCK_STREAM, family: int = socket.AF_INET) -> "Server":
        server = Server(path, port, kind, family)
        self._servers.append(server)
        return server

    def left(self) -> list[str]:
        """Devices on the lab's host that are not the lab's own."""
        with_socket = self.run(lambda: _names())
        return sorted(name for name in with_socket if name not in ("lo", "lan0", *self._further))

    def nft(self, *words: str) -> str:
        command = ["nsenter", f"--net={self.host}", "nft", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def close(self) -> None:
        for server in self._servers:
            server.close()
        for networks in list(self.instances):
            for container in list(networks._sandboxes):
                self.run(lambda container=container, networks=networks: networks.detach(container))
            self.run(networks.close)
        self.database.close()
        for path in (self.host, self.lan, *self._further.values()):
            netns.remove(path)


@contextlib.contextmanager
def world(directory: str) -> Iterator[World]:
    lab = World(directory)
    try:
        yield lab
    finally:
        lab.close()


def record(number: int = 1, mode: str = "bridge", ports: dict[str, str] | None = None, **config: Any) -> Record:
    """A container; *ports* maps "80/tcp" to "[ip:]port" of the host."""
    bindings: dict[str, list[PortBinding] | None] = {}
    for name, text in (ports or {}).items():
        ip, _, port = text.rpartition(":")
        bindings[name] = [PortBinding(host_ip=ip, host_port=port)]
    return Record(
        id=f"{number:064x}",
        name=f"c{number}",
        created=1,
        config=ContainerConfig(hostname=f"h{number}", **config),
        host_config=HostConfig(network_mode=mode, port_bindings=bindings),
    )


class Server:
    """Answers with "PEER-ADDRESS" to TCP connections or UDP packets, inside a namespace; keeps what it saw."""

    def __init__(self, path: str, port: int, kind: int, family: int) -> None:
        def make() -> socket.socket:
            made = socket.socket(family, kind)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(("", port))
            if kind == socket.SOCK_STREAM:
                made.listen()
            return made

        self.socket = netns.enter(path, make)
        self.seen: list[str] = []
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self.socket, self._stop], [], [])
            if self._stop in ready:
                return
            if self.socket.type == socket.SOCK_STREAM:
                connection, peer = self.socket.accept()
                self.seen.append(peer[0])
                connection.sendall(peer[0].encode())
                connection.close()
            else:
                data, peer = self.socket.recvfrom(2000)
                self.seen.append(data.decode())
                self.socket.sendto(peer[0].encode(), peer)

    def close(self) -> None:
        os.write(self._stopped, b"x")
        self._thread.join()
        os.close(self._stop)
        os.close(self._stopped)
        self.socket.close()


def fetch(path: str, address: str, port: int, timeout: float = 3.0) -> str:
    """What a TCP server says to a client in the namespace at *path*; "" if it cannot be reached."""

    def connect() -> str:
        try:
            with socket.create_connection((address, port), timeout) as client:
                return client.recv(200).decode()
        except OSError:
            return ""

    return netns.enter(path, connect)


def ask(path: str, address: str, port: int, text: str = "hello", timeout: float = 3.0) -> str:
    """What a UDP server answers; "" if nothing comes."""

    def talk() -> str:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            client.settimeout(timeout)
            client.connect((address, port))
            try:
                client.send(text.encode())
                return client.recv(200).decode()
            except OSError:
                return ""

    return netns.enter(path, talk)


def forge_udp(path: str, device: str, mac: str, source: str, target: str, port: int, text: str) -> None:
    """Put a hand-made UDP packet on the wire, to the station *mac*, whatever the kernel thinks of its addresses."""
    data = text.encode()
    udp = struct.pack("!HHHH", 4444, port, 8 + len(data), 0) + data
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0)
    header += socket.inet_aton(source) + socket.inet_aton(target)
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    header = header[:10] + struct.pack("!H", ~total & 0xFFFF) + header[12:]
    frame = bytes.fromhex(mac.replace(":", "")) + bytes.fromhex("020000000002") + b"\x08\x00" + header + udp

    def send() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind((device, 0))
            wire.send(frame)

    netns.enter(path, send)


def route(path: str, target: str, gateway: str) -> None:
    subprocess.run(["nsenter", f"--net={path}", "ip", "route", "replace", target, "via", gateway], check=True)


def mac_of(path: str, device: str) -> str:
    return link_of(path, device).mac


def link_of(path: str, device: str) -> link.Link:
    def find() -> link.Link:
        with Socket() as here:
            found = link.find_link(here, device)
            assert found is not None
            return found

    return netns.enter(path, find)


def routes(path: str) -> str:
    command = ["nsenter", f"--net={path}", "ip", "route"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _configure(here: Socket, name: str, addresses: tuple[str, ...]) -> None:
    found = link.find_link(here, name)
    assert found is not None
    batch = Batch()
    link.add_up(batch, found.index)
    for address in addresses:
        link.add_address(batch, found.index, ipaddress.ip_interface(address))
    here.run(batch)


def _names() -> list[str]:
    with Socket() as here:
        return [item.name for item in link.list_links(here)]
