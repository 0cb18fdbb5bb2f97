"""Shipping lines: nothing is left out when the other side fails or the daemon starts anew."""

import shutil
import socket
import ssl
import subprocess
import threading

import pytest

from corten.runtime.logdrivers.syslog import SyslogSender
from corten.runtime.logdrivers.tag import Source
from corten.runtime.logship import MAX_LINE, LineJoiner, Shipper
from corten.wire import logline
from corten.wire.logline import LogLine

SOURCE = Source(id="0123456789abcdef" * 4, name="web")


def record(number, text, stream=1, full=True):
    return logline.render(LogLine(1_700_000_000_000_000_000 + number, stream, full, text))


class Remote:
    """Plan and sender in one; fails while ``down``."""

    def __init__(self):
        self.down = False
        self.received = []
        self.connections = 0

    def connect(self, source):
        if self.down:
            raise ConnectionRefusedError("down")
        self.connections += 1
        return self

    def send(self, lines):
        if self.down:
            raise BrokenPipeError("gone")
        self.received += [line.text for line in lines]

    def close(self):
        pass


def run(shipper):
    while shipper.step():
        pass


def test_failures_and_restarts_lose_nothing(tmp_path):
    path = tmp_path / "l"
    remote = Remote()
    path.write_bytes(record(1, b"a"))
    shipper = Shipper(str(path), remote, SOURCE)
    run(shipper)
    remote.down = True
    with path.open("ab") as file:
        file.write(record(2, b"b"))
    with pytest.raises(BrokenPipeError):
        run(shipper)
    with pytest.raises(ConnectionRefusedError):
        run(shipper)
    shipper.close()  # the daemon stops without having sent b
    with path.open("ab") as file:
        file.write(record(3, b"c1", full=False))
    remote.down = False
    shipper = Shipper(str(path), remote, SOURCE)
    run(shipper)
    assert remote.received == [b"a", b"b"]
    shipper.close()  # c is unfinished, so it is not past the saved place
    with path.open("ab") as file:
        file.write(record(4, b"c2") + record(5, b"d", full=False))
    shipper = Shipper(str(path), remote, SOURCE)
    run(shipper)
    shipper.finish()
    assert remote.received[-2:] == [b"c1c2", b"d"]
    assert remote.received.count(b"a") == 1
    shipper.close()


def test_damaged_position_ships_from_the_beginning(tmp_path):
    path = tmp_path / "l"
    path.write_bytes(record(1, b"a"))
    (tmp_path / "l.position").write_bytes(b"\0\0\0")
    remote = Remote()
    shipper = Shipper(str(path), remote, SOURCE)
    run(shipper)
    shipper.close()
    assert remote.received == [b"a"]


def test_position_of_a_removed_container_is_no_error(tmp_path):
    directory = tmp_path / "c"
    directory.mkdir()
    (directory / "l").write_bytes(record(1, b"a"))
    remote = Remote()
    shipper = Shipper(str(directory / "l"), remote, SOURCE)
    shutil.rmtree(directory)
    run(shipper)
    shipper.close()
    assert remote.received == [b"a"]


def test_joiner_cuts_long_lines():
    joiner = LineJoiner()
    pieces = [record(n, b"x" * 8192, full=False)[:-1] for n in range(3)]
    lines = joiner.lines([*pieces, record(4, b"e", 2)[:-1]])
    assert [(line.stream, len(line.text), line.full) for line in lines] == [(1, MAX_LINE, False), (2, 1, True)]
    assert [len(line.text) for line in joiner.rest()] == [8192]


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_syslog_over_tls_counts_octets(tmp_path):
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    words += ["-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    received = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        options = {
            "syslog-address": f"tcp+tls://127.0.0.1:{server.getsockname()[1]}",
            "syslog-format": "rfc5424",
            "syslog-tls-ca-cert": certificate,
        }

        def serve(count):
            for _ in range(count):
                connection, _ = server.accept()
                try:
                    with context.wrap_socket(connection, server_side=True) as secured:
                        received.append(secured.recv(9999))
                except OSError:
                    connection.close()

        thread = threading.Thread(target=serve, args=(2,))
        thread.start()
        sender = SyslogSender.connect(options, SOURCE)
        sender.send([LogLine(0, 1, True, b"hello")])
        sender.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            SyslogSender.connect({**options, "syslog-tls-ca-cert": ""}, SOURCE)
        thread.join(10)
    size, _, message = received[0].partition(b" ")
    assert int(size) == len(message)
    assert message.endswith(b" - hello")
