"""Registries that lead astray and lie. Attack cases 33 and 34: no credential leaves its registry, no private address is
reached for a public one, no byte passes for another."""

import base64
import hashlib
import json
import ssl
from pathlib import Path

import pytest

from corten import errors
from corten.distribution.client import RegistryClient
from corten.distribution.config import RegistryConfig
from corten.distribution.credential import Credential
from corten.distribution.proxy import Proxies
from corten.oci import manifest as manifests
from corten.oci.manifest import Descriptor
from corten.oci.reference import Reference
from tests.support.certificates import make_certificates
from tests.support.scripted import Reply, Request, Script, Server, Stage, server_tls

PUBLIC, OTHER = "93.184.216.34", "93.184.216.35"
PASSWORD = "correct-horse"
SECRET = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
ME = Credential(username="me", password=PASSWORD)
DATA = b"layer" * 1000
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()
LAYER = Descriptor(media_type="application/vnd.oci.image.layer.v1.tar", digest=DIGEST, size=len(DATA))
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": manifests.MANIFEST,
        "config": {"mediaType": manifests.CONFIG, "digest": DIGEST, "size": len(DATA)},
        "layers": [],
    }
).encode()
MANIFEST_DIGEST = "sha256:" + hashlib.sha256(MANIFEST).hexdigest()

METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "[fd00:ec2::254]",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]",
]
INSIDE = ["127.0.0.1", "10.0.0.7", "192.168.1.1", "172.16.9.9", "100.64.0.1", "[::1]", "[fd12::1]", "0.0.0.0", "[::]"]
LINK = ["169.254.1.1", "[fe80::1]", "224.0.0.1", "255.255.255.255"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = (
        "DNS:reg.example.com,DNS:auth.example.com,DNS:evil.example.net,DNS:cdn.example.org,DNS:localhost,IP:127.0.0.1"
    )
    return make_certificates(tmp_path_factory.mktemp("certificates"), names)


@pytest.fixture
def tls(certificates: Path) -> ssl.SSLContext:
    return server_tls(certificates)


@pytest.fixture
def certs_dir(certificates: Path, tmp_path: Path) -> str:
    for host in ("reg.example.com", "auth.example.com", "evil.example.net", "cdn.example.org"):
        directory = tmp_path / "certs.d" / host
        directory.mkdir(parents=True)
        (directory / "ca.crt").write_bytes((certificates / "ca.pem").read_bytes())
    return str(tmp_path / "certs.d")


class Lab:
    """reg.example.com at a public address, spoken to in TLS, and one other server, "evil", in TLS too."""

    def __init__(self, certs_dir: str, tls: ssl.SSLContext, registry: Script, evil: Script | None = None) -> None:
        self.registry = Server(registry, tls=tls)
        self.evil = Server(evil or (lambda request: Reply(200, DATA)), tls=tls)
        self.plain = Server(lambda request: Reply(200, DATA))
        self.stage = Stage(
            {
                "reg.example.com": [PUBLIC],
                "auth.example.com": [OTHER],
                "evil.example.net": [OTHER],
                "cdn.example.org": [OTHER],
            },
            {PUBLIC: self.registry, (OTHER, 443): self.evil, (OTHER, 80): self.plain},
        )
        config = RegistryConfig(certs_dirs=(certs_dir,), backoff=0.01, proxies=Proxies(), attempts=2)
        self.client = RegistryClient(config, self.stage)

    def repository(self, credential: Credential = ME, *, push: bool = False):
        return self.client.repository(Reference.parse("reg.example.com/app:1"), credential, push=push)

    def everything_sent(self) -> str:
        """What servers other than the registry were told."""
        return repr([*self.evil.seen, *self.plain.seen])

    def assert_nothing_leaked(self) -> None:
        told = self.everything_sent()
        assert SECRET not in told and PASSWORD not in told and "authorization" not in told, told
        assert {where[0] for where in self.stage.dialled} <= {PUBLIC, OTHER}, self.stage.dialled

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        for server in (self.registry, self.evil, self.plain):
            server.close()


def basic(handle: Script) -> Script:
    """A registry that wants the password and then does what *handle* says."""

    def script(request: Request) -> Reply:
        if request.proof != f"Basic {SECRET}":
            return Reply(401, headers={"WWW-Authenticate": 'Basic realm="r"'})
        return Reply(200) if request.path == "/v2/" else handle(request)

    return script


def bearer(realm: str, service: str = "reg") -> Script:
    def script(request: Request) -> Reply:
        if request.proof == "Bearer good":
            return Reply(200, MANIFEST, {"Content-Type": manifests.MANIFEST, "Docker-Content-Digest": MANIFEST_DIGEST})
        return Reply(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="{service}"'})

    return script


def token(request: Request) -> Reply:
    return Reply(200, b'{"token":"good"}')


# 33: the realm


def test_a_realm_of_another_domain_gets_no_credentials(certs_dir, tls):
    with Lab(certs_dir, tls, bearer("https://evil.example.net/token"), token) as lab:
        with pytest.raises(errors.Forbidden, match=r"wants its credentials to be sent to evil\.example\.net"):
            lab.repository().resolve("1")
        assert lab.evil.seen == []
        lab.assert_nothing_leaked()


def test_a_realm_of_another_domain_may_give_an_anonymous_token(certs_dir, tls):
    with Lab(certs_dir, tls, bearer("https://evil.example.net/token"), token) as lab:
        assert lab.repository(Credential()).resolve("1").digest == MANIFEST_DIGEST
        lab.assert_nothing_leaked()


def test_an_identity_token_goes_to_no_foreign_realm(certs_dir, tls):
    mine = Credential(identity_token="identity-secret")
    with Lab(certs_dir, tls, bearer("https://evil.example.net/token"), token) as lab:
        with pytest.raises(errors.Forbidden):
            lab.repository(mine).resolve("1")
        assert "identity-secret" not in lab.everything_sent()


def test_a_neighbouring_realm_gets_them(certs_dir, tls):
    """The positive side: a token service below the registry's own domain, as Docker Hub has it."""
    with Lab(certs_dir, tls, bearer("https://auth.example.com/token"), token) as lab:
        assert lab.repository().resolve("1").digest == MANIFEST_DIGEST
        assert lab.evil.seen[0].proof == f"Basic {SECRET}"
        assert lab.evil.seen[0].query["scope"] == ["repository:app:pull"]


def test_a_realm_without_tls_is_refused(certs_dir, tls):
    with Lab(certs_dir, tls, bearer("http://reg.example.com/token"), token) as lab:
        for credential in (ME, Credential()):
            with pytest.raises(errors.Forbidden, match="https to http"):
                lab.repository(credential).resolve("1")
        lab.assert_nothing_leaked()


def test_a_realm_inside_is_not_reached(certs_dir, tls):
    with Lab(certs_dir, tls, token, token) as lab:
        for host in (*METADATA, *INSIDE, *LINK):
            lab.registry.script = bearer(f"https://{host}/latest/meta-data")
            for credential in (Credential(), ME):
                with pytest.raises(errors.Forbidden):
                    lab.repository(credential).resolve("1")
        lab.assert_nothing_leaked()


REALMS = [
    "https://reg.example.com@evil.example.net/token",
    "https://evil.example.net\\@reg.example.com/token",
    "https://evil.example.net#@reg.example.com/",
    "https://evil.example.net%2freg.example.com/",
    "https://reg.example.com\t.evil.example.net/",
    "https:///token",
    "//evil.example.net/token",
    "file:///etc/shadow",
    "ftp://evil.example.net/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://[::1%25eth0]/",
    "https://evil.example.net:0/",
    "https://evil.example.net:99999/",
]


def test_a_realm_that_reads_differently_to_others_is_refused(certs_dir, tls):
    with Lab(certs_dir, tls, token, token) as lab:
        for realm in REALMS:
            lab.registry.script = bearer(realm)
            with pytest.raises(errors.CortenError):
                lab.repository().resolve("1")
        assert lab.evil.seen == []
        lab.assert_nothing_leaked()


# 33: redirects


def redirecting(location: str, status: int = 307) -> Script:
    return basic(lambda request: Reply(status, headers={"Location": location}))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_no_credentials_along(certs_dir, tls, status):
    with Lab(certs_dir, tls, redirecting("https://cdn.example.org/blob?signature=x", status)) as lab:
        with lab.repository().blob(LAYER) as stream:
            assert stream.read(1 << 20) == DATA
        assert lab.evil.lines == ["GET /blob?signature=x"]
        lab.assert_nothing_leaked()


def test_who_is_redirected_to_may_not_ask_for_credentials(certs_dir, tls):
    """CVE-2020-15157: the challenge of a foreign server was answered with the registry's password."""

    def evil(request: Request) -> Reply:
        return Reply(401, headers={"WWW-Authenticate": 'Basic realm="give me"'})

    with Lab(certs_dir, tls, redirecting("https://cdn.example.org/blob"), evil) as lab:
        with pytest.raises(errors.CortenError):
            lab.repository().blob(LAYER)
        assert len(lab.evil.seen) == 1
        lab.assert_nothing_leaked()


def test_a_redirect_there_and_back_takes_no_credentials_along(certs_dir, tls):
    def registry(request: Request) -> Reply:
        if request.path == "/back":
            return Reply(200, DATA) if not request.proof else Reply(500)
        return basic(lambda request: Reply(307, headers={"Location": "https://cdn.example.org/"}))(request)

    def evil(request: Request) -> Reply:
        return Reply(307, headers={"Location": "https://reg.example.com/back"})

    with Lab(certs_dir, tls, registry, evil) as lab:
        with lab.repository().blob(LAYER) as stream:
            assert stream.read(1 << 20) == DATA
        lab.assert_nothing_leaked()


def test_a_redirect_to_http_is_refused(certs_dir, tls):
    for host in ("cdn.example.org", "reg.example.com"):
        with Lab(certs_dir, tls, redirecting(f"http://{host}/blob")) as lab:
            with pytest.raises(errors.Forbidden, match="https to http"):
                lab.repository().blob(LAYER)
            assert lab.plain.seen == []
            lab.assert_nothing_leaked()


def test_a_redirect_inside_is_not_followed(certs_dir, tls):
    with Lab(certs_dir, tls, token) as lab:
        for host in (*METADATA, *INSIDE, *LINK):
            lab.registry.script = redirecting(f"https://{host}/latest/meta-data/iam")
            with pytest.raises(errors.Forbidden):
                lab.repository().blob(LAYER)
            with pytest.raises(errors.Forbidden):
                lab.repository().resolve("1")
        lab.assert_nothing_leaked()


def test_a_name_that_leads_inside_is_not_followed(certs_dir, tls):
    with Lab(certs_dir, tls, redirecting("https://cdn.example.org/blob")) as lab:
        for address in ("127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:127.0.0.1"):
            lab.stage.names["cdn.example.org"] = [address]
            with pytest.raises(errors.Forbidden, match="is not where this registry may lead"):
                lab.repository().blob(LAYER)
        lab.assert_nothing_leaked()


def test_of_several_addresses_only_those_outside_are_used(certs_dir, tls):
    with Lab(certs_dir, tls, redirecting("https://cdn.example.org/blob")) as lab:
        lab.stage.names["cdn.example.org"] = ["10.0.0.1", "127.0.0.1", OTHER]
        with lab.repository().blob(LAYER) as stream:
            assert stream.read(1 << 20) == DATA
        lab.assert_nothing_leaked()


def test_a_name_that_changes_its_mind_gains_nothing(certs_dir, tls):
    """DNS rebinding: outside when it is judged, inside when it is dialled. Here both are one step."""
    with Lab(certs_dir, tls, redirecting("https://cdn.example.org/blob")) as lab:
        lab.stage.names["cdn.example.org"] = [[OTHER], ["127.0.0.1"], ["169.254.169.254"]]
        with lab.repository().blob(LAYER) as stream:
            assert stream.read(1 << 20) == DATA
        lab.client.close()
        lab.client = RegistryClient(lab.client.config, lab.stage)
        for _ in range(2):
            with pytest.raises(errors.Forbidden):
                lab.repository().blob(LAYER)
        lab.assert_nothing_leaked()


def test_the_registry_itself_may_not_move_inside_while_it_is_talked_to(certs_dir, tls):
    """The name of the registry is judged once per job; its later connections stay in that zone."""
    closing = {"Connection": "close"}

    def registry(request: Request) -> Reply:
        return Reply(200, MANIFEST, {"Content-Type": manifests.MANIFEST, **closing})

    with Lab(certs_dir, tls, registry) as lab:
        repository = lab.repository(Credential())
        assert repository.manifest("1").descriptor.digest == MANIFEST_DIGEST
        lab.stage.names["reg.example.com"] = ["127.0.0.1"]
        with pytest.raises(errors.Forbidden):
            repository.manifest("1")
        lab.assert_nothing_leaked()


def test_redirects_end(certs_dir, tls):
    with Lab(certs_dir, tls, redirecting("/v2/app/again")) as lab:
        with pytest.raises(errors.Unavailable, match="redirects more than"):
            lab.repository().blob(LAYER)
        assert len(lab.registry.seen) < 40


# 33: where uploads and pages go


def test_an_upload_elsewhere_takes_no_credentials_along(certs_dir, tls):
    def registry(request: Request) -> Reply:
        return Reply(202, headers={"Location": "https://evil.example.net/upload?x=1"})

    def evil(request: Request) -> Reply:
        return Reply(201)

    with Lab(certs_dir, tls, basic(registry), evil) as lab:
        lab.repository(push=True).upload(LAYER, lambda: iter([DATA]), lambda done: None)
        assert [each.method for each in lab.evil.seen] == ["PUT"]
        lab.assert_nothing_leaked()


@pytest.mark.parametrize(
    "location", ["http://evil.example.net/", "https://169.254.169.254/", "https://127.0.0.1:2375/"]
)
def test_an_upload_inside_or_without_tls_is_refused(certs_dir, tls, location):
    with Lab(certs_dir, tls, basic(lambda request: Reply(202, headers={"Location": location}))) as lab:
        with pytest.raises(errors.Forbidden):
            lab.repository(push=True).upload(LAYER, lambda: iter([DATA]), lambda done: None)
        assert lab.plain.seen == []
        lab.assert_nothing_leaked()


@pytest.mark.parametrize(
    "link", ["https://evil.example.net/v2/app/tags/list", "http://reg.example.com/", "https://169.254.169.254/"]
)
def test_a_next_page_elsewhere_is_refused(certs_dir, tls, link):
    def registry(request: Request) -> Reply:
        return Reply(200, b'{"tags":["a"]}', {"Link": f'<{link}>; rel="next"'})

    with Lab(certs_dir, tls, basic(registry)) as lab:
        tags = lab.repository().tags()
        assert next(tags) == "a"
        with pytest.raises(errors.Forbidden):
            next(tags)
        assert lab.evil.seen == lab.plain.seen == []
        lab.assert_nothing_leaked()


def test_a_mirror_gets_no_credentials(certs_dir, tls):
    def mirror(request: Request) -> Reply:
        return Reply(401, headers={"WWW-Authenticate": 'Basic realm="mirror"'})

    with Lab(certs_dir, tls, bearer("https://auth.docker.io/token"), mirror) as lab:
        config = RegistryConfig(
            mirrors=("https://evil.example.net/",), certs_dirs=(certs_dir,), backoff=0.01, attempts=1
        )
        client = RegistryClient(config, lab.stage)
        with pytest.raises(errors.Unavailable):  # Docker Hub has no place on this stage
            client.repository(Reference.parse("busybox"), ME).resolve("1")
        client.close()
        assert PASSWORD not in lab.everything_sent() and SECRET not in lab.everything_sent()


def test_a_credential_of_another_registry_is_not_shown(certs_dir, tls):
    theirs = Credential(username="me", password=PASSWORD, server_address="https://evil.example.net/v2/")
    with Lab(certs_dir, tls, basic(lambda request: Reply(200))) as lab:
        with pytest.raises(errors.Unauthenticated, match="no basic auth credentials"):
            lab.repository(theirs).resolve("1")
        assert all(not each.proof for each in lab.registry.seen)


def test_nothing_secret_is_in_the_words_of_errors(certs_dir, tls):
    mine = Credential(username="me", password=PASSWORD, identity_token="it-secret", registry_token="rt-secret")
    assert not any(word in repr(mine) + str(mine) for word in (PASSWORD, "it-secret", "rt-secret", "me'"))
    with (
        Lab(certs_dir, tls, lambda request: Reply(500, b'{"errors":[{"code":"X","message":"bad\\u001b[31m"}]}')) as lab,
        pytest.raises(errors.CortenError) as caught,
    ):
        lab.repository(mine).resolve("1")
    assert "rt-secret" not in str(caught.value) and "\x1b" not in str(caught.value)


def test_signed_urls_are_not_logged(certs_dir, tls, caplog):
    with Lab(certs_dir, tls, redirecting("https://cdn.example.org/blob?signature=opens-it")) as lab:
        caplog.set_level("DEBUG")
        with lab.repository().blob(LAYER) as stream:
            assert stream.read(1 << 20) == DATA
        lab.evil.script = lambda request: Reply(403)
        with pytest.raises(errors.CortenError) as caught:
            lab.repository().blob(LAYER)
    assert "opens-it" not in caplog.text + str(caught.value)


# 34: digests


def read_all(repository, size: int) -> None:
    with repository.blob(LAYER) as stream:
        while stream.read(size):
            pass


def serving(body: bytes, headers: dict[str, str] | None = None, **more) -> Script:
    def script(request: Request) -> Reply:
        if request.path == "/v2/":
            return Reply(200)
        return Reply(200, body, {"Content-Type": manifests.MANIFEST, **(headers or {})}, **more)

    return script


def test_a_manifest_must_have_the_digest_that_was_asked_for(certs_dir, tls):
    with Lab(certs_dir, tls, serving(MANIFEST + b" ", {"Docker-Content-Digest": MANIFEST_DIGEST})) as lab:
        repository = lab.repository(Credential())
        for name in (MANIFEST_DIGEST, "1", Descriptor(media_type=manifests.MANIFEST, digest=MANIFEST_DIGEST, size=1)):
            with pytest.raises((errors.DataLoss, errors.InvalidArgument), match="verification failed"):
                repository.manifest(name)


def test_a_manifest_must_have_the_digest_that_its_registry_tells(certs_dir, tls):
    with Lab(certs_dir, tls, serving(MANIFEST, {"Docker-Content-Digest": DIGEST})) as lab:
        with pytest.raises(errors.DataLoss):
            lab.repository(Credential()).manifest("1")
        with pytest.raises(errors.DataLoss):
            lab.repository(Credential()).resolve(MANIFEST_DIGEST)


NO_DIGESTS = [
    "",
    "sha256",
    "sha256:",
    "sha256:" + "a" * 63,
    "sha256:" + "A" * 64,
    "md5:" + "a" * 32,
    "a" * 64,
    "sha512:" + "a" * 128,
    "sha256:" + "a" * 64 + "/../x",
    "sha256:../../../../v2/other/blobs/sha256:" + "a" * 64,
]


@pytest.mark.parametrize("digest", NO_DIGESTS)
def test_a_digest_that_is_none_is_never_asked_for(certs_dir, tls, digest):
    with Lab(certs_dir, tls, serving(DATA)) as lab:
        repository = lab.repository(Credential(), push=True)
        bad = Descriptor(media_type=manifests.MANIFEST, digest=digest, size=10)
        for ask in (
            lambda: repository.blob(bad),
            lambda: repository.manifest(bad),
            lambda: repository.has_blob(digest),
            lambda: repository.mount(digest, "other"),
            lambda: repository.referrers(digest),
            lambda: repository.upload(bad, lambda: iter([b"x"]), lambda done: None),
        ):
            with pytest.raises(errors.InvalidArgument):
                ask()
        assert all(each.path == "/v2/" for each in lab.registry.seen)


AMBIGUOUS = {
    "manifest and index": ({"schemaVersion": 2, "config": {}, "layers": [], "manifests": []}, manifests.MANIFEST),
    "index that calls itself a manifest": (
        {"schemaVersion": 2, "mediaType": manifests.MANIFEST, "manifests": []},
        manifests.MANIFEST,
    ),
    "manifest that calls itself an index": (
        {"schemaVersion": 2, "mediaType": manifests.INDEX, "config": {}, "layers": []},
        manifests.INDEX,
    ),
    "sent as an index": (
        {"schemaVersion": 2, "mediaType": manifests.MANIFEST, "config": {}, "layers": []},
        manifests.INDEX,
    ),
    "sent as Docker's": (
        {"schemaVersion": 2, "mediaType": manifests.MANIFEST, "config": {}, "layers": []},
        manifests.DOCKER_MANIFEST,
    ),
    "silent manifest sent as an index": ({"schemaVersion": 2, "config": {}, "layers": []}, manifests.INDEX),
    "silent index sent as a manifest": ({"schemaVersion": 2, "manifests": []}, manifests.DOCKER_MANIFEST),
    "schema 1 beside schema 2": ({"schemaVersion": 2, "config": {}, "layers": [], "fsLayers": []}, manifests.MANIFEST),
    "neither": ({"schemaVersion": 2}, manifests.MANIFEST),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_a_document_of_two_kinds_is_refused(certs_dir, tls, case):
    """CVE-2021-41190: one digest, and one reader sees a manifest where the other sees an index."""
    document, content_type = AMBIGUOUS[case]
    body = json.dumps(document).encode()
    script = serving(body, {"Content-Type": content_type})
    with Lab(certs_dir, tls, script) as lab, pytest.raises(errors.InvalidArgument):
        lab.repository(Credential()).manifest("1")


def test_a_document_must_be_what_its_descriptor_says(certs_dir, tls):
    with Lab(certs_dir, tls, serving(MANIFEST)) as lab:
        described = Descriptor(media_type=manifests.INDEX, digest=MANIFEST_DIGEST, size=len(MANIFEST))
        with pytest.raises(errors.InvalidArgument, match="ambiguous"):
            lab.repository(Credential()).manifest(described)


def test_a_truncated_body_is_no_body(certs_dir, tls):
    with Lab(certs_dir, tls, serving(MANIFEST, cut=10)) as lab, pytest.raises(errors.Unavailable):
        lab.repository(Credential()).manifest("1")
    with Lab(certs_dir, tls, serving(DATA, cut=100)) as lab, pytest.raises(errors.Unavailable):
        read_all(lab.repository(Credential()), 64)


@pytest.mark.parametrize("body", [DATA + b"more", DATA[:-1], b""])
def test_a_blob_of_another_length_is_refused_at_once(certs_dir, tls, body):
    with Lab(certs_dir, tls, serving(body)) as lab, pytest.raises(errors.DataLoss):
        lab.repository(Credential()).blob(LAYER)


def test_a_blob_without_a_length_ends_where_it_must(certs_dir, tls):
    with Lab(certs_dir, tls, serving(DATA + b"more", length=False)) as lab, pytest.raises(errors.DataLoss):
        read_all(lab.repository(Credential()), 1 << 20)
    with Lab(certs_dir, tls, serving(DATA[:-1], length=False)) as lab, pytest.raises(errors.Unavailable):
        read_all(lab.repository(Credential()), 1 << 20)


@pytest.mark.parametrize(
    ("content_range", "part"),
    [
        (f"bytes 0-{len(DATA) - 1}/{len(DATA)}", DATA),
        (f"bytes 50-{len(DATA) - 1}/{len(DATA)}", DATA[50:]),
        (f"bytes 100-{len(DATA) - 1}/{len(DATA) + 7}", DATA[100:]),
        (f"bytes 100-{len(DATA) + 6}/{len(DATA) + 7}", DATA[100:] + b"another"),
        ("bytes 100-199/*", DATA[100:200]),
        ("items 100-4999/5000", DATA[100:]),
        ("", DATA[100:]),
    ],
)
def test_a_resumed_download_is_of_the_same_blob(certs_dir, tls, content_range, part):
    """What is taken up at byte 100 must be bytes 100 and on of a blob of that very size."""

    def registry(request: Request) -> Reply:
        if request.path == "/v2/":
            return Reply(200)
        return Reply(206, part, {"Content-Range": content_range} if content_range else {})

    with Lab(certs_dir, tls, registry) as lab, pytest.raises(errors.DataLoss):
        lab.repository(Credential()).blob(LAYER, 100)


def test_an_encoded_body_is_refused(certs_dir, tls):
    with Lab(certs_dir, tls, serving(DATA, {"Content-Encoding": "gzip"})) as lab, pytest.raises(errors.DataLoss):
        lab.repository(Credential()).blob(LAYER)


# bounds


def test_documents_and_heads_are_bounded(certs_dir, tls):
    huge = b'{"schemaVersion":2,"x":"' + b"a" * (4 << 20) + b'"}'
    with Lab(certs_dir, tls, serving(huge)) as lab, pytest.raises(errors.InvalidArgument, match="more than"):
        lab.repository(Credential()).manifest("1")
    with Lab(certs_dir, tls, serving(huge, length=False)) as lab, pytest.raises(errors.InvalidArgument):
        lab.repository(Credential()).manifest("1")
    with pytest.raises(errors.InvalidArgument):
        Lab(certs_dir, tls, serving(b"")).repository().manifest(
            Descriptor(media_type=manifests.MANIFEST, digest=DIGEST, size=1 << 40)
        )


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(100_000)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * (1 << 20) + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000,
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 100_000,
        b"\0" * 100_000,
        b"HTTP/1.1 99999999999 OK\r\n\r\n",
        b"",
    ],
)
def test_heads_that_never_end_or_are_none(certs_dir, tls, raw):
    with Lab(certs_dir, tls, lambda request: Reply(raw=raw or b"\r\n")) as lab, pytest.raises(errors.Unavailable):
        lab.repository(Credential()).resolve("1")


@pytest.mark.parametrize(
    "reply",
    [
        b"{}",
        b"[]",
        b"x" * (2 << 20),
        b'{"token":"a\\r\\nX-Injected: 1"}',
        b'{"token":7}',
        b'{"expires_in":1e400}',
        b"\xff",
    ],
)
def test_a_token_that_is_none(certs_dir, tls, reply):
    realm = "https://auth.example.com/token"
    with Lab(certs_dir, tls, bearer(realm), lambda request: Reply(200, reply)) as lab:
        with pytest.raises(errors.CortenError):
            lab.repository().resolve("1")
        assert all("x-injected" not in each.headers for each in lab.registry.seen)


def test_a_certificate_of_another_name_is_refused(certs_dir, certificates, tls):
    with Lab(certs_dir, tls, serving(MANIFEST)) as lab:
        lab.stage.names["other.example.com"] = [PUBLIC]
        directory = Path(certs_dir) / "other.example.com"
        directory.mkdir()
        (directory / "ca.crt").write_bytes((certificates / "ca.pem").read_bytes())
        with pytest.raises(errors.Unavailable, match="failed to verify certificate"):
            lab.client.repository(Reference.parse("other.example.com/app"), ME).resolve("1")
        assert lab.registry.seen == []


def test_a_public_registry_is_never_spoken_to_without_tls(tmp_path):
    with Server(serving(MANIFEST)) as plain:
        stage = Stage({"reg.example.com": [PUBLIC]}, {PUBLIC: plain})
        client = RegistryClient(RegistryConfig(certs_dirs=(str(tmp_path),), attempts=1), stage)
        with pytest.raises(errors.Unavailable, match="HTTP response to HTTPS client"):
            client.repository(Reference.parse("reg.example.com/app"), ME).resolve("1")
        client.close()
        assert plain.seen == []
