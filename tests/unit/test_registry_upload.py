"""Uploads that break off: gone on with at the byte that the registry tells, else from the start."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from corten import errors
from corten.distribution.client import RegistryClient
from corten.distribution.config import RegistryConfig
from corten.distribution.credential import ANONYMOUS
from corten.distribution.proxy import Proxies
from corten.oci.manifest import Descriptor
from corten.oci.reference import Reference

DATA = hashlib.shake_128(b"data").digest(300_000)
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()
BLOB = Descriptor(media_type="x", digest=DIGEST, size=len(DATA))


class Uploading(ThreadingHTTPServer):
    """One upload at a time. ``breaks``: after how many bytes each PUT or PATCH in turn breaks off; ``tells``: whether
    the registry knows what arrived; ``status``: the answer to a PUT that is complete."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.breaks: list[int] = []
        self.tells = True
        self.status = 201
        self.arrived = b""
        self.asked: list[tuple[str, str, str]] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def steps(self) -> list[str]:
        return [" ".join(filter(None, (method, offset))) for method, _, offset in self.asked if method != "PING"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Uploading

    def log_message(self, *_: object) -> None:
        return

    def reply(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def take(self) -> bool:
        """Read the body; whether all of it came."""
        size = int(self.headers.get("Content-Length") or 0)
        limit = self.server.breaks.pop(0) if size and self.server.breaks else size
        self.server.arrived += self.rfile.read(min(size, limit))
        if limit >= size:
            return True
        self.close_connection = True
        return False

    def handle_any(self) -> None:
        method = "PING" if self.path == "/v2/" else self.command
        self.server.asked.append((method, self.path, self.headers.get("Content-Range", "")))
        here = {"Location": f"/upload?at={len(self.server.arrived)}"}
        if method in ("PING", "HEAD"):
            self.reply(200)
        elif method == "POST":
            self.server.arrived = b""
            self.reply(202, **here)
        elif method == "GET":
            known = {"Range": f"0-{len(self.server.arrived) - 1}", **here} if self.server.tells else {}
            self.reply(204 if self.server.tells else 404, **known)
        elif method == "DELETE":
            self.reply(204)
        elif self.take():
            self.reply(202 if method == "PATCH" else self.server.status, **here)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815


@pytest.fixture
def registry():
    server = Uploading()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def push(registry):
    client = RegistryClient(RegistryConfig(backoff=0.01, attempts=4, proxies=Proxies()))
    reference = Reference.parse(f"127.0.0.1:{registry.server_address[1]}/app:1")
    repository = client.repository(reference, ANONYMOUS, push=True)
    told: list[int] = []

    def run(data: bytes = DATA) -> list[int]:
        repository.upload(BLOB, lambda: iter([data[at : at + 1000] for at in range(0, len(data), 1000)]), told.append)
        return told

    yield run
    client.close()


def test_one_put(registry, push) -> None:
    told = push()
    assert registry.arrived == DATA
    assert registry.steps == ["POST", "PUT"]
    assert registry.asked[-1][1].endswith("&digest=sha256%3A" + DIGEST[7:])
    assert told[-1] == len(DATA)
    assert told == sorted(told)


def test_gone_on_with_at_its_byte(registry, push) -> None:
    registry.breaks = [100_000, 50_500]
    told = push()
    assert registry.arrived == DATA
    assert registry.steps == ["POST", "PUT", "GET", "PATCH 100000-299999", "GET", "PATCH 150500-299999", "PUT"]
    assert told[-1] == len(DATA)


def test_from_the_start_where_the_registry_does_not_tell(registry, push) -> None:
    registry.breaks, registry.tells = [100_000], False
    push()
    assert registry.arrived == DATA
    assert [step for step in registry.steps if step != "GET"] == ["POST", "PUT", "POST", "PUT"]


def test_given_up_after_the_last_attempt(registry, push) -> None:
    registry.breaks, registry.tells = [10] * 20, False
    with pytest.raises(errors.Unavailable):
        push()
    assert registry.steps.count("PUT") == 4


def test_a_refusal_is_final(registry, push) -> None:
    registry.status = 400
    with pytest.raises(errors.InvalidArgument):
        push()
    assert registry.steps == ["POST", "PUT"]


def test_fewer_bytes_than_the_descriptor_says(registry, push) -> None:
    with pytest.raises((errors.DataLoss, errors.Unavailable)):
        push(DATA[:-1])
    assert registry.steps.count("POST") == 1
