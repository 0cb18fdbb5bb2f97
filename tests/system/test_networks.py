"""Container networks against the real kernel, in a lab of namespaces with a neighbour on the LAN."""

import os
import socket
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest

from corten import errors
from corten.linux import netns, sysctl
from corten.model.container import EndpointIPAMConfig, EndpointSettings
from corten.model.record import Record
from corten.network.networks import Networks
from tests.support import netlab
from tests.support.netlab import HOST, HOST6, LAN, World, ask, fetch, forge_udp, mac_of, record, route

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

SHORT = 0.4
"""Seconds to wait for an answer that must not come."""


@pytest.fixture
def lab(tmp_path) -> Iterator[World]:
    with netlab.world(str(tmp_path)) as world:
        yield world
        for networks in world.instances:
            for container in list(networks._sandboxes):
                world.run(lambda container=container, networks=networks: networks.detach(container))
            world.run(networks.close)
        world.instances.clear()
        assert world.left() == []
        assert "corten" not in world.nft("list", "tables")
        assert sorted(os.listdir(f"{world.directory}/netns")) == []


def eventually(test: Callable[[], bool], seconds: float = 3.0) -> None:
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


def reattached(networks: Networks, wanted: Record, lab: World) -> Record:
    """*wanted* as its record is written after the start."""
    attachment = lab.run(lambda: networks.attach(wanted.id, wanted))
    return msgspec.structs.replace(wanted, endpoints=attachment.endpoints, ports=attachment.ports)


# the bridge


def test_a_container_has_address_route_and_loopback(lab: World) -> None:
    networks = lab.networks()
    wanted = record(1)
    attachment = lab.run(lambda: networks.attach(wanted.id, wanted))
    endpoint = attachment.endpoints["bridge"]
    assert (endpoint.ip_address, endpoint.ip_prefix_len, endpoint.gateway) == ("10.60.0.2", 24, "10.60.0.1")
    assert mac_of(attachment.netns, "eth0") == endpoint.mac_address == "02:42:0a:3c:00:02"
    server = lab.server(attachment.netns, 80)
    assert fetch(attachment.netns, "127.0.0.1", 80) == "127.0.0.1"
    assert fetch(lab.host, "10.60.0.2", 80) == "10.60.0.1"
    assert fetch(lab.host, "10.60.0.2", 81) == ""
    assert server.seen == ["127.0.0.1", "10.60.0.1"]
    settings = {name: f"net/ipv6/conf/{name}/disable_ipv6" for name in ("eth0", "all", "default")}
    found = netns.enter(attachment.netns, lambda: {name: sysctl.read(path) for name, path in settings.items()})
    assert found == {"eth0": "1", "all": "0", "default": "0"}


def test_containers_reach_each_other_and_the_world(lab: World) -> None:
    networks = lab.networks()
    one, two = lab.attach(networks, record(1)), lab.attach(networks, record(2))
    lab.server(two, 80)
    lab.server(lab.lan, 80)
    assert fetch(one, "10.60.0.3", 80) == "10.60.0.2"
    assert fetch(one, LAN, 80) == HOST, "the LAN must see the host's address"


def test_wished_addresses(lab: World) -> None:
    networks = lab.networks()
    settings = EndpointSettings(
        mac_address="02:42:00:00:00:99", ipam_config=EndpointIPAMConfig(ipv4_address="10.60.0.77")
    )
    wanted = msgspec.structs.replace(record(1), endpoints={"bridge": settings})
    attachment = lab.run(lambda: networks.attach(wanted.id, wanted))
    assert attachment.endpoints["bridge"].ip_address == "10.60.0.77"
    assert mac_of(attachment.netns, "eth0") == "02:42:00:00:00:99"
    again = msgspec.structs.replace(wanted, id=f"{2:064x}")
    with pytest.raises(errors.Conflict, match="Address already in use"):
        lab.run(lambda: networks.attach(again.id, again))


@pytest.mark.parametrize("bridged_packets_are_filtered", ["0", "1"])
def test_no_communication_between_containers(lab: World, bridged_packets_are_filtered: str) -> None:
    lab.run(lambda: sysctl.write("net/bridge/bridge-nf-call-iptables", bridged_packets_are_filtered))
    networks = lab.networks(icc=False)
    one, two = lab.attach(networks, record(1)), lab.attach(networks, record(2, ports={"80/tcp": "8080"}))
    lab.server(two, 80)
    assert fetch(one, "10.60.0.3", 80, SHORT) == ""
    route(one, "10.60.0.3/32", "10.60.0.1")
    assert fetch(one, "10.60.0.3", 80, SHORT) == "", "nor by way of the gateway"
    assert fetch(one, HOST, 8080) != "", "a published port is for everybody"
    assert fetch(lab.lan, HOST, 8080) == LAN


def test_none_and_host(lab: World) -> None:
    networks = lab.networks()
    none = lab.attach(networks, record(1, "none"))
    lab.server(none, 80)
    assert fetch(none, "127.0.0.1", 80) == "127.0.0.1"
    assert fetch(none, HOST, 80) == ""
    wanted = record(2, "host")
    attachment = lab.run(lambda: networks.attach(wanted.id, wanted))
    assert attachment.netns is None
    assert set(attachment.endpoints) == {"host"}


def test_ipv6(lab: World) -> None:
    networks = lab.networks(ipv6=True, fixed_cidr_v6="fd60::/64")
    wanted = record(1, ports={"80/tcp": "8080"})
    attachment = lab.run(lambda: networks.attach(wanted.id, wanted))
    endpoint = attachment.endpoints["bridge"]
    assert (endpoint.global_ipv6_address, endpoint.global_ipv6_prefix_len) == ("fd60::2", 64)
    assert endpoint.ipv6_gateway == "fd60::1"
    lab.server(attachment.netns, 80, family=socket.AF_INET6)
    lab.server(lab.lan, 90, family=socket.AF_INET6)
    assert fetch(lab.host, "fd60::2", 80) == "fd60::1"
    assert fetch(lab.lan, HOST6, 8080) == netlab.LAN6
    assert fetch(attachment.netns, netlab.LAN6, 90) == HOST6
    route_lan = ["nsenter", f"--net={lab.lan}", "ip", "-6", "route", "add", "fd60::/64", "via", HOST6]
    assert os.spawnvp(os.P_WAIT, route_lan[0], route_lan) == 0
    assert fetch(lab.lan, "fd60::2", 80, SHORT) == "", "not past the published port"


def test_files_name_the_address(lab: World) -> None:
    networks = lab.networks()
    wanted = record(1)
    attachment = lab.run(lambda: networks.attach(wanted.id, wanted))
    files = networks.files(wanted, attachment)
    assert files.hosts.endswith(b"10.60.0.2\th1\n")
    assert files.hostname == b"h1\n"


def test_options_of_the_bridge(lab: World) -> None:
    networks = lab.networks(mtu=1400, fixed_cidr="10.60.0.128/25", default_gateway="10.60.0.200", ip_masq=False)
    wanted = record(1, ports={"80/tcp": "8080"})
    attachment = lab.run(lambda: networks.attach(wanted.id, wanted))
    endpoint = attachment.endpoints["bridge"]
    assert (endpoint.ip_address, endpoint.gateway) == ("10.60.0.128", "10.60.0.200")
    assert netns.enter(attachment.netns, lambda: sysctl.read("net/ipv4/conf/eth0/rp_filter")) != ""
    for path, device in ((lab.host, "corten0"), (attachment.netns, "eth0")):
        assert netlab.link_of(path, device).mtu == 1400
    assert "default via 10.60.0.200 dev eth0" in netlab.routes(attachment.netns)


def test_without_masquerading_the_lan_sees_the_container(lab: World) -> None:
    networks = lab.networks(ip_masq=False)
    path = lab.attach(networks, record(1))
    server = lab.server(lab.lan, 80)
    route(lab.lan, "10.60.0.0/24", HOST)
    assert fetch(path, LAN, 80) == "10.60.0.2"
    assert server.seen == ["10.60.0.2"]


def test_a_bridge_of_the_users_own(lab: World) -> None:
    with pytest.raises(errors.InvalidArgument, match="mine"):
        lab.networks(bridge="mine", bip="")
    lab.run(lambda: os.system("ip link add mine type bridge && ip addr add 10.70.0.9/24 dev mine"))
    networks = lab.networks(bridge="mine", bip="")
    attachment = lab.run(lambda: networks.attach(record(1).id, record(1)))
    assert attachment.endpoints["bridge"].gateway == "10.70.0.9"
    lab.server(attachment.netns, 80)
    assert fetch(lab.host, attachment.endpoints["bridge"].ip_address, 80) == "10.70.0.9"
    lab.run(lambda: networks.detach(record(1).id))
    lab.run(networks.close)
    lab.instances.remove(networks)
    assert lab.left() == ["mine"], "it is not ours to delete"
    lab.run(lambda: os.system("ip link del mine"))


def test_no_bridge_at_all(lab: World) -> None:
    networks = lab.networks(bridge="none", bip="")
    assert [each.name for each in networks.records()] == ["host", "none"]
    assert lab.left() == []
    with pytest.raises(errors.NotFound, match="network bridge not found"):
        lab.attach(networks, record(1))


def test_a_port_on_ipv6_loopback_alone(lab: World) -> None:
    networks = lab.networks()
    path = lab.attach(networks, record(1, ports={"80/tcp": "::1:8080"}))
    lab.server(path, 80)
    assert fetch(lab.host, "::1", 8080) == "10.60.0.1"
    assert fetch(lab.host, "127.0.0.1", 8080) == ""
    assert fetch(lab.lan, HOST6, 8080, SHORT) == ""


def test_links_name_their_container(lab: World) -> None:
    networks = lab.networks()
    lab.attach(networks, record(1))
    wanted = record(2)
    wanted = msgspec.structs.replace(
        wanted, host_config=msgspec.structs.replace(wanted.host_config, links=["c1:db", "/c1:/c2/other"])
    )
    attachment = lab.run(lambda: networks.attach(wanted.id, wanted))
    assert networks.files(wanted, attachment).hosts.endswith(b"10.60.0.2\tdb h1 c1\n10.60.0.2\tother h1 c1\n")
    lab.run(lambda: networks.detach(record(1).id))
    with pytest.raises(errors.Conflict, match="Cannot link to a non running container: /c1 AS /c2/db"):
        networks.files(wanted, attachment)


def test_a_second_network_is_refused(lab: World) -> None:
    networks = lab.networks()
    wanted = msgspec.structs.replace(record(1), endpoints={"bridge": EndpointSettings(), "none": EndpointSettings()})
    with pytest.raises(errors.NotSupported):
        lab.attach(networks, wanted)
    wanted = msgspec.structs.replace(record(1), endpoints={"bridge": EndpointSettings(), "x": EndpointSettings()})
    with pytest.raises(errors.NotFound, match="network x not found"):
        lab.attach(networks, wanted)
    with pytest.raises(errors.NotFound, match="network x not found"):
        lab.attach(networks, record(1, "x"))


# published ports


def test_published_port_from_everywhere(lab: World) -> None:
    networks = lab.networks()
    web = lab.attach(networks, record(1, ports={"80/tcp": "8080"}))
    other = lab.attach(networks, record(2))
    lab.server(web, 80)
    assert fetch(lab.lan, HOST, 8080) == LAN, "the container sees who asks"
    assert fetch(lab.lan, HOST6, 8080) == "10.60.0.1", "IPv6 is relayed"
    assert fetch(lab.host, "127.0.0.1", 8080) == "10.60.0.1"
    assert fetch(lab.host, "::1", 8080) == "10.60.0.1"
    assert fetch(lab.host, HOST, 8080) == HOST
    assert fetch(other, HOST, 8080) == "10.60.0.1"
    assert fetch(web, HOST, 8080) == "10.60.0.1", "its own published port"
    lab.run(lambda: networks.detach(record(1).id))
    assert fetch(lab.host, "127.0.0.1", 8080) == ""
    assert fetch(lab.host, "::1", 8080) == ""


def test_published_udp(lab: World) -> None:
    networks = lab.networks()
    path = lab.attach(networks, record(1, ports={"53/udp": "5353"}))
    lab.server(path, 53, socket.SOCK_DGRAM)
    assert ask(lab.lan, HOST, 5353) == LAN
    assert ask(lab.host, "127.0.0.1", 5353) == "10.60.0.1"
    assert ask(lab.host, "::1", 5353) == "10.60.0.1"


def test_a_udp_client_follows_the_container(lab: World) -> None:
    """One that never stops sending: before the port is there, and while its container is replaced by another."""
    networks = lab.networks()
    client = netns.enter(lab.lan, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with client:
        client.sendto(b"early", (HOST, 5353))
        for number in (1, 2):
            wanted = record(number, ports={"53/udp": "5353"})
            server = lab.server(lab.attach(networks, wanted), 53, socket.SOCK_DGRAM)
            client.sendto(b"hello", (HOST, 5353))
            eventually(lambda server=server: server.seen == ["hello"])
            lab.run(lambda wanted=wanted: networks.detach(wanted.id))
            client.sendto(b"nobody", (HOST, 5353))


def test_a_relayed_connection_carries_much_both_ways(lab: World) -> None:
    networks = lab.networks()
    path = lab.attach(networks, record(1, ports={"80/tcp": "8080"}))
    listener = netns.enter(path, lambda: socket.create_server(("", 80)))
    client = netns.enter(lab.host, lambda: socket.create_connection(("::1", 8080), 5))
    server, _ = listener.accept()
    payload = os.urandom(3_000_000)
    with listener, client, server:
        for sender, receiver in ((client, server), (server, client)):
            sender.setblocking(True)
            got = bytearray()
            sent = 0
            sender.settimeout(0.05)
            while len(got) < len(payload):
                if sent < len(payload):
                    try:
                        sent += sender.send(payload[sent : sent + 65536])
                    except TimeoutError:
                        pass
                    if sent == len(payload):
                        sender.shutdown(socket.SHUT_WR)
                if sent > 500_000:
                    got += receiver.recv(1 << 20)
            assert bytes(got) == payload
            assert receiver.recv(1) == b""


def test_port_conflicts(lab: World) -> None:
    networks = lab.networks()
    lab.attach(networks, record(1, ports={"80/tcp": "8080"}))
    for number, text in enumerate(("8080", "127.0.0.1:8080", ":::8080"), 2):
        with pytest.raises(errors.System, match=r"on endpoint c\d \([0-9a-f]{64}\): Bind for .*:8080 failed: port is"):
            lab.attach(networks, record(number, ports={"80/tcp": text}))
    holder = netns.enter(lab.host, lambda: socket.create_server(("127.0.0.1", 9090)))
    with (
        holder,
        pytest.raises(errors.System, match=r"failed to bind host port for 0\.0\.0\.0:9090:10\.60\.0\.\d+:80/tcp: addr"),
    ):
        lab.attach(networks, record(5, ports={"80/tcp": "9090"}))
    with pytest.raises(OSError, match="in use"):
        netns.enter(lab.host, lambda: socket.create_server(("127.0.0.1", 8080)))
    with pytest.raises(errors.System, match="cannot assign requested address"):
        lab.attach(networks, record(6, ports={"80/tcp": "192.0.2.99:8081"}))
    assert [sandbox.container_id for sandbox, _ in networks.endpoints(networks.records()[0].id)] == [record(1).id]


def test_old_connections_do_not_block_a_port(lab: World) -> None:
    holder = netns.enter(lab.host, lambda: socket.create_server(("127.0.0.1", 8080)))
    client = netns.enter(lab.host, lambda: socket.create_connection(("127.0.0.1", 8080)))
    server, _ = holder.accept()
    server.close()  # this side closes first and keeps the connection in TIME_WAIT
    client.recv(1)
    client.close()
    holder.close()
    networks = lab.networks()
    path = lab.attach(networks, record(1, ports={"80/tcp": "8080"}))
    lab.server(path, 80)
    assert fetch(lab.host, "127.0.0.1", 8080) == "10.60.0.1"


def test_ranges_and_random_ports(lab: World) -> None:
    networks = lab.networks()
    found = []
    for number in (1, 2):
        wanted = record(number, ports={"80/tcp": "127.0.0.1:7000-7001"})
        found.append(lab.run(lambda wanted=wanted: networks.attach(wanted.id, wanted)).ports["80/tcp"])
    assert found == [[{"HostIp": "127.0.0.1", "HostPort": "7000"}], [{"HostIp": "127.0.0.1", "HostPort": "7001"}]]
    wanted = record(3, exposed_ports={"80/tcp": {}, "90/udp": {}})
    wanted = msgspec.structs.replace(
        wanted, host_config=msgspec.structs.replace(wanted.host_config, publish_all_ports=True)
    )
    ports = lab.run(lambda: networks.attach(wanted.id, wanted)).ports
    assert set(ports) == {"80/tcp", "90/udp"}
    for bindings in ports.values():
        assert [binding["HostIp"] for binding in bindings] == ["0.0.0.0", "::"]
        assert len({binding["HostPort"] for binding in bindings}) == 1
        assert 32768 <= int(bindings[0]["HostPort"]) <= 60999


# what a neighbour must not reach


def test_a_loopback_port_is_not_reachable_from_the_lan(lab: World) -> None:
    networks = lab.networks()
    path = lab.attach(networks, record(1, ports={"53/udp": "127.0.0.1:5353", "54/udp": "5454"}))
    private, public = lab.server(path, 53, socket.SOCK_DGRAM), lab.server(path, 54, socket.SOCK_DGRAM)
    assert ask(lab.host, "127.0.0.1", 5353) != ""
    assert ask(lab.lan, HOST, 5353, timeout=SHORT) == ""
    station = mac_of(lab.host, "lan0")
    forge_udp(lab.lan, "eth0", station, LAN, "127.0.0.1", 5353, "forged")
    forge_udp(lab.lan, "eth0", station, "127.0.0.1", "127.0.0.1", 5353, "forged")
    forge_udp(lab.lan, "eth0", station, LAN, "10.60.0.2", 53, "routed")
    forge_udp(lab.lan, "eth0", station, LAN, HOST, 5454, "last")
    eventually(lambda: "last" in public.seen)
    assert private.seen == ["hello"]


def test_containers_are_not_reachable_past_their_published_ports(lab: World) -> None:
    networks = lab.networks()
    path = lab.attach(networks, record(1, ports={"80/tcp": "8080"}))
    lab.server(path, 80)
    lab.server(path, 81)
    route(lab.lan, "10.60.0.0/24", HOST)
    assert fetch(lab.lan, HOST, 8080) == LAN
    assert fetch(lab.lan, "10.60.0.2", 80, SHORT) == ""
    assert fetch(lab.lan, "10.60.0.2", 81, SHORT) == ""


def test_containers_of_two_daemons_do_not_reach_each_other(lab: World, tmp_path) -> None:
    one = lab.networks(owner="11111111")
    two = lab.networks(owner="22222222", bip="10.61.0.1/24", exec_root=f"{tmp_path}/two")
    first, second = lab.attach(one, record(1)), lab.attach(two, record(1))
    assert fetch(lab.host, "10.60.0.2", 80) == ""
    lab.server(second, 80)
    assert fetch(lab.host, "10.61.0.2", 80) == "10.61.0.1"
    assert fetch(first, "10.61.0.2", 80, SHORT) == ""
    assert set(lab.left()) >= {"corten0", "corten22222222"}
    lab.run(lambda: two.detach(record(1).id))
    lab.run(two.close)
    lab.instances.remove(two)
    lab.server(first, 80)
    assert fetch(lab.host, "10.60.0.2", 80) == "10.60.0.1", "the other daemon is untouched"


def test_switching_forwarding_on_makes_no_router(lab: World) -> None:
    """The host does not forward between networks that it had before, however a packet is addressed."""
    second = f"{lab.directory}/second"
    lab.wire_further(second, "lan1", "10.51.0.1/24", "10.51.0.2/24")
    lab.run(lambda: sysctl.write("net/ipv4/ip_forward", "0"))
    route(lab.lan, "10.51.0.0/24", HOST)
    route(second, "10.50.0.0/24", "10.51.0.1")
    networks = lab.networks()
    assert lab.run(lambda: sysctl.read("net/ipv4/ip_forward")) == "1"
    lab.server(second, 80)
    path = lab.attach(networks, record(1, ports={"80/tcp": "8080"}))
    lab.server(path, 80)
    assert fetch(path, "10.51.0.2", 80) == "10.51.0.1", "containers go everywhere"
    assert fetch(lab.lan, HOST, 8080) == LAN
    assert fetch(lab.lan, "10.51.0.2", 80, SHORT) == ""
    lab.kill(networks)
    again = lab.networks()
    assert fetch(lab.lan, "10.51.0.2", 80, SHORT) == "", "nor after a restart"
    lab.run(again.close)
    lab.instances.remove(again)
    assert lab.run(lambda: sysctl.read("net/ipv4/ip_forward")) == "0"


# robustness


@pytest.mark.parametrize("verb", ["delete table", "flush table", "flush map", "flush ruleset"])
def test_a_flushed_firewall_comes_back(lab: World, verb: str) -> None:
    networks = lab.networks()
    path = lab.attach(networks, record(1, ports={"80/tcp": "8080"}))
    lab.server(path, 80)
    assert fetch(lab.lan, HOST, 8080) == LAN
    words = {"flush map": f"flush map inet corten_{networks.owner} any4", "flush ruleset": verb}
    lab.nft(*words.get(verb, f"{verb} inet corten_{networks.owner}").split())
    eventually(networks._firewall.is_intact, 1.0)
    assert fetch(lab.lan, HOST, 8080) == LAN


def test_containers_survive_the_daemon(lab: World) -> None:
    networks = lab.networks()
    kept = reattached(networks, record(1, ports={"80/tcp": "8080"}), lab)
    host = reattached(networks, record(2, "host"), lab)
    reattached(networks, record(3, ports={"80/tcp": "8081"}), lab)  # dies with the daemon
    path = f"{lab.directory}/netns/{kept.id}"
    lab.server(path, 80)
    lab.kill(networks)
    assert fetch(lab.lan, HOST, 8080) == LAN, "while the daemon is away"
    again = lab.networks(recover={kept.id: kept, host.id: host})
    assert fetch(lab.lan, HOST, 8080) == LAN
    assert fetch(lab.host, "::1", 8080) == "10.60.0.1"
    assert sorted(os.listdir(f"{lab.directory}/netns")) == [kept.id]
    eventually(lambda: len(lab.left()) == 2)  # the bridge and one veth
    with pytest.raises(errors.System, match="port is already allocated"):
        lab.attach(again, record(4, ports={"80/tcp": "8080"}))
    fresh = lab.run(lambda: again.attach(record(5).id, record(5, ports={"80/tcp": "8081"})))
    assert fresh.endpoints["bridge"].ip_address not in ("10.60.0.1", "10.60.0.2")


def test_a_failed_attach_leaves_nothing(lab: World, monkeypatch) -> None:
    networks = lab.networks()
    bridge = networks._bridges["bridge"]

    def broken(*_: object, **__: object) -> None:
        raise errors.System("broken")

    monkeypatch.setattr(bridge, "plug", broken)
    with pytest.raises(errors.System, match="broken"):
        lab.attach(networks, record(1, ports={"80/tcp": "8080"}))
    assert lab.left() == ["corten0"]
    assert os.listdir(f"{lab.directory}/netns") == []
    monkeypatch.undo()
    path = lab.attach(networks, record(1, ports={"80/tcp": "8080"}))
    lab.server(path, 80)
    assert fetch(lab.host, "127.0.0.1", 8080) == "10.60.0.1"


def test_the_subnet_avoids_the_hosts_routes_and_stays(lab: World) -> None:
    route(lab.host, "172.30.0.0/15", LAN)
    networks = lab.networks(bip="")
    pool = networks.records()[0].pools[0]
    assert pool.subnet == "172.29.0.0/16"
    lab.run(networks.close)
    lab.instances.remove(networks)
    lab.run(lambda: os.system("ip route del 172.30.0.0/15"))
    again = lab.networks(bip="")
    assert again.records()[0].pools[0].subnet == "172.29.0.0/16"
    assert again.records()[0].id == networks.records()[0].id


def test_a_foreign_device_of_our_name_is_left_alone(lab: World) -> None:
    lab.run(lambda: os.system("ip link add corten0 type bridge"))
    networks = lab.networks()
    assert f"corten{networks.owner}" in lab.left()
    lab.run(networks.close)
    lab.instances.remove(networks)
    assert lab.left() == ["corten0"]
    lab.run(lambda: os.system("ip link del corten0"))
