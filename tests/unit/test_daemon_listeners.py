"""Sockets, pid file, socket activation."""

import os
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import threading

import pytest

from corten import errors
from corten.daemon.config import Config
from corten.daemon.listeners import Listeners
from corten.daemon.pidfile import PidFile
from corten.daemon.systemd import notify


def config(*hosts, **more):
    return Config(hosts=hosts, group=str(os.getegid()), **more)


def test_unix_socket_is_for_its_group_and_goes_away(tmp_path):
    path = tmp_path / "d" / "s.sock"
    opened = Listeners.open(config(f"unix://{path}"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    with pytest.raises(errors.Conflict, match="another process is listening"):
        Listeners.open(config(f"unix://{path}"))
    opened.close()
    opened.close()
    assert not path.exists()


def test_stale_socket_is_replaced_and_other_files_are_not(tmp_path):
    path = tmp_path / "s.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    Listeners.open(config(f"unix://{path}")).close()
    path.write_text("mine")
    with pytest.raises(errors.Conflict, match="no socket"):
        Listeners.open(config(f"unix://{path}"))
    assert path.read_text() == "mine"


def test_failure_closes_what_was_opened(tmp_path):
    path = tmp_path / "s.sock"
    with pytest.raises(errors.InvalidArgument, match="without client certificates"):
        Listeners.open(config(f"unix://{path}", "tcp://127.0.0.1:0"))
    assert not path.exists()


def test_unknown_group(tmp_path):
    with pytest.raises(errors.InvalidArgument, match="group no-such-group not found"):
        Listeners.open(Config(hosts=(f"unix://{tmp_path}/s",), group="no-such-group"))


def test_plain_tcp_only_on_demand():
    opened = Listeners.open(config("tcp://127.0.0.1:0", insecure_tcp=True))
    assert opened.listeners[0].tls is None
    opened.close()
    with pytest.raises(errors.InvalidArgument, match="invalid TLS configuration"):
        Listeners.open(config("tcp://127.0.0.1:0", tlsverify=True, tlscert="/none"))


def test_descriptors_are_not_inherited(tmp_path):
    opened = Listeners.open(config(f"unix://{tmp_path}/s"))
    assert not opened.listeners[0].socket.get_inheritable()
    opened.close()


ACTIVATED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="api")
from corten.daemon.config import Config
from corten.daemon.listeners import Listeners
opened = Listeners.open(Config(hosts=("fd://api",)))
connection, _ = opened.listeners[0].socket.accept()
connection.sendall(b"hello " + os.environ.get("LISTEN_FDS", "none").encode())
"""


def test_socket_activation(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        client.connect(str(tmp_path / "s"))
        descriptor = listener.fileno()
        subprocess.run([sys.executable, "-c", ACTIVATED, str(descriptor)], pass_fds=[descriptor], check=True)
        assert client.recv(100) == b"hello none"


def test_fd_without_activation():
    with pytest.raises(errors.InvalidArgument, match="no sockets found via socket activation"):
        Listeners.open(config("fd://"))


def test_notify(tmp_path, monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert notify("READY=1") is False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "n"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        assert notify("READY=1") is True
        assert receiver.recv(100) == b"READY=1"


def test_pid_file(tmp_path):
    path = tmp_path / "run" / "d.pid"
    path.parent.mkdir()
    path.write_text("1\n")  # left by a killed daemon; that pid 1 lives says nothing
    first = PidFile(str(path))
    first.acquire()
    assert path.read_text() == f"{os.getpid()}\n"
    with pytest.raises(errors.Conflict, match=f"process with PID {os.getpid()} is still running"):
        PidFile(str(path)).acquire()
    first.release()
    first.release()
    assert not path.exists()


@pytest.fixture
def certificates(tmp_path):
    """A CA, a server's and a client's certificate, made by openssl; their directory."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=tmp_path, check=True, capture_output=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *new_key, "-days", "2", "-subj", "/CN=ca", "-keyout", "ca-key.pem", "-out", "ca.pem")
    for name in ("server", "client"):
        openssl("req", *new_key, "-subj", f"/CN={name}", "-keyout", f"{name}-key.pem", "-out", f"{name}.csr")
        (tmp_path / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial",
            "-days", "2", "-extfile", "ext", "-out", f"{name}.pem",
        )  # fmt: skip
    return tmp_path


def test_tcp_demands_a_client_certificate(certificates):
    files = {"tlscacert": "ca.pem", "tlscert": "server.pem", "tlskey": "server-key.pem"}
    opened = Listeners.open(
        config("tcp://127.0.0.1:0", tlsverify=True, **{key: str(certificates / name) for key, name in files.items()})
    )
    listener = opened.listeners[0]

    def answer():
        connection, _ = listener.socket.accept()
        try:
            with listener.tls.wrap_socket(connection, server_side=True) as secured:
                secured.sendall(b"welcome")
        except OSError:
            connection.close()

    def ask(context):
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            with (
                socket.create_connection(listener.socket.getsockname()) as plain,
                context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
            ):
                return secured.recv(100)
        except OSError:
            return b"refused"
        finally:
            thread.join(10)

    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    assert ask(context) == b"refused"
    context.load_cert_chain(certificates / "client.pem", certificates / "client-key.pem")
    assert ask(context) == b"welcome"
    opened.close()
