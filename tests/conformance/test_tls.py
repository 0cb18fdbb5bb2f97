"""The stock CLI over TCP with TLS client certificates."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import busybox
from tests.support.certificates import make_certificates
from tests.support.daemon import KIND, Daemon
from tests.support.stock import Docker


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """The CLI on a daemon of its own that listens on TCP."""
    if os.geteuid() != 0:
        pytest.skip("a daemon needs root")
    path = make_certificates(tmp_path_factory.mktemp("tls"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    files = ("--tlscacert", f"{path}/ca.pem", "--tlscert", f"{path}/server.pem", "--tlskey", f"{path}/server-key.pem")
    daemon = Daemon(KIND, ["-H", url, "--tlsverify", *files])
    try:
        daemon.start()
        daemon.api("POST", "/images/create?fromSrc=-&repo=busybox&tag=latest", busybox.rootfs_tar())
        cli = Docker(url)
        cli.environment |= {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(certificates_of(path))}
        yield cli
        cli.close()
    finally:
        leaks = daemon.close()
    assert not leaks


def certificates_of(path: Path) -> Path:
    """The directory as the CLI wants it."""
    home = path / "cli"
    home.mkdir()
    for name, source in (("ca.pem", "ca.pem"), ("cert.pem", "client.pem"), ("key.pem", "client-key.pem")):
        (home / name).write_bytes((path / source).read_bytes())
    return home


@pytest.fixture(autouse=True)
def tidy(docker: Docker) -> None:
    """In place of the directory's own fixture: this module has its own daemon."""


def test_run_with_input(docker: Docker) -> None:
    data = b"line\n" * 50_000
    assert docker("run", "--rm", "-i", busybox.IMAGE, "wc", "-c", stdin=data) == str(len(data))
    assert docker("run", "--rm", "-i", busybox.IMAGE, "cat", stdin=data) == data.decode().strip()


def test_logs(docker: Docker) -> None:
    docker("run", "--name", "box", busybox.IMAGE, "seq", "20000")
    assert len(docker("logs", "box").splitlines()) == 20000
    docker("rm", "box")
