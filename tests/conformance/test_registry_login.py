"""Login, search and distribution inspect against Debian's docker-registry: passwords, tokens, mirrors, settings."""

import base64
import hashlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.distribution.client import RegistryClient
from corten.distribution.config import RegistryConfig
from corten.distribution.credential import ANONYMOUS, Credential
from corten.oci import digest as digests
from corten.oci import manifest as manifests
from corten.oci.manifest import Descriptor
from corten.oci.reference import Reference
from tests.support import registry as registries
from tests.support.certificates import make_certificates
from tests.support.daemon import KIND, Daemon
from tests.support.http import Api
from tests.support.registry import Registry
from tests.support.scripted import Reply, Request, Server
from tests.support.stock import Docker, eventually
from tests.support.tokenserver import TokenServer

pytestmark = [
    pytest.mark.skipif(registries.MISSING is not None, reason=str(registries.MISSING)),
    pytest.mark.skipif(KIND != "cortend", reason="an older daemon words and orders some of this differently"),
]

USER, PASSWORD = "alice", "wonder land&=%"


def header(**fields: str) -> dict[str, str]:
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()}


def mine(host: str) -> dict[str, str]:
    return header(username=USER, password=PASSWORD, serveraddress=host)


def store(host: str, name: str, credential: Credential = ANONYMOUS) -> dict[str, str]:
    """Put an image and an index of two platforms into a registry; gives the digests by tag."""
    client = RegistryClient(RegistryConfig())
    repository = client.repository(Reference.parse(f"{host}/{name}"), credential, push=True)
    found, entries = {}, []
    for architecture, variant in (("amd64", ""), ("arm", "v7")):
        config = json.dumps(
            {"architecture": architecture, "variant": variant, "os": "linux", "rootfs": {"type": "layers"}}
        ).encode()
        descriptor = Descriptor(media_type=manifests.CONFIG, digest=digests.of(config), size=len(config))
        repository.upload(descriptor, lambda config=config: iter([config]), lambda done: None)
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": manifests.MANIFEST,
                "config": {"mediaType": manifests.CONFIG, "digest": descriptor.digest, "size": len(config)},
                "layers": [],
            }
        ).encode()
        found[architecture] = repository.put_manifest(architecture, manifests.MANIFEST, manifest)
        platform = {"architecture": architecture, "os": "linux", **({"variant": variant} if variant else {})}
        entries.append(
            {
                "mediaType": manifests.MANIFEST,
                "digest": found[architecture],
                "size": len(manifest),
                "platform": platform,
            }
        )
    index = json.dumps({"schemaVersion": 2, "mediaType": manifests.INDEX, "manifests": entries}).encode()
    found["latest"] = repository.put_manifest("latest", manifests.INDEX, index)
    client.close()
    return found


@pytest.fixture(scope="module")
def locked() -> Iterator[Registry]:
    with Registry(users={USER: PASSWORD}) as registry:
        yield registry


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenServer]:
    with TokenServer({USER: PASSWORD}) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(tokens: TokenServer) -> Iterator[Registry]:
    with Registry(token=tokens.settings) as registry:
        yield registry


@pytest.fixture
def cli(daemon: Daemon) -> Iterator[Docker]:
    """The stock CLI with a configuration of its own: a login is remembered there."""
    docker = Docker(daemon.url)
    yield docker
    docker.close()


class TestPassword:
    def test_right(self, cli: Docker, locked: Registry) -> None:
        done = cli("login", "-u", USER, "--password-stdin", locked.host, stdin=PASSWORD.encode())
        assert "Login Succeeded" in done

    def test_wrong(self, cli: Docker, locked: Registry, api: Api) -> None:
        failed = cli.fails("login", "-u", USER, "-p", "wrong", locked.host)
        words = f"login attempt to http://{locked.host}/v2/ failed with status: 401 Unauthorized"
        assert f"Error response from daemon: {words}" in failed.err
        answer = api("POST", "/auth", {"USERNAME": USER, "Password": "wrong", "serveraddress": locked.host})
        assert (answer.status, answer.message) == (401, words)

    def test_answer(self, api: Api, locked: Registry) -> None:
        answer = api(
            "POST", "/auth", {"username": USER, "password": PASSWORD, "serveraddress": f"http://{locked.host}"}
        )
        assert (answer.status, answer.json()) == (200, {"Status": "Login Succeeded", "IdentityToken": ""})

    def test_with_tls(self, cli: Docker, api: Api, tmp_path: Path) -> None:
        """On loopback the certificate is not checked, and TLS comes before plain HTTP."""
        made = make_certificates(tmp_path)
        tls = (str(made / "server.pem"), str(made / "server-key.pem"))
        with Registry(users={USER: PASSWORD}, tls=tls) as registry:
            assert "Login Succeeded" in cli("login", "-u", USER, "-p", PASSWORD, registry.host)
            found = store(registry.host, "app", Credential(username=USER, password=PASSWORD))
            document = api("GET", f"/distribution/{registry.host}/app/json", headers=mine(registry.host)).json()
            assert document["Descriptor"]["digest"] == found["latest"]

    def test_nobody_there(self, cli: Docker) -> None:
        failed = cli.fails("login", "-u", "a", "-p", "b", "127.0.0.1:1")
        assert 'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused' in failed.err

    @pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b'{"username":1}', b'{"username":"a\\u0000b"}'])
    def test_no_credential(self, api: Api, body: bytes) -> None:
        answer = api("POST", "/auth", body, headers={"Content-Type": "application/json"})
        assert answer.status == 400, answer.body

    def test_inspect(self, api: Api, locked: Registry) -> None:
        found = store(locked.host, "app", Credential(username=USER, password=PASSWORD))
        path = f"/distribution/{locked.host}/app/json"
        refused = api("GET", path)
        assert refused.status == 401 and refused.message.endswith("no basic auth credentials")
        assert api("GET", path, headers=header(username=USER, password="wrong")).status == 401
        assert api("GET", path, headers={"X-Registry-Auth": "!!"}).status == 401
        assert api("GET", path, headers=header(username=USER, password=PASSWORD, serveraddress="other:1")).status == 401
        document = api("GET", path, headers=mine(locked.host)).json()
        assert document["Descriptor"]["mediaType"] == manifests.INDEX
        assert document["Descriptor"]["digest"] == found["latest"]
        assert document["Platforms"] == [
            {"architecture": "amd64", "os": "linux"},
            {"architecture": "arm", "os": "linux", "variant": "v7"},
        ]
        one = api("GET", f"/distribution/{locked.host}/app:arm/json", headers=mine(locked.host)).json()
        assert one["Platforms"] == [{"architecture": "arm", "os": "linux", "variant": "v7"}]
        by_digest = f"/distribution/{locked.host}/app@{found['amd64']}/json"
        assert api("GET", by_digest, headers=mine(locked.host)).json()["Descriptor"]["digest"] == found["amd64"]

    def test_a_pull_without_it(self, cli: Docker, locked: Registry) -> None:
        """It must not end in a question for a password: at a 401 the stock CLI asks for one of Docker Hub."""
        store(locked.host, "app", Credential(username=USER, password=PASSWORD))
        failed = cli.fails("pull", f"{locked.host}/app")
        words = f'Head "http://{locked.host}/v2/app/manifests/latest": no basic auth credentials'
        assert failed.err.strip() == f"Error response from daemon: {words}"

    def test_what_is_not_there(self, api: Api, locked: Registry) -> None:
        missing = api("GET", f"/distribution/{locked.host}/app:none/json", headers=mine(locked.host))
        assert (missing.status, missing.message) == (404, "manifest unknown: manifest unknown")
        assert api("GET", "/distribution/UPPER/json").status == 400


class TestToken:
    def test_login_gives_an_identity_token(self, cli: Docker, api: Api, guarded: Registry, tokens: TokenServer) -> None:
        assert "Login Succeeded" in cli("login", "-u", USER, "--password-stdin", guarded.host, stdin=PASSWORD.encode())
        with open(f"{cli.config}/config.json") as file:
            kept = json.load(file)["auths"][guarded.host]
        assert kept["identitytoken"] in tokens.refresh
        found = store(guarded.host, "private/app", Credential(identity_token=kept["identitytoken"]))
        # what the CLI sends from now on
        sent = header(username="<token>", identitytoken=kept["identitytoken"], serveraddress=guarded.host)
        document = api("GET", f"/distribution/{guarded.host}/private/app/json", headers=sent).json()
        assert document["Descriptor"]["digest"] == found["latest"]
        assert tokens.seen[-1].method == "POST"

    def test_wrong(self, cli: Docker, guarded: Registry) -> None:
        failed = cli.fails("login", "-u", USER, "-p", "wrong", guarded.host)
        assert f'Get "http://{guarded.host}/v2/": unauthorized: incorrect username or password' in failed.err

    def test_who_may_what(self, api: Api, guarded: Registry) -> None:
        me = Credential(username=USER, password=PASSWORD)
        store(guarded.host, "private/app", me)
        public = store(guarded.host, "public/app", me)
        document = api("GET", f"/distribution/{guarded.host}/public/app/json").json()
        assert document["Descriptor"]["digest"] == public["latest"]
        refused = api("GET", f"/distribution/{guarded.host}/private/app/json")
        assert (refused.status, refused.message) == (403, "denied: requested access to the resource is denied")
        assert api("GET", f"/distribution/{guarded.host}/private/app/json", headers=mine(guarded.host)).status == 200

    def test_pulls(self, cli: Docker, guarded: Registry) -> None:
        failed = cli.fails("pull", f"{guarded.host}/private/app")
        assert failed.err.strip() == (
            f"Error response from daemon: pull access denied for {guarded.host}/private/app, repository does not exist "
            "or may require 'docker login': denied: requested access to the resource is denied"
        )

    def test_a_blob_is_mounted_with_both_scopes(self, guarded: Registry, tokens: TokenServer) -> None:
        client = RegistryClient(RegistryConfig())
        me = Credential(username=USER, password=PASSWORD)
        data = b"shared" * 100
        blob = Descriptor(media_type="x", digest="sha256:" + hashlib.sha256(data).hexdigest(), size=len(data))
        first = client.repository(Reference.parse(f"{guarded.host}/private/one"), me, push=True)
        first.upload(blob, lambda: iter([data]), lambda done: None)
        second = client.repository(Reference.parse(f"{guarded.host}/private/two"), me, push=True)
        assert second.has_blob(blob.digest) is None
        assert second.mount(blob.digest, "private/one")
        assert second.has_blob(blob.digest) == len(data)
        assert not second.mount("sha256:" + "a" * 64, "private/one")
        assert any(len(each.query.get("scope", [])) == 2 for each in tokens.seen)
        client.close()


class TestSearch:
    RESULTS = (
        ("tools/good", "does things", 7, True),
        ("tools/bad", "does\u001b other things", 1, False),
    )

    def script(self, request: Request) -> Reply:
        if request.path != "/v1/search":
            return Reply(404)
        found = [
            {"name": name, "description": text, "star_count": stars, "is_official": official, "is_automated": False}
            for name, text, stars, official in self.RESULTS
        ]
        return Reply(200, json.dumps({"num_results": 2, "query": "x", "results": found}).encode())

    def test_search(self, cli: Docker, api: Api) -> None:
        with Server(self.script) as server:
            text = cli("search", f"{server.host}/tools")
            assert "tools/good" in text and "does things" in text and "[OK]" in text
            assert server.seen[-1].query == {"q": ["tools"], "n": ["25"]}
            assert "tools/bad" not in cli("search", "--filter", "stars=3", f"{server.host}/tools")
            official = {"term": f"{server.host}/tools", "filters": {"is-official": ["false"]}, "limit": 5}
            answer = api("GET", "/images/search", query=official)
            assert [each["name"] for each in answer.json()] == ["tools/bad"]
            assert server.seen[-1].query["n"] == ["5"]

    @pytest.mark.parametrize(
        "query", [{}, {"term": "a", "limit": 101}, {"term": "a", "limit": -1}, {"term": "a", "filters": {"x": ["y"]}}]
    )
    def test_what_cannot_be_searched(self, api: Api, query: dict[str, object]) -> None:
        assert api("GET", "/images/search", query=query).status == 400

    def test_a_registry_without_search(self, cli: Docker, locked: Registry) -> None:
        assert "Unexpected status code 404" in cli.fails("search", f"{locked.host}/x").err


class TestSettings:
    @pytest.fixture
    def configure(self, daemon: Daemon) -> Iterator[object]:
        def configure(settings: dict[str, object]) -> None:
            with open(daemon.config_file, "w") as file:
                json.dump(settings, file)
            assert daemon.process is not None
            daemon.process.send_signal(signal.SIGHUP)

        yield configure
        configure({})

    def test_a_mirror_after_a_reload(self, api: Api, configure) -> None:
        with Registry() as mirror:
            found = store(mirror.host, "library/busybox")
            url = f"http://{mirror.host}/"
            configure({"registry-mirrors": [url]})
            eventually(lambda: api("GET", "/info").json()["RegistryConfig"]["Mirrors"] == [url])
            document = api("GET", "/distribution/busybox/json").json()
            assert document["Descriptor"]["digest"] == found["latest"]
            assert not [line for line in mirror.requests() if line.endswith("401")]

    def test_a_bad_file_changes_nothing(self, daemon: Daemon, api: Api, configure) -> None:
        configure({"registry-mirrors": ["ftp://mirror"]})
        eventually(lambda: 'invalid mirror: unsupported scheme "ftp"' in daemon.log_tail())
        assert api("GET", "/info").json()["RegistryConfig"]["Mirrors"] in ([], None)
