"""Published ports as values, and the firewall's text made of them."""

import pytest

from corten import errors
from corten.model.container import ContainerConfig, EndpointIPAMConfig, EndpointSettings, HostConfig, PortBinding
from corten.model.record import Record
from corten.network.firewall import Zone, _element, count, ruleset
from corten.network.portspec import Published, Wanted, from_map, parse_port, parse_range, port_map, wanted_ports
from corten.network.validate import check_endpoints


def container(
    bindings: dict[str, list[PortBinding] | None], exposed: tuple[str, ...] = (), every: bool = False
) -> Record:
    return Record(
        id="a" * 64,
        name="web",
        created=1,
        config=ContainerConfig(exposed_ports={key: {} for key in exposed}),
        host_config=HostConfig(port_bindings=bindings, publish_all_ports=every),
    )


def test_ports_and_ranges() -> None:
    assert parse_port("80") == (80, "tcp")
    assert parse_port("53/UDP") == (53, "udp")
    assert parse_range("") == parse_range("0") == (0, 0)
    assert parse_range("80-90") == (80, 90)


@pytest.mark.parametrize("text", ["0/tcp", "65536", "-1", "x", "80/icmp", "", "٨٠"])
def test_wrong_ports(text: str) -> None:
    with pytest.raises(errors.InvalidArgument):
        parse_port(text)


@pytest.mark.parametrize("text", ["90-80", "80-", "-80", "80-x", "1-99999"])
def test_wrong_ranges(text: str) -> None:
    with pytest.raises(errors.InvalidArgument):
        parse_range(text)


def test_wildcards_are_both_families_unless_one_is_named() -> None:
    record = container({"80/tcp": [PortBinding(host_port="8080")], "81/tcp": [PortBinding(host_ip="0.0.0.0")]})
    assert wanted_ports(record, "0.0.0.0", host_has_ipv6=True) == [
        Wanted("tcp", 80, ("0.0.0.0", "::"), 8080, 8080),
        Wanted("tcp", 81, ("0.0.0.0",)),
    ]
    assert wanted_ports(record, "0.0.0.0", host_has_ipv6=False)[0].host_ips == ("0.0.0.0",)
    assert wanted_ports(record, "192.0.2.1", host_has_ipv6=True)[0].host_ips == ("192.0.2.1",)


def test_publish_all_takes_the_exposed_ports_that_have_no_binding() -> None:
    record = container({"80/tcp": [PortBinding(host_port="1")]}, ("80/tcp", "90/udp"), every=True)
    assert [(item.port, item.low) for item in wanted_ports(record, "", host_has_ipv6=False)] == [(80, 1), (90, 0)]


def test_the_map_of_ports_reads_back() -> None:
    published = [
        Published(protocol="udp", port=53, host_ip="127.0.0.1", host_port=5353),
        Published(protocol="tcp", port=80, host_ip="0.0.0.0", host_port=8080),
        Published(protocol="tcp", port=80, host_ip="::", host_port=8080),
    ]
    ports = port_map(container({}, ("80/tcp", "443/tcp")), published)
    assert ports == {
        "443/tcp": None,
        "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "5353"}],
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
    }
    assert sorted(from_map(ports), key=lambda item: (item.port, item.host_ip)) == published


def test_elements_name_the_address_only_where_there_is_one() -> None:
    one = Published(protocol="tcp", port=80, host_ip="0.0.0.0", host_port=8080, target="10.0.0.2")
    two = Published(protocol="tcp", port=80, host_ip="::1", host_port=8080, target="fd00::2")
    assert _element(one) == ("any4", "tcp . 8080 : 10.0.0.2 . 80")
    assert _element(two) == ("host6", "::1 . tcp . 8080 : fd00::2 . 80")


def test_the_ruleset_grows_with_networks_only() -> None:
    small = ruleset("t", [Zone("br0", ("10.0.0.0/24",))])
    large = ruleset("t", [Zone("br0", ("10.0.0.0/24", "fd00::/64"), icc=False), Zone("br1", ("10.1.0.0/24",))])
    assert count(small) == (17, 6)
    assert count(large) == (24, 6)
    assert 'oifname "br0" drop' in small
    assert 'iifname "br0" oifname "br0" accept' in small
    assert 'iifname "br0" oifname "br0" accept' not in large


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (EndpointSettings(aliases=["x"]), "network-scoped alias is supported only"),
        (EndpointSettings(ipam_config=EndpointIPAMConfig(ipv4_address="10.0.0.9")), "user specified IP address"),
        (EndpointSettings(ipam_config=EndpointIPAMConfig(ipv6_address="fd00::9")), "user specified IP address"),
    ],
)
def test_wishes_that_a_predefined_network_cannot_grant(settings: EndpointSettings, text: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=rf"invalid config for network bridge: [^\n]*\n{text}"):
        check_endpoints({"bridge": settings})
    check_endpoints({"mine": settings, "bridge": EndpointSettings(mac_address="02:00:00:00:00:01")})
