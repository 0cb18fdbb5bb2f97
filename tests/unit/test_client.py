"""The API client: HTTP framing, version negotiation, hijacked streams, demultiplexing."""

import socket
import threading

import pytest

from corten.client import demux, endpoint, query
from corten.client.client import Client
from corten.client.connection import Connection
from corten.client.demux import Demultiplexer
from corten.client.endpoint import Endpoint
from corten.client.error import ApiError, ConnectFailed, ProtocolError
from corten.errors import InvalidArgument
from tests.support.fakedaemon import FakeDaemon


def answered(reply, cut=None):
    """A response read from ``reply``, sent in pieces of ``cut`` bytes."""
    ours, theirs = socket.socketpair()

    def serve():
        theirs.recv(65536)
        for start in range(0, len(reply), cut or len(reply)):
            theirs.sendall(reply[start : start + (cut or len(reply))])
        theirs.shutdown(socket.SHUT_WR)

    threading.Thread(target=serve, daemon=True).start()
    connection = Connection(ours)
    response = connection.request("GET", "/x", {})
    KEEP.append((connection, theirs))
    return response


KEEP = []
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
)


@pytest.mark.parametrize("cut", [1, 2, 3, 7, None])
def test_bodies_in_every_framing(cut):
    assert answered(CHUNKED, cut).read() == b"hello world"
    assert answered(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", cut).read() == b"hello"
    assert answered(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", cut).read() == b"until the end"
    assert answered(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", cut).read() == b""


@pytest.mark.parametrize("cut", [1, 5, None])
def test_records_and_lines_across_chunks(cut):
    body = b'{"a":1}\n\n{"b":\r\n'.replace(b"\r\n", b"2}\r\n") + b'\x1e{"c":3}'
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    assert list(answered(reply, cut).records()) == [{"a": 1}, {"b": 2}, {"c": 3}]


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 100000,
    ],
)
def test_what_is_no_answer_is_an_error_and_not_a_hang(reply):
    with pytest.raises(ProtocolError):
        answered(reply or b" ", None).read()


@pytest.fixture
def daemon(tmp_path):
    running = FakeDaemon(str(tmp_path / "d.sock"))
    yield running
    running.shutdown()


def client_of(daemon, **kwargs):
    return Client(endpoint.resolve(daemon.url, {}), **kwargs)


def test_an_older_daemon_is_asked_again_with_its_own_version(daemon):
    daemon.version = "1.41"
    client = client_of(daemon)
    client.get("/info")
    client.get("/info")
    assert [call.path for call in daemon.calls] == ["/v1.51/info", "/v1.41/info", "/v1.41/info"]


def test_a_pinned_version_stays(daemon, monkeypatch):
    monkeypatch.setenv("DOCKER_API_VERSION", "1.44")
    client = client_of(daemon)
    client.get("/info")
    assert [call.path for call in daemon.calls] == ["/v1.44/info"]


def test_a_streamed_body_is_sent_once_after_a_ping(daemon):
    daemon.version = "1.44"
    client_of(daemon).upload("POST", "/images/load", {"quiet": True}, iter([b"abc", b"", b"def"])).read()
    assert [(call.method, call.path, call.body) for call in daemon.calls] == [
        ("HEAD", "/_ping", b""),
        ("POST", "/v1.44/images/load?quiet=1", b"abcdef"),
    ]


def test_errors_carry_status_and_the_daemons_words(daemon):
    daemon.answers["DELETE", "/containers/x"] = 409, {"message": "in use"}
    daemon.answers["GET", "/bad"] = 500, b"no json"
    client = client_of(daemon, version="1.50")
    with pytest.raises(ApiError) as caught:
        client.delete("/containers/x")
    assert (caught.value.status, str(caught.value)) == (409, "in use")
    with pytest.raises(ApiError, match="no json"):
        client.get("/bad")


def test_requests_carry_query_and_json(daemon):
    client_of(daemon, version="1.50").post(
        "/x", {"a b": "ü&", "n": 3, "t": True, "f": False, "no": None, "l": ["1", "2"]}, {}
    )
    call = daemon.calls[0]
    assert call.path == "/v1.50/x?a%20b=%C3%BC%26&n=3&t=1&f=0&l=1&l=2"
    assert (call.json(), call.headers["Content-Type"]) == ({}, "application/json")


def test_the_connection_is_used_again_and_renewed_when_the_daemon_closed_it(daemon):
    client = client_of(daemon, version="1.50")
    for _ in range(3):
        client.get("/info")
    connection = client._busy[0]
    connection.sock.shutdown(socket.SHUT_RDWR)
    assert client.get("/info") == {}


def test_no_daemon(tmp_path):
    with pytest.raises(ConnectFailed, match="Is cortend running"):
        Client(endpoint.resolve(f"unix://{tmp_path}/none", {})).get("/info")


@pytest.mark.parametrize(
    ("host", "environ", "shown"),
    [
        (None, {}, ("/run/corten/corten.sock", "", 0)),
        (None, {"DOCKER_HOST": "unix:///d"}, ("/d", "", 0)),
        (None, {"DOCKER_HOST": "unix:///d", "CORTEN_HOST": "unix:///c"}, ("/c", "", 0)),
        ("unix:///h", {"CORTEN_HOST": "unix:///c"}, ("/h", "", 0)),
        ("tcp://1.2.3.4:99", {}, ("", "1.2.3.4", 99)),
        ("tcp://host", {}, ("", "host", 2375)),
        ("tcp://[::1]:5", {}, ("", "::1", 5)),
        ("tcp://host", {"DOCKER_TLS_VERIFY": "1"}, ("", "host", 2376)),
        ("/x.sock", {}, ("/x.sock", "", 0)),
    ],
)
def test_where_the_daemon_is(host, environ, shown):
    found = endpoint.resolve(host, environ)
    assert (found.path, found.host, found.port) == shown


def test_tls_files_come_from_the_environment():
    found = endpoint.resolve("tcp://h:1", {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"})
    assert (found.tls.ca, found.tls.key, found.tls.verify) == ("/certs/ca.pem", "/certs/key.pem", True)


@pytest.mark.parametrize("host", ["foo://x", "unix://", "tcp://h:x", "tcp://h:70000"])
def test_what_is_no_address(host):
    with pytest.raises(InvalidArgument):
        endpoint.resolve(host, {})


def test_hijack_gives_what_came_with_the_head_and_both_directions(tmp_path):
    path = str(tmp_path / "s")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()

    def serve():
        peer, _ = server.accept()
        peer.recv(65536)
        peer.sendall(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nfirst")
        data = b""
        while part := peer.recv(10):
            data += part
        peer.sendall(data.upper())
        peer.close()

    threading.Thread(target=serve, daemon=True).start()
    stream = Client(Endpoint("unix://" + path, path=path), version="1.50").hijack(
        "/containers/x/attach", {"stream": True}
    )
    assert stream.read() == b"first"
    stream.write(b"input")
    stream.close_write()
    assert b"".join(stream) == b"INPUT"


FRAMES = b"\1\0\0\0\0\0\0\3abc\2\0\0\0\0\0\0\2de\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\1f"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 100])
def test_frames_however_they_are_cut(size):
    frames = Demultiplexer()
    seen = {1: b"", 2: b""}
    for start in range(0, len(FRAMES), size):
        for stream, data in frames.feed(FRAMES[start : start + size]):
            seen[stream] += data
    assert seen == {1: b"abcf", 2: b"de"}


def test_what_is_no_frame_and_what_the_daemon_reports():
    with pytest.raises(ProtocolError):
        Demultiplexer().feed(b"plain text, no frames")
    with pytest.raises(ApiError, match="broken"):
        demux.copy([b"\3\0\0\0\0\0\0\6broken"], None, None)


def test_quote():
    assert query.quote("a/b c:ü\x00") == "a%2Fb%20c%3A%C3%BC%00"
    assert query.quote("a/b", "/") == "a/b"
