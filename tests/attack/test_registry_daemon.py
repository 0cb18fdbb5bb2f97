"""A registry that lies, as the daemon's clients meet it: the pull fails with a reason, and the store is as it was."""

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable

import pytest

from corten.oci import digest as digests
from corten.oci import manifest as manifests
from tests.support.daemon import Daemon
from tests.support.http import Api
from tests.support.scripted import Reply, Request, Server


def layer() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("hello")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"hello"))
    return stream.getvalue()


TAR = layer()
GZIP = gzip.compress(TAR, mtime=0)
CONFIG = json.dumps(
    {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digests.of(TAR)]}}
).encode()


def descriptor(kind: str, data: bytes) -> dict[str, object]:
    return {"mediaType": kind, "digest": digests.of(data), "size": len(data)}


MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": manifests.MANIFEST,
        "config": descriptor(manifests.CONFIG, CONFIG),
        "layers": [descriptor(manifests.LAYER_GZIP, GZIP)],
    }
).encode()


class Liar:
    """An honest registry, but for ``lies``: the end of a path → what is answered instead."""

    def __init__(self) -> None:
        self.lies: dict[str, Callable[[Request], Reply]] = {}
        self.server = Server(self.answer)

    def answer(self, request: Request) -> Reply:
        for end, lie in self.lies.items():
            if request.path.endswith(end):
                return lie(request)
        if request.path == "/v2/":
            return Reply(200)
        if "/manifests/" in request.path:
            return Reply(200, MANIFEST, {"Content-Type": manifests.MANIFEST})
        for data in (CONFIG, GZIP):
            if request.path.endswith(digests.of(data)):
                return Reply(200, data)
        return Reply(404)


@pytest.fixture
def liar():
    found = Liar()
    yield found
    found.server.close()


def kept(daemon: Daemon) -> list[str]:
    """Every file of the content store and every layer."""
    places = (f"{daemon.data_root}/content/blobs", f"{daemon.data_root}/snapshots/layers")
    return sorted(os.path.join(base, name) for place in places for base, _, names in os.walk(place) for name in names)


def pull(api: Api, host: str, tag: str = "1") -> str:
    """The error of a pull, "" for none."""
    answer = api("POST", "/images/create", query={"fromImage": f"{host}/app", "tag": tag})
    if answer.status != 200:
        return answer.message
    lines = [json.loads(line) for line in answer.body.splitlines()]
    return next((line["error"] for line in lines if "error" in line), "")


def manifest_reply(data: bytes, kind: str = manifests.MANIFEST, **headers: str) -> Callable[[Request], Reply]:
    return lambda request: Reply(200, data, {"Content-Type": kind, **headers})


def to(location: str) -> Callable[[Request], Reply]:
    return lambda request: Reply(307, headers={"Location": location})


BOTH = json.dumps({**json.loads(MANIFEST), "manifests": []}).encode()
OTHER = json.dumps({**json.loads(MANIFEST), "annotations": {"a": "b"}}).encode()
LAYER_PATH, CONFIG_PATH = digests.of(GZIP), digests.of(CONFIG)
LIES: dict[str, tuple[str, Callable[[Request], Reply], str]] = {
    "another manifest than asked for": (digests.of(MANIFEST), manifest_reply(OTHER), "verification failed"),
    "two kinds at once": ("/manifests/1", manifest_reply(BOTH), "ambiguous"),
    "sent as an index": ("/manifests/1", manifest_reply(MANIFEST, manifests.INDEX), "ambiguous"),
    "another digest told": (
        "/manifests/1",
        manifest_reply(MANIFEST, **{"Docker-Content-Digest": digests.of(OTHER)}),
        "verification failed",
    ),
    "another configuration": (CONFIG_PATH, lambda request: Reply(200, CONFIG[::-1]), ""),
    "another layer": (LAYER_PATH, lambda request: Reply(200, GZIP[::-1]), ""),
    "a longer layer": (LAYER_PATH, lambda request: Reply(200, GZIP + b"x"), ""),
    "metadata service": (LAYER_PATH, to("http://169.254.169.254/latest/meta-data/"), "refused"),
    "metadata service in IPv6": (LAYER_PATH, to("https://[::ffff:169.254.169.254]/"), "refused"),
    "any address": (LAYER_PATH, to("https://0.0.0.0:2375/"), "refused"),
    "a file": (LAYER_PATH, to("file:///etc/shadow"), "invalid redirect"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_leaves_nothing(daemon: Daemon, api: Api, liar: Liar, lie: str) -> None:
    path, reply, words = LIES[lie]
    before = kept(daemon)
    liar.lies[path] = reply
    tag = digests.of(MANIFEST) if path == digests.of(MANIFEST) else "1"
    failure = pull(api, liar.server.host, tag)
    assert failure and words in failure, failure
    assert api("GET", "/images/json").json() == []
    assert kept(daemon) == before
    liar.lies.clear()
    assert pull(api, liar.server.host) == ""  # the same registry, honest again
    assert api("DELETE", f"/images/{liar.server.host}/app:1").status == 200


SERVERS = [
    "a b",
    "http://",
    "https://u:p@h/",
    "-",
    "[::1",
    "a" * 300,
    "h:99999",
    "h:0",
    "\u202e",
    "x\ny",
    "../../etc",
    "h\\@e",
]


@pytest.mark.parametrize("address", SERVERS)
def test_a_login_at_no_server(api: Api, address: str) -> None:
    answer = api("POST", "/auth", {"username": "a", "password": "secret-word", "serveraddress": address})
    assert answer.status in (400, 503), answer.body
    assert b"secret-word" not in answer.body


def test_nothing_secret_is_in_the_log(daemon: Daemon, api: Api) -> None:
    """With the daemon's own log at its default level, and a registry that refuses everything."""

    def refuse(request: Request) -> Reply:
        return Reply(401, headers={"WWW-Authenticate": 'Basic realm="r"'})

    with Server(refuse) as server:
        body = {"username": "log-user", "password": "log-password", "serveraddress": server.host}
        assert api("POST", "/auth", body).status == 401
    with open(daemon.log_path, errors="replace") as log:
        assert "log-password" not in log.read()
