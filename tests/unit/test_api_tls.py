"""The API over TLS: half-closed streams, refused clients, much data."""

import socket
import ssl

import pytest

from tests.support.apiserver import ID, ApiServer, frames, parse, record
from tests.support.certificates import make_certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("tls"))


class Client:
    """A TLS client that can close its sending side alone, which the ssl module's sockets cannot."""

    def __init__(self, address, context):
        self.socket = socket.create_connection(address, timeout=10)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self.incoming, self.outgoing, server_hostname="127.0.0.1")
        self.repeat(self.object.do_handshake)

    def repeat(self, work, *arguments):
        while True:
            try:
                result = work(*arguments)
            except ssl.SSLWantReadError:
                self.flush()
                data = self.socket.recv(65536)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()
            else:
                self.flush()
                return result

    def flush(self):
        if data := self.outgoing.read():
            self.socket.sendall(data)

    def send(self, data):
        self.object.write(data)
        self.flush()

    def half_close(self):
        with pytest.raises(ssl.SSLWantReadError):
            self.object.unwrap()
        self.flush()

    def read_all(self):
        data = b""
        try:
            while chunk := self.repeat(self.object.read, 65536):
                data += chunk
        except ssl.SSLZeroReturnError:
            pass
        return data


@pytest.fixture
def served(certificates):
    api = ApiServer()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates / "ca.pem"))
    context.load_cert_chain(certificates / "server.pem", certificates / "server-key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    sock = socket.create_server(("127.0.0.1", 0))
    address = sock.getsockname()
    api.run(api.server.serve(sock, context))
    client = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    yield api, address, client
    api.close()


@pytest.fixture
def connect(served, certificates):
    _, address, context = served
    context.load_cert_chain(certificates / "client.pem", certificates / "client-key.pem")
    opened = []

    def make():
        opened.append(Client(address, context))
        return opened[-1]

    yield make
    for client in opened:
        client.socket.close()


def test_request(connect):
    client = connect()
    client.send(b"GET /_ping HTTP/1.1\r\nHost: d\r\nOrigin: https://x\r\nConnection: close\r\n\r\n")
    assert parse(client.read_all())[::2] == (200, b"OK")


def test_stdin_ends_before_the_output(served, connect):
    api = served[0]
    api.backend.containers.add(record())
    client = connect()
    client.send(
        f"POST /v1.47/containers/{ID}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\n"
        "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\nabc".encode()
    )
    client.half_close()
    found = frames(client.read_all().partition(b"\r\n\r\n")[2])
    assert b"".join(data for stream, data in found if stream == 1) == b"hello\nABC"
    assert found[-1] == (2, b"eof")


def test_much_data_both_ways(served, connect):
    api = served[0]
    api.backend.containers.add(record())
    size = 4 << 20

    async def much(ref, peer, **options):
        received = 0
        while data := await peer.read():
            received += len(data)
        for _ in range(size >> 16):
            peer.write(1, b"x" * (1 << 16))
            await peer.drain()
        peer.write(2, str(received).encode())

    api.backend.attachments.attach = much
    client = connect()
    client.send(f"POST /containers/{ID}/attach?stdin=1 HTTP/1.1\r\nHost: d\r\n\r\n".encode())
    for _ in range(size >> 16):
        client.send(b"y" * (1 << 16))
    client.half_close()
    found = frames(client.read_all().partition(b"\r\n\r\n")[2])
    assert sum(len(data) for stream, data in found if stream == 1) == size
    assert found[-1] == (2, str(size).encode())


def test_without_a_certificate(served):
    api, address, context = served
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        client = Client(address, context)
        client.send(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        assert not client.read_all()
        raise ConnectionResetError
    assert not api.server.connections


def test_plain_http_on_the_port(served):
    _, address, _ = served
    with socket.create_connection(address, timeout=10) as client:
        client.sendall(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        data = b""
        try:
            while chunk := client.recv(4096):
                data += chunk
        except ConnectionResetError:
            pass
        assert b"200 OK" not in data


@pytest.mark.parametrize("header", ["Origin: http://evil", "User-Agent: Mozilla/5.0 (X11)", "Sec-Fetch-Site: none"])
def test_browsers_are_refused_without_tls(header):
    api = ApiServer()
    sock = socket.create_server(("127.0.0.1", 0))
    address = sock.getsockname()
    api.run(api.server.serve(sock))
    with socket.create_connection(address, timeout=10) as client:
        client.sendall(f"GET /_ping HTTP/1.1\r\nHost: d\r\n{header}\r\n\r\n".encode())
        data = b""
        while chunk := client.recv(4096):
            data += chunk
    api.close()
    assert parse(data)[0] == 400
