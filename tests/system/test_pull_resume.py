"""Pulls that break off, are killed, are cancelled or are shared: what came once is not fetched twice."""

import os
import signal
import socket
import time

import pytest

from tests.support.pullhost import Pulling, layer, noise, offer, packed, pull_host
from tests.support.scriptedregistry import ScriptedRegistry
from tests.support.stock import eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a daemon needs root")

MIB = 1 << 20
STEPS = [
    "pull.resolved",
    "pull.partial-opened",
    "pull.piece-written",
    "pull.blob-written",
    "pull.unpacked",
    "pull.complete",
    "pull.synced",
    "pull.blobs-published",
    "pull.layers-placed",
    "pull.layers-recorded",
    "pull.recorded",
]


@pytest.fixture(scope="module")
def host():
    with pull_host() as running:
        yield running


@pytest.fixture
def registry():
    with ScriptedRegistry() as running:
        yield running


@pytest.fixture(autouse=True)
def no_images(request):
    yield
    if "host" in request.fixturenames:
        host = request.getfixturevalue("host")
        host.arm("")
        if not host.answers():
            host.start()
        for row in host.api("GET", "/images/json").json():
            host.api("DELETE", f"/images/{row['Id']}", query={"force": "1"})
        host.api("POST", "/images/prune")
        assert host.files("content/partial") == []
        host.check_store()


def last(records) -> str:
    return records[-1].get("status", records[-1].get("error", ""))


def downloaded(records) -> bool:
    return last(records).startswith("Status: Downloaded newer image")


def test_broken_connections_are_taken_up_at_their_byte(host, registry):
    _, (digest,) = offer(registry, "breaks", "1", [layer("breaks")])
    registry.breaks[digest] = [MIB // 2, 17, MIB + 1]
    assert downloaded(host.pull(registry, "breaks"))
    offsets = [0, MIB // 2, MIB // 2 + 17, MIB + MIB // 2 + 18]
    size = len(registry.blobs[digest])
    assert registry.fetched(digest) == ["", *(f"bytes={offset}-{size - 1}" for offset in offsets[1:])]
    host.check_store()


def test_a_registry_without_ranges(host, registry):
    _, (digest,) = offer(registry, "whole", "1", [layer("whole")])
    registry.ranges = False
    registry.breaks[digest] = [2 * MIB]
    assert downloaded(host.pull(registry, "whole"))
    assert len(registry.fetched(digest)) == 2
    host.check_store()


def test_one_that_always_breaks_is_given_up(host, registry):
    _, (digest,) = offer(registry, "never", "1", [layer("never")])
    registry.breaks[digest] = [MIB + MIB // 2] + [0] * 50
    records = host.pull(registry, "never")
    assert "EOF" in records[-1]["error"]
    assert records[-1]["errorDetail"] == {"message": records[-1]["error"]}
    assert host.api("GET", "/images/json").json() == []
    assert host.files("content/partial") == [digest[7:]]
    registry.breaks[digest] = []
    assert downloaded(host.pull(registry, "never"))
    assert registry.fetched(digest)[-1].startswith(f"bytes={MIB}-")


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step(host, registry, step):
    _, digests = offer(registry, "killed", "1", [layer(f"{step}-{n}", 2 * MIB + 5) for n in range(2)])
    host.arm(f"{step} kill")
    host.pull_dies(registry, "killed")
    host.arm("")
    host.start()
    recorded = step == "pull.recorded"
    assert len(host.api("GET", "/images/json").json()) == int(recorded)
    host.check_store()
    records = host.pull(registry, "killed")
    assert downloaded(records) is not recorded
    host.check_store()
    assert host.files("content/partial") == []
    if step in ("pull.complete", "pull.synced"):  # everything had come: nothing is fetched again
        assert [len(registry.fetched(digest)) for digest in digests] == [1, 1]


def test_killed_amid_a_download_goes_on_behind_it(host, registry):
    _, (digest,) = offer(registry, "amid", "1", [layer("amid", 5 * MIB)])
    host.arm("pull.piece-written kill 6")
    host.pull_dies(registry, "amid")
    assert os.stat(host.partial(digest)).st_size == 3 * MIB
    host.arm("")
    host.start()
    records = host.pull(registry, "amid")
    assert downloaded(records)
    assert registry.fetched(digest) == ["", f"bytes={3 * MIB}-{len(registry.blobs[digest]) - 1}"]
    host.check_store()


@pytest.mark.parametrize("size", [2 * MIB, 9 * MIB, None], ids=["shorter", "longer", "whole"])
def test_a_wrong_partial_file_costs_one_more_download(host, registry, size):
    _, (digest,) = offer(registry, "wrong", "1", [layer(f"wrong-{size}")])
    os.makedirs(os.path.dirname(host.partial(digest)), exist_ok=True)
    with open(host.partial(digest), "wb") as file:
        file.write(noise("another", size or len(registry.blobs[digest])))
    assert downloaded(host.pull(registry, "wrong"))
    assert registry.fetched(digest)[-1] == ""
    host.check_store()


def test_content_that_is_never_right_is_refused(host, registry):
    _, (digest,) = offer(registry, "evil", "1", [layer("evil")])
    registry.blobs[digest] = packed(layer("other"))[: len(registry.blobs[digest])].ljust(
        len(registry.blobs[digest]), b"\0"
    )
    records = host.pull(registry, "evil")
    assert records[-1]["error"] == f"filesystem layer verification failed for digest {digest}"
    assert len(registry.fetched(digest)) == 1
    assert host.files("content/partial") == []
    with open(host.partial(digest), "wb") as file:
        file.write(noise("evil", 2 * MIB))
    records = host.pull(registry, "evil")  # resumed, found wrong, fetched once more from the start, wrong again
    assert records[-1]["error"] == f"filesystem layer verification failed for digest {digest}"
    assert registry.fetched(digest)[1:] == [f"bytes={2 * MIB}-{len(registry.blobs[digest]) - 1}", ""]


def test_layers_that_do_not_fit_the_config(host, registry):
    _, (digest,) = offer(registry, "liar", "1", [layer("liar")])
    other = packed(layer("truth"))
    kind, data = registry.manifests["liar", "1"]
    data = data.replace(digest.encode(), registry.blob(other).encode())
    data = data.replace(str(len(registry.blobs[digest])).encode(), str(len(other)).encode())
    registry.manifest("liar", "1", data, kind)
    assert host.pull(registry, "liar")[-1]["error"] == "layers from manifest don't match image configuration"
    assert host.api("GET", "/images/json").json() == []


def test_equal_layers_once_in_an_image_and_between_pulls(host, registry):
    same = layer("same")
    _, (digest, *_) = offer(registry, "twice", "1", [same, layer("between", 1000), same])
    offer(registry, "other", "1", [layer("below", 1000), same])
    release = registry.hold(digest)
    one = Pulling(host, registry, "twice")
    registry.held[digest].wait(30)
    two = Pulling(host, registry, "other")
    eventually(lambda: len(registry.requests) >= 9, what="the second pull has begun")
    release.set()
    assert downloaded(one.ended())
    assert downloaded(two.ended())
    assert len(registry.fetched(digest)) == 1
    host.check_store()


def test_the_same_image_twice_at_once(host, registry):
    _, digests = offer(registry, "race", "1", [layer(f"race{n}", MIB) for n in range(3)])
    pulls = [Pulling(host, registry, "race") for _ in range(4)]
    assert all(last(pull.ended()).startswith("Status: ") for pull in pulls)
    assert [len(registry.fetched(digest)) for digest in digests] == [1, 1, 1]
    host.check_store()


def begin(host, registry, repository, until: bytes = b"Pulling fs layer") -> socket.socket:
    """A client that has read the records up to *until* and may go away."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(host.socket)
    path = f"/images/create?fromImage={registry.host}/{repository}&tag=1"
    sock.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    seen = b""
    while until not in seen:
        piece = sock.recv(65536)
        assert piece, seen
        seen += piece
    return sock


def rest(client: socket.socket) -> bytes:
    """What it has not read yet."""
    seen = b""
    while not seen.endswith(b"0\r\n\r\n"):
        piece = client.recv(65536)
        assert piece, seen
        seen += piece
    client.close()
    return seen


def test_a_client_that_goes_away_ends_its_pull(host, registry):
    _, (digest,) = offer(registry, "gone", "1", [layer("gone")])
    registry.hold(digest)
    client = begin(host, registry, "gone")
    assert registry.held[digest].wait(30)
    eventually(lambda: os.path.exists(host.partial(digest)) and os.stat(host.partial(digest)).st_size == 3 * MIB)
    client.close()
    eventually(lambda: not host.files("snapshots/layers"), what="the layer is given up")
    assert host.api("GET", "/images/json").json() == []
    registry.gate.pop(digest).set()
    assert downloaded(host.pull(registry, "gone"))
    assert registry.fetched(digest)[1:] == [f"bytes={3 * MIB}-{len(registry.blobs[digest]) - 1}"]


def test_another_pull_of_the_layer_goes_on(host, registry):
    _, (digest,) = offer(registry, "shared", "1", [layer("shared")])
    release = registry.hold(digest)
    client = begin(host, registry, "shared")
    assert registry.held[digest].wait(30)
    other = begin(host, registry, "shared", until=b'"Downloading"')  # it has joined
    client.close()
    time.sleep(0.2)  # the daemon may or may not have noticed: neither harms the other
    release.set()
    assert b"Status: Downloaded newer image" in rest(other)
    assert len(registry.fetched(digest)) == 1
    host.check_store()


def test_a_source_that_fails_does_not_fail_the_others(host, registry):
    _, (digest,) = offer(registry, "one", "1", [layer("two sources")])
    with ScriptedRegistry() as second:
        offer(second, "two", "1", [layer("two sources")])
        release = registry.hold(digest)
        first = Pulling(host, registry, "one")
        assert registry.held[digest].wait(30)
        other = begin(host, second, "two", until=b'"Downloading"')  # it has joined the first one's fetch
        registry.status[digest] = 403
        registry.cut.add(digest)
        release.set()
        assert "denied" in first.ended()[-1]["error"]
        assert b"Status: Downloaded newer image" in rest(other)
        host.check_store()


def test_the_daemon_ends_amid_a_pull(host, registry):
    _, (digest,) = offer(registry, "ends", "1", [layer("ends")])
    registry.hold(digest)
    client = begin(host, registry, "ends")
    assert registry.held[digest].wait(30)
    host.process.send_signal(signal.SIGTERM)
    host.process.wait(60)
    client.close()
    registry.gate.pop(digest).set()
    host.start()
    host.check_store()
    assert downloaded(host.pull(registry, "ends"))
    host.check_store()
