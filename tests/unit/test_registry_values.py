"""The registry client's values: credentials, addresses, URLs, challenges, tokens, settings, proxies."""

import base64
import ipaddress
import json
import time

import pytest

from corten import errors
from corten.distribution import address, challenge, url
from corten.distribution.address import Reach, Zone, zone_of
from corten.distribution.authorizer import related
from corten.distribution.config import RegistryConfig, check_mirror
from corten.distribution.credential import ANONYMOUS, Credential, decode_config, decode_header, server_domain
from corten.distribution.endpoint import mirrors_of, servers_of
from corten.distribution.network import Network
from corten.distribution.proxy import Proxies
from corten.distribution.session import retry_after
from corten.distribution.token import Token, TokenKey, Tokens, decode_reply
from tests.support.scripted import Stage


def packed(document, encode=base64.urlsafe_b64encode):
    return encode(json.dumps(document).encode()).decode()


@pytest.mark.parametrize("encode", [base64.urlsafe_b64encode, base64.b64encode])
@pytest.mark.parametrize("padding", [True, False])
def test_credential_in_a_header(encode, padding):
    text = packed({"username": "ü>>?", "PASSWORD": "p~~?", "ServerAddress": "r:5000", "x": 1, "email": None}, encode)
    found = decode_header(text if padding else text.rstrip("="))
    assert found == Credential(username="ü>>?", password="p~~?", server_address="r:5000")


def test_credential_by_auth_and_tokens():
    assert decode_header(packed({"auth": base64.b64encode(b"a:b:c").decode()})) == Credential(
        username="a", password="b:c"
    )
    assert decode_header(packed({"identitytoken": "i"})).identity_token == "i"
    assert decode_header(packed({"registrytoken": "r"})).registry_token == "r"
    assert decode_header("") == decode_header(packed({})) == decode_header(packed(None)) == ANONYMOUS
    assert not ANONYMOUS


@pytest.mark.parametrize(
    "text",
    [
        "!",
        "x" * 70_000,
        packed({"registrytoken": "ü"}),
        packed([1]),
        packed({"username": 1}),
        packed({"auth": "!"}),
        packed({"username": "a\r\nX: 1"}),
    ],
)
def test_credential_that_is_none(text):
    with pytest.raises(errors.InvalidArgument):
        decode_header(text)


def test_credentials_of_several_registries():
    found = decode_config(packed({"https://index.docker.io/v1/": {"username": "a"}, "r:5000": {"username": "b"}}))
    assert {name: each.username for name, each in found.items()} == {"docker.io": "a", "r:5000": "b"}
    assert found["r:5000"].belongs_to("r:5000") and not found["r:5000"].belongs_to("r:5001")


def test_whose_a_credential_is():
    for text in ("https://index.docker.io/v1/", "docker.io", "registry-1.docker.io", ""):
        assert server_domain(text) == "docker.io"
    assert server_domain("HTTPS://Reg.example.com:5000/v2/") == "reg.example.com:5000"
    mine = Credential(username="u", server_address="https://a.example/")
    assert mine.for_domain("a.example") is mine and mine.for_domain("b.example") is ANONYMOUS
    assert Credential(username="u").for_domain("anything").username == "u"


def test_zones():
    zones = {
        Zone.PUBLIC: ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
        Zone.PRIVATE: ["10.1.1.1", "172.31.0.1", "192.168.0.1", "100.64.0.1", "fd00::1", "::ffff:10.0.0.1", "fec0::1"],
        Zone.LOOPBACK: ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1"],
        Zone.NEVER: ["169.254.0.1", "fe80::1", "224.0.0.1", "ff02::1", "0.0.0.0", "::", "240.0.0.1", "fd00:ec2::254"],
    }
    for zone, texts in zones.items():
        for text in texts:
            assert zone_of(ipaddress.ip_address(text)) is zone, text


def test_reach():
    inside = Reach(Zone.PRIVATE)
    assert inside.admits(address.parse("8.8.8.8")) and inside.admits(address.parse("10.0.0.1"))
    assert not inside.admits(address.parse("127.0.0.1")) and not inside.admits(address.parse("169.254.169.254"))
    held = Reach(Zone.LOOPBACK, (ipaddress.ip_network("127.0.0.0/8"),))
    assert held.admits(address.parse("127.0.0.2")) and not held.admits(address.parse("8.8.8.8"))
    assert Reach(Zone.NEVER, named=True).admits(address.parse("169.254.169.254"))


def test_urls():
    base = url.parse("https://Reg.example.com/v2/a?b=c", "x", "y")
    assert (base.origin.host, base.origin.port, base.target) == ("reg.example.com", 443, "/v2/a?b=c")
    assert str(base.join("../d?e", "x")) == "https://reg.example.com/d?e"
    assert str(base.join("//other:8443/z", "x")) == "https://other:8443/z"
    assert str(url.parse("http://[::1]:5000", "x", "y")) == "http://[::1]:5000/"
    assert base.shown == "https://reg.example.com/v2/a?…"
    for bad in ("", "reg", "https://", "https://a b/", "https://u@h/", "https://h:x/", "gopher://h/", "https://h\n/"):
        with pytest.raises(errors.InvalidArgument):
            url.parse(bad, "x", "y")


def test_challenges():
    text = 'Bearer realm="https://a/t?x=\\"1\\"",service="s", scope="repository:a:pull,push" ,error=insufficient_scope'
    (found,) = challenge.parse([text])
    assert (found.scheme, found.realm, found.service) == ("bearer", 'https://a/t?x="1"', "s")
    assert (found.scope, found.error) == ("repository:a:pull,push", "insufficient_scope")
    both = challenge.parse(['Basic realm="b", Bearer realm="c"', "Negotiate"])
    assert [(each.scheme, each.realm) for each in both] == [("basic", "b"), ("bearer", "c"), ("negotiate", "")]
    assert challenge.parse(["", '"', 'Bearer realm="x' + "y" * 10_000]) == []


def test_token_replies():
    now = 1000.0
    assert decode_reply(b'{"access_token":"a","expires_in":300}', "r", now)[:2] == ("a", now + 270)
    assert decode_reply(b'{"token":"t","access_token":"a"}', "r", now)[:2] == ("t", now + 54)
    old = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 200))
    aged = decode_reply(json.dumps({"token": "t", "expires_in": 300, "issued_at": old}).encode(), "r", now)
    assert now + 80 < aged.expires < now + 95
    assert decode_reply(b'{"token":"t","issued_at":"nonsense","refresh_token":"x"}', "r", now).refresh == "x"
    assert "t" not in repr(Token("t", 1.0))


def test_tokens_are_kept_until_they_expire():
    now = [0.0]
    tokens = Tokens(lambda: now[0])
    made = []

    def fetch():
        made.append(f"t{len(made)}")
        return Token(made[-1], now[0] + 54)

    key = TokenKey("r", "s", ("x",), ANONYMOUS)
    assert [tokens.get(key, fetch).value for _ in range(3)] == ["t0"] * 3
    assert tokens.get(TokenKey("r", "s", ("y",), ANONYMOUS), fetch).value == "t1"
    assert tokens.get(TokenKey("r", "s", ("x",), Credential(username="u")), fetch).value == "t2"
    now[0] = 55
    assert tokens.get(key, fetch).value == "t3"
    assert tokens.get(key, fetch, refused="t3").value == "t4"
    assert tokens.get(key, fetch, refused="t3").value == "t4"


def test_retry_after():
    assert retry_after("7") == 7
    assert retry_after("") is None and retry_after("soon") is None and retry_after("-1") is None
    assert retry_after("Thu, 01 Jan 1970 00:00:00 GMT") == 0
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    assert 90 < retry_after(later) < 101


def test_related_names():
    yes = [("registry-1.docker.io", "auth.docker.io"), ("registry.gitlab.com", "gitlab.com"), ("a.b.c.d", "e.b.c.d")]
    no = [
        ("example.com", "evil.com"),
        ("reg.example.com", "reg.example.com.evil.net"),
        ("deep.reg.example.com", "other.com"),
        ("127.0.0.1", "127.0.0.2"),
        ("localhost", "evil.localhost"),
        ("a.b.example.com", "x.y.example.com"),
    ]
    assert all(related(*pair) for pair in yes) and not any(related(*pair) for pair in no)


def test_settings():
    config = RegistryConfig.make(
        mirrors=["https://m.example", "http://m:5000/"],
        insecure=["reg:5000", "http://other", "10.0.0.0/8"],
        realms={"Reg.example": "auth.example.net, b"},
        proxies=Proxies(),
    )
    assert config.mirrors == ("https://m.example/", "http://m:5000/")
    assert config.insecure_hosts == {"reg:5000", "other"}
    assert ipaddress.ip_network("10.0.0.0/8") in config.insecure_networks
    assert config.realms == {"reg.example": {"auth.example.net", "b"}}


@pytest.mark.parametrize(
    ("mirror", "words"),
    [
        ("ftp://m", 'unsupported scheme "ftp"'),
        ("m:5000", "is not a valid URI"),
        ("https://u:secret@m/", "username/password not allowed in URI"),
        ("https://m/path", "path, query, or fragment"),
        ("https://m/?q", "path, query, or fragment"),
    ],
)
def test_mirrors_that_are_none(mirror, words):
    with pytest.raises(errors.InvalidArgument, match="invalid mirror") as caught:
        check_mirror(mirror)
    assert words in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize("entry", ["ftp://x", "a b", "host/path?x", "-x"])
def test_insecure_registries_that_are_none(entry):
    with pytest.raises(errors.InvalidArgument):
        RegistryConfig.make(insecure=[entry])


def test_proxies():
    proxies = Proxies(http="http://p:1", https="http://p:2", no_proxy="a.example,.b.example, 10.0.0.0/8,c:5000,1.2.3.4")

    def through(scheme, netloc):
        return proxies.of(url.origin(scheme, netloc))

    assert through("http", "x.example") == "http://p:1" and through("https", "x.example") == "http://p:2"
    direct = [
        "a.example",
        "x.a.example",
        "x.b.example",
        "10.1.1.1",
        "c:5000",
        "1.2.3.4",
        "localhost",
        "127.0.0.1",
        "[::1]",
    ]
    assert [name for name in direct if through("https", name)] == []
    assert all(through("https", name) for name in ("b.example", "notb.example", "c:5001", "11.0.0.1"))
    assert not Proxies(https="http://p", no_proxy="*").of(url.origin("https", "x.example"))


def test_proxies_of_the_environment():
    found = Proxies.from_environment({"HTTP_PROXY": "p:1", "https_proxy": "http://q:2"}, no_proxy="x")
    assert (found.http, found.https, found.no_proxy) == ("http://p:1", "http://q:2", "x")
    assert "p:1" not in repr(found)
    with pytest.raises(errors.InvalidArgument, match="socks5"):
        Proxies.from_environment({"HTTP_PROXY": "socks5://p"})


def shown(domain, network=None, **config):
    settings, network = RegistryConfig(**config), network or Network()
    found = mirrors_of(domain, settings, network) + servers_of(domain, settings, network)
    return [(f"{each.origin.scheme}://{each.origin.netloc}", each.insecure, each.mirror) for each in found]


def test_where_a_registry_is():
    stage = Stage(
        {"registry-1.docker.io": ["8.8.8.8"], "m.example": ["8.8.4.4"], "reg.example": ["8.8.8.8"], "in": ["127.0.0.1"]}
    )
    hub = ("https://registry-1.docker.io", False, False)
    assert shown("docker.io", stage) == [hub]
    assert shown("docker.io", stage, mirrors=("https://m.example/",)) == [("https://m.example", False, True), hub]
    assert shown("reg.example", stage, mirrors=("https://m.example/",)) == [("https://reg.example", False, False)]
    assert shown("127.0.0.1:5000") == [("https://127.0.0.1:5000", True, False), ("http://127.0.0.1:5000", True, False)]
    assert shown("[::1]:5000")[1] == ("http://[::1]:5000", True, False)
    assert len(shown("localhost:5000")) == 2 and len(shown("in:80", stage)) == 2
    assert len(shown("10.1.1.1")) == 1
    assert len(shown("reg.example", stage, insecure_hosts=frozenset({"reg.example"}))) == 2
    assert len(shown("reg.example:5000", stage, insecure_hosts=frozenset({"reg.example"}))) == 1


def test_a_name_with_one_foot_outside_is_not_local():
    stage = Stage({"half": ["127.0.0.1", "8.8.8.8"]})
    (found,) = servers_of("half", RegistryConfig(), stage)
    assert not found.insecure and found.reach.zone is Zone.PUBLIC
    assert not found.reach.admits(address.parse("127.0.0.1"))
