"""Contents of resolv.conf, hosts and hostname."""

import pytest

from corten import errors
from corten.model.container import ContainerConfig, EndpointSettings, HostConfig
from corten.model.record import Record
from corten.network import files
from corten.network.config import NetworkConfig
from corten.network.record import Attachment
from corten.network.resolvconf import ResolvConf, host_resolv_conf


def container(domain: str = "", **host: object) -> Record:
    return Record(
        id="a" * 64,
        name="web",
        created=1,
        config=ContainerConfig(hostname="web", domainname=domain),
        host_config=HostConfig(**host),
    )


BRIDGED = Attachment(
    netns="/x", sandbox_id="", sandbox_key="", endpoints={"bridge": EndpointSettings(ip_address="10.0.0.2")}
)


def test_resolv_conf_is_read_and_written() -> None:
    text = "# c\nnameserver 10.1.1.1\nsearch a b\noptions ndots:2\noptions edns0\nsortlist 1.2.3.4\n; d\n"
    assert ResolvConf.parse(text).text() == (
        "nameserver 10.1.1.1\nsearch a b\noptions ndots:2 edns0\nsortlist 1.2.3.4\n"
    )


def test_servers_that_a_container_cannot_reach_are_dropped() -> None:
    parsed = ResolvConf(nameservers=("127.0.0.1", "::1", "10.1.1.1", "fd00::1", "nonsense"))
    assert parsed.for_container(ipv6=False).nameservers == ("10.1.1.1",)
    assert parsed.for_container(ipv6=True).nameservers == ("10.1.1.1", "fd00::1")
    assert ResolvConf(nameservers=("127.0.0.53",)).for_container(ipv6=False).nameservers == ("8.8.8.8", "8.8.4.4")


def test_a_search_of_a_dot_clears_and_given_lists_replace() -> None:
    parsed = ResolvConf(nameservers=("10.1.1.1",), search=("a",), options=("x",))
    changed = parsed.override(["10.2.2.2"], ["."], [])
    assert (changed.nameservers, changed.search, changed.options) == (("10.2.2.2",), (), ("x",))


def test_the_stub_of_resolved_gives_way_to_its_real_servers(tmp_path) -> None:
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("nameserver 127.0.0.53\n")
    real.write_text("nameserver 10.3.3.3\n")
    assert host_resolv_conf(str(stub), str(real)) == "nameserver 10.3.3.3\n"
    assert host_resolv_conf(str(stub), str(tmp_path / "missing")) == "nameserver 127.0.0.53\n"
    assert host_resolv_conf(str(tmp_path / "missing"), str(real)) == ""


def test_a_loopback_server_that_the_user_names_stays() -> None:
    made = files.build(container(dns=["127.0.0.9"], dns_search=["x.y"]), BRIDGED, NetworkConfig(), [])
    assert b"nameserver 127.0.0.9\nsearch x.y\n" in made.resolv_conf


def test_the_daemons_servers_apply_where_the_container_names_none() -> None:
    made = files.build(container(), BRIDGED, NetworkConfig(dns=["10.4.4.4"]), [])
    assert made.resolv_conf.startswith(b"nameserver 10.4.4.4\n")


def test_hosts_have_localhost_extra_hosts_and_the_container() -> None:
    record = container(domain="example.org", extra_hosts=["db:10.9.9.9", "gate=host-gateway", "six:[fd00::7]"])
    lines = files.build(record, BRIDGED, NetworkConfig(), ["10.0.0.1"]).hosts.decode().splitlines()
    assert lines[0] == "127.0.0.1\tlocalhost"
    assert lines[-4:] == ["10.9.9.9\tdb", "10.0.0.1\tgate", "fd00::7\tsix", "10.0.0.2\tweb.example.org web"]


def test_configured_host_gateways_win() -> None:
    record = container(extra_hosts=["gate:host-gateway"])
    made = files.build(record, BRIDGED, NetworkConfig(host_gateway_ips=["192.0.2.7", "fd00::9"]), ["10.0.0.1"])
    assert b"192.0.2.7\tgate\nfd00::9\tgate\n" in made.hosts


@pytest.mark.parametrize("entry", ["nothing", ":10.0.0.1", "name:", "name:1.2.3", "name:host-gateway"])
def test_wrong_extra_hosts_are_refused(entry: str) -> None:
    with pytest.raises(errors.InvalidArgument):
        files.extra_host(entry, [])


def test_on_the_hosts_network_the_hosts_files_are_used(monkeypatch) -> None:
    contents = {"/etc/hosts": "127.0.0.1 localhost box", "/etc/resolv.conf": "nameserver 127.0.0.53\n# mine\n"}
    monkeypatch.setattr(files, "read_text", lambda path: contents[path])
    attachment = Attachment(netns=None, sandbox_id="", sandbox_key="", endpoints={"host": EndpointSettings()})
    made = files.build(container(extra_hosts=["db:10.9.9.9"]), attachment, NetworkConfig(), [])
    assert made.hosts == b"127.0.0.1 localhost box\n10.9.9.9\tdb\n"
    assert made.resolv_conf == b"nameserver 127.0.0.53\n# mine\n"
