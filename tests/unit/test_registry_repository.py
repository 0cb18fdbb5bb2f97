"""A repository's operations against small scripted registries."""

import json

import pytest

from corten import errors
from corten.distribution.client import RegistryClient
from corten.distribution.config import RegistryConfig
from corten.distribution.credential import ANONYMOUS
from corten.oci import digest as digests
from corten.oci import manifest as manifests
from corten.oci.manifest import Descriptor
from corten.oci.reference import Reference
from tests.support.scripted import Reply, Request, Server

MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": manifests.MANIFEST, "config": {}, "layers": []}).encode()
DIGEST = digests.of(MANIFEST)
DATA = bytes(range(256)) * 40
BLOB = Descriptor(media_type="x", digest=digests.of(DATA), size=len(DATA))


class Scripted:
    """A registry whose answers are ``pages``: "METHOD PATH" → reply, or a function of the request."""

    def __init__(self, **pages):
        self.pages = pages
        self.server = Server(self.answer)
        self.client = RegistryClient(RegistryConfig(backoff=0.001, certs_dirs=(), attempts=2))

    def answer(self, request: Request) -> Reply:
        found = self.pages.get(f"{request.method} {request.target}", self.pages.get(f"{request.method} {request.path}"))
        if found is None:
            return Reply(200 if request.path == "/v2/" else 404)
        return found(request) if callable(found) else found

    def repository(self, push=False):
        return self.client.repository(Reference.parse(f"{self.server.host}/app"), ANONYMOUS, push=push)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        self.server.close()


def manifest_reply(**headers):
    return Reply(200, MANIFEST, {"Content-Type": manifests.MANIFEST, **headers})


def test_a_head_is_enough_where_it_says_all():
    whole = manifest_reply(**{"Docker-Content-Digest": DIGEST})
    with Scripted(**{"HEAD /v2/app/manifests/1": whole}) as registry:
        found = registry.repository().resolve("1")
        assert found == Descriptor(media_type=manifests.MANIFEST, digest=DIGEST, size=len(MANIFEST))
        assert [each.method for each in registry.server.seen] == ["GET", "HEAD"]


@pytest.mark.parametrize(
    "head",
    [
        Reply(405),
        Reply(404),
        manifest_reply(),
        Reply(200, MANIFEST, {"Content-Type": "text/plain", "Docker-Content-Digest": DIGEST}),
        manifest_reply(**{"Docker-Content-Digest": "sha256:short"}),
        manifest_reply(**{"Docker-Content-Digest": "sha512:" + "a" * 128}),
    ],
)
def test_where_a_head_says_too_little_the_document_is_read(head):
    pages = {"HEAD /v2/app/manifests/1": head, "GET /v2/app/manifests/1": manifest_reply()}
    with Scripted(**pages) as registry:
        assert registry.repository().resolve("1").digest == DIGEST


def test_kinds_of_content_that_say_nothing_are_fine():
    for kind in ("application/json", "text/plain; charset=utf-8", ""):
        reply = Reply(200, MANIFEST, {"Content-Type": kind} if kind else {})
        with Scripted(**{"GET /v2/app/manifests/1": reply}) as registry:
            assert registry.repository().manifest("1").media_type == manifests.MANIFEST


def test_a_silent_document_is_what_its_registry_calls_it():
    body = json.dumps({"schemaVersion": 2, "config": {}, "layers": []}).encode()
    reply = Reply(200, body, {"Content-Type": f"{manifests.DOCKER_MANIFEST}; charset=utf-8"})
    with Scripted(**{"GET /v2/app/manifests/1": reply}) as registry:
        assert registry.repository().manifest("1").media_type == manifests.DOCKER_MANIFEST


def test_tags_page_by_page():
    pages = {
        "GET /v2/app/tags/list": Reply(
            200, b'{"name":"app","tags":["a","b"]}', {"Link": '</v2/app/tags/list?last=b&n=2>; rel="next"'}
        ),
        "GET /v2/app/tags/list?last=b&n=2": Reply(200, b'{"tags":["c"]}', {"Link": '<x>; rel="prev"'}),
    }
    with Scripted(**pages) as registry:
        assert list(registry.repository().tags()) == ["a", "b", "c"]


def test_pages_that_go_round_end():
    same = Reply(200, b'{"tags":["a"]}', {"Link": '</v2/app/tags/list>; rel="next"'})
    with Scripted(**{"GET /v2/app/tags/list": same}) as registry:
        assert list(registry.repository().tags()) == ["a"]


@pytest.mark.parametrize("body", [b"[]", b'{"tags":[1]}', b'{"tags":"x"}', b"\xff", b"[" * 100_000])
def test_tags_that_are_none(body):
    with Scripted(**{"GET /v2/app/tags/list": Reply(200, body)}) as registry, pytest.raises(errors.InvalidArgument):
        list(registry.repository().tags())


def test_tags_of_what_is_not_there():
    gone = Reply(404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}')
    with Scripted(**{"GET /v2/app/tags/list": gone}) as registry:
        with pytest.raises(errors.NotFound) as caught:
            list(registry.repository().tags())
        assert str(caught.value) == (
            f"repository {registry.server.host}/app not found: name unknown: repository name not known to registry"
        )


def index_of(*digests_):
    entries = [{"mediaType": manifests.MANIFEST, "digest": each, "size": 1} for each in digests_]
    return json.dumps({"schemaVersion": 2, "mediaType": manifests.INDEX, "manifests": entries}).encode()


def test_referrers_by_the_api_and_by_the_tag():
    other = "sha256:" + "1" * 64
    reply = Reply(200, index_of(other), {"Content-Type": manifests.INDEX})
    for path in (f"/v2/app/referrers/{DIGEST}", f"/v2/app/manifests/{DIGEST.replace(':', '-')}"):
        with Scripted(**{f"GET {path}": reply}) as registry:
            assert [each.digest for each in registry.repository().referrers(DIGEST)] == [other]
    with Scripted() as registry:
        assert registry.repository().referrers(DIGEST) == []


def test_a_blob_and_the_rest_of_it():
    def blob(request):
        given = request.headers.get("range", "")
        if not given:
            return Reply(200, DATA)
        start = int(given.removeprefix("bytes=").split("-")[0])
        return Reply(206, DATA[start:], {"Content-Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"})

    with Scripted(**{f"GET /v2/app/blobs/{BLOB.digest}": blob}) as registry:
        with registry.repository().blob(BLOB, 100) as stream:
            assert (stream.offset, stream.left) == (100, len(DATA) - 100)
            assert stream.read(50) == DATA[100:150]
            assert stream.read(1 << 20) == DATA[150:]
            assert stream.read(10) == b""
        with pytest.raises(ValueError, match="lies outside"):
            registry.repository().blob(BLOB, len(DATA))


def test_a_registry_without_ranges_begins_anew():
    blob = {f"GET /v2/app/blobs/{BLOB.digest}": Reply(200, DATA)}
    with Scripted(**blob) as registry, registry.repository().blob(BLOB, 100) as stream:
        assert stream.offset == 0
        assert stream.read(1 << 20) == DATA


def test_a_small_blob_as_a_whole():
    with Scripted(**{f"GET /v2/app/blobs/{BLOB.digest}": Reply(200, DATA)}) as registry:
        assert registry.repository().document(BLOB) == DATA
    other = {f"GET /v2/app/blobs/{BLOB.digest}": Reply(200, DATA[::-1])}
    with Scripted(**other) as registry, pytest.raises(errors.DataLoss, match="verification failed"):
        registry.repository().document(BLOB)


def test_an_empty_blob():
    empty = Descriptor(media_type="x", digest=digests.of(b""), size=0)
    blob = {f"GET /v2/app/blobs/{empty.digest}": Reply(200, b"")}
    with Scripted(**blob) as registry, registry.repository().blob(empty) as stream:
        assert stream.read(10) == b""


def test_which_blobs_are_there():
    path = f"HEAD /v2/app/blobs/{BLOB.digest}"
    with Scripted(**{path: Reply(200, DATA)}) as registry:
        assert registry.repository(push=True).has_blob(BLOB.digest) == len(DATA)
    with Scripted() as registry:
        assert registry.repository(push=True).has_blob(BLOB.digest) is None


def test_a_stored_manifest_must_be_the_one_that_was_sent():
    put = "PUT /v2/app/manifests/1"
    with Scripted(**{put: Reply(201, headers={"Docker-Content-Digest": DIGEST})}) as registry:
        assert registry.repository(push=True).put_manifest("1", manifests.MANIFEST, MANIFEST) == DIGEST
        sent = registry.server.seen[-1]
        assert (sent.body, sent.headers["content-type"]) == (MANIFEST, manifests.MANIFEST)
    other = Reply(201, headers={"Docker-Content-Digest": BLOB.digest})
    with Scripted(**{put: other}) as registry, pytest.raises(errors.DataLoss):
        registry.repository(push=True).put_manifest("1", manifests.MANIFEST, MANIFEST)


@pytest.mark.parametrize("name", ["a" * 70 + ".example.com/x", "x..example.com/y", "nowhere.invalid:5000/x"])
def test_names_that_no_dns_knows(name):
    client = RegistryClient(RegistryConfig(attempts=1))
    try:
        reference = Reference.parse(name)
    except errors.InvalidArgument:
        return
    with pytest.raises(errors.Unavailable):
        client.repository(reference, ANONYMOUS).resolve("1")
