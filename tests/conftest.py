"""Fixtures that every kind of test may use. Where root or a daemon is absent they skip with the reason."""

import os
from collections.abc import Iterator

import pytest

from tests.support import busybox, stock
from tests.support.daemon import KIND, Daemon
from tests.support.http import Api


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A private, running daemon, shared by the tests of one module. At the end nothing of it may be left."""
    if os.geteuid() != 0:
        pytest.skip("a daemon needs root")
    if KIND == "cortend":
        pytest.importorskip("corten.daemon.main", reason="cortend is not there")
    running = Daemon()
    try:
        running.start()
        yield running
    finally:
        leaks = running.close()
    assert not leaks, f"left on the host: {leaks}"


@pytest.fixture
def clean(daemon: Daemon) -> Iterator[Daemon]:
    """The module's daemon; after the test its containers are removed."""
    yield daemon
    if daemon.answers():
        daemon.remove_containers()


@pytest.fixture(scope="module")
def docker(daemon: Daemon) -> Iterator[stock.Docker]:
    """The stock docker CLI on the module's daemon."""
    if stock.MISSING:
        pytest.skip(stock.MISSING)
    cli = stock.Docker(daemon.url)
    yield cli
    cli.close()


@pytest.fixture(scope="module")
def api(daemon: Daemon) -> Api:
    """Plain HTTP to the module's daemon."""
    return daemon.api


@pytest.fixture(scope="module")
def docker_py(daemon: Daemon) -> Iterator["object"]:
    """docker-py's client on the module's daemon, its API version negotiated."""
    library = pytest.importorskip("docker")
    client = library.DockerClient(base_url=daemon.url, version="auto", timeout=60)
    yield client
    client.close()


@pytest.fixture(scope="session")
def rootfs_tar() -> bytes:
    """A busybox root file system as a tar."""
    if busybox.binary() is None:
        pytest.skip("busybox-static is not installed")
    return busybox.rootfs_tar()


@pytest.fixture(scope="module")
def image(daemon: Daemon, api: Api, rootfs_tar: bytes) -> str:
    """The busybox image, imported into the module's daemon; gives its name."""
    query = {"fromSrc": "-", "repo": "busybox", "tag": "latest", "changes": "CMD sh"}
    answer = api("POST", "/images/create", rootfs_tar, query=query)
    assert answer.status == 200, answer.body
    assert b"error" not in answer.body, answer.body
    return busybox.IMAGE


@pytest.fixture(autouse=True)
def since(request: pytest.FixtureRequest) -> None:
    """Skip tests of ``@pytest.mark.since("1.44")`` on a daemon whose API is older."""
    if marker := request.node.get_closest_marker("since"):
        api: Api = request.getfixturevalue("api")
        have = api("GET", "/version").json()["ApiVersion"]
        if tuple(map(int, have.split("."))) < tuple(map(int, marker.args[0].split("."))):
            pytest.skip(f"needs API {marker.args[0]}, this daemon has {have}")
