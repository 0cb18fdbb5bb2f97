"""The client over TLS: the handshake is checked, and one direction can end before the other."""

import shutil
import socket
import ssl
import threading

import pytest

from corten.client.client import Client
from corten.client.endpoint import Endpoint, TlsFiles
from corten.client.error import ConnectFailed
from tests.support.certificates import make_certificates

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("tls"))


def server(certificates, serve):
    """A TLS server for one connection on the loopback address; gives its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server-key.pem")
    context.load_verify_locations(certificates / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))

    def run():
        peer, _ = listener.accept()
        try:
            with context.wrap_socket(peer, server_side=True, suppress_ragged_eofs=False) as secure:
                serve(secure)
        except OSError:
            peer.close()

    threading.Thread(target=run, daemon=True).start()
    return listener.getsockname()[1]


def endpoint(certificates, port, ca="ca.pem"):
    files = TlsFiles(*(str(certificates / name) for name in (ca, "client.pem", "client-key.pem")), True)
    return Endpoint(f"tcp://127.0.0.1:{port}", host="127.0.0.1", port=port, tls=files)


def test_input_ends_and_output_goes_on(certificates):
    def serve(secure):
        secure.recv(65536)
        secure.sendall(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        data = b""
        while len(data) < 500_000:
            data += secure.recv(65536)
        assert secure.recv(10) == b""  # close_notify: the client's end of input
        secure.sendall(data)

    port = server(certificates, serve)
    stream = Client(endpoint(certificates, port), version="1.50").hijack("/exec/x/start")
    stream.write(b"0123456789" * 50_000)
    stream.close_write()
    received = b""
    while len(received) < 500_000 and (part := stream.read()):
        received += part
    assert received == b"0123456789" * 50_000


def test_a_daemon_of_another_ca_is_refused(certificates):
    port = server(certificates, lambda secure: None)
    with pytest.raises(ConnectFailed, match="certificate verify failed"):
        Client(endpoint(certificates, port, ca="client.pem"), version="1.50").get("/info")
