"""Requests to a registry: tokens, retries, redirects, time limits, mirrors, proxies; against small scripted servers."""

import base64
import json
import socket
import threading
import time
from pathlib import Path

import pytest
from msgspec import structs

from corten import errors
from corten.distribution import transport as transports
from corten.distribution.client import RegistryClient
from corten.distribution.config import RegistryConfig
from corten.distribution.credential import Credential
from corten.distribution.failure import Unreachable
from corten.distribution.proxy import Proxies
from corten.oci import digest as digests
from corten.oci import manifest as manifests
from corten.oci.manifest import Descriptor
from corten.oci.reference import Reference
from tests.support.certificates import make_certificates
from tests.support.scripted import Reply, Request, Server, Stage, server_tls
from tests.support.stock import eventually

ME = Credential(username="me", password="pass")
BASIC = "Basic " + base64.b64encode(b"me:pass").decode()
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": manifests.MANIFEST, "config": {}, "layers": []}).encode()
DATA = bytes(range(256)) * 400
BLOB = Descriptor(media_type="x", digest=digests.of(DATA), size=len(DATA))
OK = Reply(200, MANIFEST, {"Content-Type": manifests.MANIFEST, "Docker-Content-Digest": digests.of(MANIFEST)})


def client_of(network=None, **changes):
    config = {"backoff": 0.001, "longest_pause": 0.05, "certs_dirs": (), **changes}
    return RegistryClient(RegistryConfig(**config), network)


def repository(server, credential=ME, *, push=False, client=None, stop=None, **changes):
    reference = Reference.parse(f"{server.host}/team/app:1")
    return (client or client_of(**changes)).repository(reference, credential, push=push, stop=stop)


class TokenRegistry:
    """Takes the token "t" plus the number of the last token given; ``lives`` is what a token's server says."""

    def __init__(self):
        self.given = 0
        self.lives = 300
        self.accepted = None
        self.grants = []
        self.refuse = False
        self.server = Server(self.answer)

    def answer(self, request: Request) -> Reply:
        if request.path == "/token":
            return self.grant(request)
        wanted = self.accepted if self.accepted is not None else f"t{self.given}"
        if request.proof != f"Bearer {wanted}":
            realm = f'Bearer realm="http://{self.server.host}/token",service="reg"'
            return Reply(401, headers={"WWW-Authenticate": f'{realm},scope="repository:other:push"'})
        return OK if "manifests" in request.path else Reply(200, DATA)

    def grant(self, request: Request) -> Reply:
        self.grants.append(request)
        if self.refuse:
            return Reply(401, b'{"details":"incorrect username or password"}')
        self.given += 1
        return Reply(200, json.dumps({"token": f"t{self.given}", "expires_in": self.lives}).encode())


@pytest.fixture
def tokens():
    registry = TokenRegistry()
    yield registry
    registry.server.close()


class TestTokens:
    def test_asked_for_once_with_our_own_scope(self, tokens):
        client = client_of()
        for _ in range(3):
            assert repository(tokens.server, client=client).resolve("1").digest == digests.of(MANIFEST)
        (grant,) = tokens.grants
        assert grant.query == {"service": ["reg"], "scope": ["repository:team/app:pull"], "account": ["me"]}
        assert grant.proof == BASIC

    def test_of_two_users_are_two(self, tokens):
        tokens.accepted = "t1"
        client = client_of(attempts=1)
        repository(tokens.server, client=client).resolve("1")
        tokens.accepted = "t2"
        repository(tokens.server, Credential(), client=client).resolve("1")
        assert [grant.proof for grant in tokens.grants] == [BASIC, ""]

    def test_a_push_asks_for_more(self, tokens):
        repository(tokens.server, push=True).has_blob(BLOB.digest)
        assert tokens.grants[0].query["scope"] == ["repository:team/app:pull,push"]

    def test_a_mount_asks_for_the_source_too(self, tokens):
        registry = repository(tokens.server, push=True)
        with pytest.raises(errors.CortenError):
            registry.mount(BLOB.digest, "other/app")  # this server answers 200, which is no answer to a POST
        assert tokens.grants[-1].query["scope"] == ["repository:team/app:pull,push", "repository:other/app:pull"]

    def test_a_refused_one_is_renewed_in_the_midst(self, tokens):
        mine = repository(tokens.server)
        mine.resolve("1")
        tokens.accepted = "t2"  # the registry has forgotten the first
        with mine.blob(BLOB) as stream:
            assert stream.read(1 << 20) == DATA
        assert tokens.given == 2

    def test_an_expired_one_is_renewed(self, tokens, monkeypatch):
        now = [time.monotonic()]
        client = client_of()
        client._tokens.clock = lambda: now[0]
        mine = repository(tokens.server, client=client)
        mine.resolve("1")
        now[0] += 280
        mine.resolve("1")
        assert tokens.given == 2

    def test_one_that_is_never_enough_is_not_asked_for_for_ever(self, tokens):
        tokens.accepted = "nothing"
        with pytest.raises(errors.Unauthenticated, match="unauthorized: authentication required"):
            repository(tokens.server).resolve("1")
        assert tokens.given <= 6

    def test_an_identity_token_is_exchanged(self, tokens):
        repository(tokens.server, Credential(username="<token>", identity_token="id")).resolve("1")
        (grant,) = tokens.grants
        assert grant.method == "POST" and not grant.proof
        body = dict(pair.split("=") for pair in grant.body.decode().split("&"))
        assert (body["grant_type"], body["refresh_token"], body["service"]) == ("refresh_token", "id", "reg")

    def test_a_registry_token_is_shown_as_it_is(self, tokens):
        tokens.accepted = "ready"
        repository(tokens.server, Credential(registry_token="ready")).resolve("1")
        assert tokens.grants == []

    def test_who_asks_at_once_gets_the_same(self, tokens):
        client = client_of()
        threads = [
            threading.Thread(target=lambda: repository(tokens.server, client=client).resolve("1")) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert tokens.given == 1

    def test_a_service_that_says_no(self, tokens):
        tokens.refuse = True
        with pytest.raises(errors.Unauthenticated, match="incorrect username or password"):
            repository(tokens.server).resolve("1")

    def test_a_login(self, tokens):
        client = client_of()
        mine = Credential(username="me", password="pass", server_address=tokens.server.host)
        assert client.login(mine) == ("Login Succeeded", "")
        assert tokens.grants[0].query["offline_token"] == ["true"]
        tokens.refuse = True
        with pytest.raises(errors.Unauthenticated, match="unauthorized: incorrect username or password"):
            client.login(mine)


def denied(scope="insufficient_scope"):
    def script(request):
        if request.path == "/token":
            return Reply(200, b'{"token":"t"}')
        challenge = f'Bearer realm="http://{request.headers["host"]}/token",service="s"'
        if request.proof:
            challenge += f',error="{scope}"'
        return Reply(401, headers={"WWW-Authenticate": challenge})

    return script


def test_what_may_not_be_seen_is_denied_in_dockers_words():
    with Server(denied()) as server, pytest.raises(errors.NotFound) as caught:
        repository(server).resolve("1")
    assert str(caught.value) == (
        f"pull access denied for {server.host}/team/app, repository does not exist or may require 'docker login': "
        "denied: requested access to the resource is denied"
    )


def test_who_may_not_push_is_denied():
    with (
        Server(denied()) as server,
        pytest.raises(errors.Forbidden, match=r"^denied: requested access to the resource"),
    ):
        repository(server, push=True).put_manifest("1", manifests.MANIFEST, MANIFEST)


# retries


def flaky(*replies, then=OK):
    left = list(replies)

    def script(request):
        if request.path == "/v2/":
            return Reply(200)
        return left.pop(0) if left else then

    return script


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_passes_is_tried_again(status):
    with Server(flaky(Reply(status), Reply(status))) as server:
        assert repository(server).resolve("1").digest == digests.of(MANIFEST)


def test_a_cut_connection_is_tried_again():
    with Server(flaky(Reply(raw=b"HTTP/1"), Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Le"))) as server:
        assert repository(server).resolve("1").digest == digests.of(MANIFEST)


def test_retry_after_is_obeyed():
    with Server(flaky(Reply(429, headers={"Retry-After": "1"}))) as server:
        before = time.monotonic()
        repository(server, longest_pause=5).resolve("1")
        assert time.monotonic() - before >= 0.9


def test_more_patience_than_we_have_is_an_error_at_once():
    body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}'
    with Server(flaky(then=Reply(429, body, {"Retry-After": "3600"}))) as server:
        with pytest.raises(errors.Unavailable, match=r"^toomanyrequests: You have reached your pull rate limit\."):
            repository(server).manifest("1")
        assert len(server.seen) == 2


def test_attempts_end():
    with Server(flaky(then=Reply(503))) as server:
        with pytest.raises(errors.Unavailable, match="503"):
            repository(server, attempts=3).manifest("1")
        assert len(server.seen) == 4


@pytest.mark.parametrize("status", [400, 404, 405, 409])
def test_what_is_final_is_not_tried_again(status):
    with Server(flaky(then=Reply(status))) as server:
        with pytest.raises(errors.CortenError):
            repository(server).manifest("1")
        assert len(server.seen) == 2


def test_a_wait_can_be_called_off():
    stop = threading.Event()
    with Server(flaky(then=Reply(503, headers={"Retry-After": "60"}))) as server:
        mine = repository(server, stop=stop, longest_pause=100)
        caught = []

        def work():
            try:
                mine.resolve("1")
            except errors.CortenError as error:
                caught.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        eventually(lambda: len(server.seen) >= 2)
        stop.set()
        thread.join(10)
        assert not thread.is_alive() and isinstance(caught[0], errors.Cancelled)


def test_nobody_listens():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{sock.getsockname()[1]}"
    before = time.monotonic()
    with pytest.raises(errors.Unavailable) as caught:
        client_of(backoff=10).repository(Reference.parse(f"{host}/a"), ME).resolve("1")
    assert str(caught.value) == f'Get "http://{host}/v2/": dial tcp {host}: connect: connection refused'
    assert time.monotonic() - before < 8


def test_no_such_host():
    with pytest.raises(errors.Unavailable) as caught:
        client_of(Stage()).repository(Reference.parse("nowhere.example/a"), ME).resolve("1")
    assert str(caught.value) == 'Get "https://nowhere.example/v2/": dial tcp: lookup nowhere.example: no such host'


# time


class Silent:
    """Takes connections and sends what it is told, byte by byte or not at all."""

    def __init__(self, drip: bytes, pause: float) -> None:
        self.drip, self.pause = drip, pause
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(sock,), daemon=True).start()

    def talk(self, sock: socket.socket) -> None:
        with sock:
            try:
                if sock.recv(65536)[:1] == b"\x16":
                    return  # no TLS here
                for byte in self.drip:
                    sock.sendall(bytes((byte,)))
                    if self.over.wait(self.pause):
                        return
                self.over.wait(60)
            except OSError:
                return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.listener.close()


@pytest.mark.parametrize(
    ("drip", "changes"),
    [
        (b"", {"idle_timeout": 0.2}),
        (b"HTTP/1.1 200 OK\r\nX-Slow: " + b"y" * 5000, {"head_timeout": 0.3}),
        (b"HTTP/1.1 404 X\r\nContent-Length: 5000\r\n\r\n" + b"y" * 5000, {"document_timeout": 0.3}),
    ],
)
def test_a_peer_that_keeps_us_waiting_is_left(drip, changes):
    with Silent(drip, 0.02) as server:
        before = time.monotonic()
        with pytest.raises(errors.CortenError):
            repository(server, attempts=1, **{"idle_timeout": 3, "head_timeout": 3, **changes}).resolve("1")
        assert time.monotonic() - before < 30


def test_a_peer_that_never_ends_its_handshake_is_left():
    with Silent(b"", 0.02) as server:
        server.talk = lambda sock: (server.over.wait(60), sock.close())
        before = time.monotonic()
        with pytest.raises(errors.Unavailable):
            repository(server, connect_timeout=0.2, idle_timeout=0.2).resolve("1")
        assert time.monotonic() - before < 30


@pytest.mark.parametrize("close", [False, True])
def test_a_reader_can_be_stopped_from_another_thread(close):
    """Also where the server has said that it will close, and the connection counts as given up."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % BLOB.size + (b"Connection: close\r\n" if close else b"")

    class Half(Silent):
        def talk(self, sock):
            with sock:
                while (request := sock.recv(65536)) and request[:1] != b"\x16":
                    if b"/blobs/" in request:
                        sock.sendall(head + b"\r\n" + DATA[:1000])
                        self.over.wait(60)
                        return
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with Half(b"", 0) as server:
        stream = repository(server).blob(BLOB)
        threading.Timer(0.2, stream.abort).start()
        with pytest.raises(Unreachable):
            while stream.read(1 << 20):
                pass
        stream.close()


def test_a_closed_client_ends_what_is_under_way():
    with Silent(b"", 0) as server:
        client = client_of()
        caught = []

        def work():
            try:
                repository(server, client=client).resolve("1")
            except errors.CortenError as error:
                caught.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        eventually(lambda: any(dialer.open for dialer in client._transport._dialers))
        client.close()
        thread.join(20)
        assert not thread.is_alive() and caught


# redirects and mirrors


def test_redirects_within_the_registry_keep_the_proof():
    def script(request):
        if request.proof != BASIC:
            return Reply(401, headers={"WWW-Authenticate": 'Basic realm="r"'})
        if request.path == "/v2/":
            return Reply(200)
        return Reply(200, DATA) if request.path == "/moved" else Reply(302, headers={"Location": "/moved"})

    with Server(script) as server, repository(server).blob(BLOB) as stream:
        assert stream.read(1 << 20) == DATA


def test_a_registry_at_an_ipv6_address():
    try:
        server = Server(lambda request: OK, host="::1")
    except OSError:
        pytest.skip("this host has no IPv6 loopback")
    with server:
        reference = Reference.parse(f"[::1]:{server.port}/app")
        assert client_of().repository(reference, ME).resolve("1").digest == digests.of(MANIFEST)
        assert server.seen[-1].headers["host"] == f"[::1]:{server.port}"


def test_another_port_is_another_server():
    with Server(lambda request: Reply(200, DATA)) as other:

        def script(request):
            if request.proof != BASIC:
                return Reply(401, headers={"WWW-Authenticate": 'Basic realm="r"'})
            return Reply(200) if request.path == "/v2/" else Reply(307, headers={"Location": f"{other.url}/x"})

        with Server(script) as server, repository(server).blob(BLOB) as stream:
            assert stream.read(1 << 20) == DATA
        assert other.seen[0].proof == ""


def hub(tmp_path, mirror, own):
    """A stage with Docker Hub and one mirror, both in TLS."""
    names = "DNS:registry-1.docker.io,DNS:mirror.example"
    certificates = make_certificates(tmp_path, names)
    for host in ("registry-1.docker.io", "mirror.example"):
        directory = tmp_path / "certs.d" / host
        directory.mkdir(parents=True)
        (directory / "ca.crt").write_bytes((certificates / "ca.pem").read_bytes())
    tls = server_tls(certificates)
    servers = Server(mirror, tls=tls), Server(own, tls=tls)
    stage = Stage(
        {"mirror.example": ["8.8.4.4"], "registry-1.docker.io": ["8.8.8.8"]},
        {"8.8.4.4": servers[0], "8.8.8.8": servers[1]},
    )
    client = client_of(stage, mirrors=("https://mirror.example/",), certs_dirs=(str(tmp_path / "certs.d"),), attempts=1)
    return client, *servers


def test_mirrors_go_first_and_the_registry_follows(tmp_path: Path):
    def mirror(request):
        return Reply(404) if "blobs" in request.path else OK

    def own(request):
        return Reply(200, DATA) if "blobs" in request.path else OK

    client, first, second = hub(tmp_path, mirror, own)
    with first, second:
        mine = client.repository(Reference.parse("busybox"), Credential())
        assert mine.manifest("latest").data == MANIFEST
        assert second.lines == []
        with mine.blob(BLOB) as stream:
            assert stream.read(1 << 20) == DATA
        assert first.lines[0] == "GET /v2/library/busybox/manifests/latest"
        pushing = client.repository(Reference.parse("busybox"), Credential(), push=True)
        pushing.has_blob(BLOB.digest)
        assert not any("HEAD" in line for line in first.lines)


def test_a_mirror_that_is_gone_costs_nothing_but_time(tmp_path: Path):
    client, first, second = hub(tmp_path, lambda request: Reply(500), lambda request: OK)
    with first, second:
        assert client.repository(Reference.parse("busybox"), Credential()).manifest("latest").data == MANIFEST


# how well-known registries do it


def cloud(tmp_path, **scripts):
    """A stage with one server in TLS per host name (dots as underscores in *scripts*)."""
    hosts = {name.replace("_", "."): script for name, script in scripts.items()}
    certificates = make_certificates(tmp_path, ",".join(f"DNS:{host}" for host in hosts))
    tls, stage, servers = server_tls(certificates), Stage(), []
    for number, (host, script) in enumerate(hosts.items(), 1):
        directory = tmp_path / "certs.d" / host
        directory.mkdir(parents=True)
        (directory / "ca.crt").write_bytes((certificates / "ca.pem").read_bytes())
        servers.append(Server(script, tls=tls))
        stage.names[host] = [f"8.8.8.{number}"]
        stage.places[f"8.8.8.{number}"] = servers[-1]
    return client_of(stage, certs_dirs=(str(tmp_path / "certs.d"),), attempts=1), servers


def wants_bearer(realm):
    def script(request):
        if request.proof == "Bearer good":
            return OK
        if request.path in ("/token", "/v2/token", "/oauth2/token"):
            return Reply(200, b'{"access_token":"good"}')
        return Reply(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="the service"'})

    return script


def test_docker_hub(tmp_path: Path):
    scripts = {
        "registry-1_docker_io": wants_bearer("https://auth.docker.io/token"),
        "auth_docker_io": lambda request: Reply(200, b'{"token":"good"}'),
    }
    client, (registry, auth) = cloud(tmp_path, **scripts)
    mine = Credential(username="me", password="pass", server_address="https://index.docker.io/v1/")
    with registry, auth:
        for name in ("busybox", "docker.io/busybox", "index.docker.io/library/busybox"):
            assert client.repository(Reference.parse(name), mine).resolve("latest").digest == digests.of(MANIFEST)
        assert registry.lines[-1] == "HEAD /v2/library/busybox/manifests/latest"
        (grant,) = auth.seen
        assert grant.proof == BASIC and grant.query["scope"] == ["repository:library/busybox:pull"]
        assert client.login(mine) == ("Login Succeeded", "")


def test_a_token_service_on_the_same_host(tmp_path: Path):
    """As gcr.io, ghcr.io, quay.io and others have it; the user is "_json_key", "oauth2accesstoken" or a person."""
    client, (registry,) = cloud(tmp_path, gcr_example=wants_bearer("https://gcr.example/v2/token"))
    with registry:
        key = Credential(username="_json_key", password='{"type": "service_account"}')
        assert client.repository(Reference.parse("gcr.example/p/app"), key).resolve("1").size == len(MANIFEST)
        assert registry.seen[-1].proof == "Bearer good"


def test_identity_tokens_of_azure(tmp_path: Path):
    client, (registry,) = cloud(tmp_path, r_acr_example=wants_bearer("https://r.acr.example/oauth2/token"))
    with registry:
        mine = Credential(username="00000000-0000-0000-0000-000000000000", identity_token="refresh")
        assert client.repository(Reference.parse("r.acr.example/app"), mine).resolve("1").size == len(MANIFEST)
        (grant,) = [each for each in registry.seen if each.method == "POST"]
        assert b"refresh_token=refresh" in grant.body and b"service=the+service" in grant.body


def test_passwords_for_a_while_as_amazon_gives_them(tmp_path: Path):
    mine = Credential(username="AWS", password="x" * 3000)
    proof = "Basic " + base64.b64encode(b"AWS:" + b"x" * 3000).decode()

    def script(request):
        if request.proof != proof:
            return Reply(401, headers={"WWW-Authenticate": 'Basic realm="https://ecr.example/",service="ecr"'})
        return OK

    client, (registry,) = cloud(tmp_path, ecr_example=script)
    with registry:
        assert client.repository(Reference.parse("ecr.example/app"), mine).resolve("1").size == len(MANIFEST)


def test_a_realm_that_the_administrator_has_allowed(tmp_path: Path):
    scripts = {
        "reg_example": wants_bearer("https://login.other/token"),
        "login_other": lambda request: Reply(200, b'{"token":"good"}'),
    }
    client, (registry, other) = cloud(tmp_path, **scripts)
    with registry, other:
        with pytest.raises(errors.Forbidden, match="registry-realms"):
            client.repository(Reference.parse("reg.example/app"), ME).resolve("1")
        allowed = {"reg.example": frozenset({"login.other"})}
        client.reconfigure(structs.replace(client.config, realms=allowed))
        assert client.repository(Reference.parse("reg.example/app"), ME).resolve("1").size == len(MANIFEST)
        assert other.seen[0].proof == BASIC


# TLS and proxies


def test_certs_d(tmp_path: Path):
    certificates = make_certificates(tmp_path)
    with Server(lambda request: OK, tls=server_tls(certificates, demand=True)) as server:
        directory = tmp_path / "certs.d" / server.host
        directory.mkdir(parents=True)
        stage = Stage(places={"127.0.0.1": server})
        secure = {"insecure_networks": (), "certs_dirs": (str(tmp_path / "certs.d"),), "attempts": 1}
        with pytest.raises(errors.Unavailable, match="failed to verify certificate: x509"):
            repository(server, client=client_of(stage, **secure)).resolve("1")
        (directory / "ca.crt").write_bytes((certificates / "ca.pem").read_bytes())
        client = client_of(stage, **secure)
        with pytest.raises(errors.Unavailable):  # the server wants a certificate of ours
            repository(server, client=client).resolve("1")
        (directory / "client.cert").write_bytes((certificates / "client.pem").read_bytes())
        with pytest.raises(
            errors.InvalidArgument, match=r"missing key client\.key for client certificate client\.cert"
        ):
            repository(server, client=client).resolve("1")
        (directory / "client.key").write_bytes((certificates / "client-key.pem").read_bytes())
        assert repository(server, client=client).resolve("1").digest == digests.of(MANIFEST)


def test_an_insecure_registry_in_tls_needs_no_authority(tmp_path: Path):
    with Server(lambda request: OK, tls=server_tls(make_certificates(tmp_path))) as server:
        assert repository(server).resolve("1").digest == digests.of(MANIFEST)


def test_through_a_proxy():
    def proxy(request):
        return OK if request.target.startswith("http://reg.example/") else Reply(502)

    with Server(proxy) as server:
        login = f"http://user:secret@{server.host}"
        client = client_of(
            Stage(places={"127.0.0.1": server}),
            insecure_hosts=frozenset({"reg.example"}),
            proxies=Proxies(http=login, https=login),
            attempts=1,
        )
        reference = Reference.parse("reg.example/app")
        assert client.repository(reference, Credential()).resolve("1").digest == digests.of(MANIFEST)
        assert server.lines[0] == "CONNECT reg.example:443"
        assert server.lines[-1] == "HEAD http://reg.example/v2/app/manifests/1"
        expected = "Basic " + base64.b64encode(b"user:secret").decode()
        assert server.seen[-1].headers["proxy-authorization"] == expected


def test_a_proxy_is_no_way_round_the_rules():
    with Server(lambda request: Reply(307, headers={"Location": "http://169.254.169.254/latest"})) as server:
        client = client_of(
            Stage(places={"127.0.0.1": server}),
            insecure_hosts=frozenset({"reg.example", "169.254.169.254"}),
            proxies=Proxies(http=f"http://{server.host}"),
            attempts=1,
        )
        client._schemes["reg.example"] = ("http", time.monotonic())
        with pytest.raises(errors.Forbidden):
            client.repository(Reference.parse("reg.example/app"), Credential()).blob(BLOB)
        assert not any("169.254" in line for line in server.lines)


def test_pools_are_bounded(monkeypatch):
    monkeypatch.setattr(transports, "MAX_POOLS", 2)
    client = client_of()
    servers = [Server(lambda request: OK) for _ in range(4)]
    try:
        for server in servers:
            repository(server, client=client).resolve("1")
        assert len(client._transport._pools) <= 2
    finally:
        for server in servers:
            server.close()


def test_idle_connections_are_closed(monkeypatch):
    monkeypatch.setattr(transports, "IDLE", 0.2)
    with Server(lambda request: OK if "manifests" in request.path else Reply(200, DATA)) as server:
        client = client_of()
        mine = repository(server, client=client)
        with mine.blob(BLOB) as stream:
            assert stream.read(100) == DATA[:100]
            eventually(lambda: not client._transport._pools)
            assert stream.read(1 << 20) == DATA[100:]  # what is under way goes on
        assert mine.resolve("1").digest == digests.of(MANIFEST)
        eventually(lambda: not client._transport._pools)
        client.close()


def test_no_answer_to_a_connection():
    class Away(Stage):
        def connect(self, where, timeout):
            raise TimeoutError("timed out")

    network = Away({"reg.example": ["8.8.8.8"]})
    before = time.monotonic()
    with pytest.raises(errors.Unavailable) as caught:
        client_of(network, backoff=20, longest_pause=20).repository(Reference.parse("reg.example/a"), ME).resolve("1")
    assert str(caught.value) == 'Get "https://reg.example/v2/": dial tcp 8.8.8.8:443: i/o timeout'
    assert time.monotonic() - before < 10


def test_new_settings_count_from_the_next_request():
    with Server(lambda request: OK) as server:
        client = client_of(insecure_networks=(), attempts=1)
        with pytest.raises(errors.Unavailable):
            repository(server, client=client).resolve("1")
        client.reconfigure(RegistryConfig(certs_dirs=()))
        assert repository(server, client=client).resolve("1").digest == digests.of(MANIFEST)
