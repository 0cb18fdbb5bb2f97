"""Upgrade and downgrade under running containers: another version of the daemon takes over, and nobody outside notices.

`make soak` lets each version serve for CORTEN_SOAK_UPGRADE_SECONDS.
"""

import os
import secrets
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

import corten
from tests.support.busybox import IMAGE
from tests.support.daemon import REPOSITORY, Daemon
from tests.support.http import Api, joined
from tests.support.stock import Docker, eventually

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="a daemon needs root"), pytest.mark.soak]

SECONDS = float(os.environ.get("CORTEN_SOAK_UPGRADE_SECONDS", "1"))
NEWER = "9.0.0"
ENDS = {"stopped": Daemon.stop, "killed": Daemon.kill}
PAGE = b"still here\n"


def package(directory: Path, changes: dict[str, tuple[str, str]]) -> str:
    """A copy of the package with texts replaced, file by file; gives the directory for PYTHONPATH."""
    shutil.copytree(f"{REPOSITORY}/corten", directory / "corten", ignore=shutil.ignore_patterns("__pycache__"))
    for name, (old, new) in changes.items():
        path = directory / "corten" / name
        text = path.read_text()
        assert old in text, (name, old)
        path.write_text(text.replace(old, new, 1))
    return str(directory)


VERSION = {"__init__.py": (f'"{corten.__version__}"', f'"{NEWER}"')}
SCRIPT = "(id TEXT PRIMARY KEY, data BLOB NOT NULL)"


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A later version: a table more, and a field more in every container's record."""
    table = f'{SCRIPT}", "CREATE TABLE container_notes (id TEXT PRIMARY KEY, note TEXT)'
    field = ("    name: str\n    created: int\n", '    name: str\n    created: int\n    note: str = ""\n')
    made = ("created=time.time_ns(),", 'created=time.time_ns(), note="kept",')
    changes = {**VERSION, "engine/shelf.py": (f"{SCRIPT}", table), "model/record.py": field, "engine/draft.py": made}
    return package(tmp_path_factory.mktemp("newer"), changes)


@pytest.fixture(scope="module")
def breaking(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A later version that changes a table which older ones write."""
    script = f'{SCRIPT}", schema.Breaking("CREATE TABLE container_parts (id TEXT PRIMARY KEY)"), "CREATE TABLE x (y)'
    directory = package(tmp_path_factory.mktemp("breaking"), {**VERSION, "engine/shelf.py": (SCRIPT, script)})
    shelf = Path(directory, "corten/engine/shelf.py")
    shelf.write_text(
        shelf.read_text().replace("from corten.store import quarantine", "from corten.store import quarantine, schema")
    )
    return directory


@pytest.fixture
def versions(daemon: Daemon, clean: Daemon) -> Iterator[Callable[[str, str], None]]:
    """Ends the daemon, in one way or the other, and starts that of another directory."""

    def take_over(way: str, directory: str) -> None:
        ENDS[way](daemon)
        time.sleep(SECONDS / 4)  # nobody is there
        daemon.package = directory
        daemon.start()

    yield take_over
    daemon.package = REPOSITORY
    if daemon.process is not None and daemon.process.poll() is None:
        daemon.stop()
    daemon.start()


class Visitors:
    """Clients of a published port, on each of the host's addresses, who ask without a pause."""

    def __init__(self, addresses: list[str], port: int) -> None:
        self.answers = dict.fromkeys(addresses, 0)
        self.failures: list[str] = []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(address, port)) for address in addresses]
        for thread in self._threads:
            thread.start()

    def _visit(self, address: str, port: int) -> None:
        while not self._end.is_set():
            try:
                with urllib.request.urlopen(f"http://{address}:{port}/", timeout=20) as answer:
                    assert answer.read() == PAGE
            except (OSError, AssertionError) as error:
                self.failures.append(f"{address}: {error!r}")
            self.answers[address] += 1
            self._end.wait(0.005)

    def leave(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()


def host_address() -> list[str]:
    """The address that others reach this host by; none where it has no route."""
    found = subprocess.run(
        ["ip", "-4", "route", "get", "192.0.2.1"], capture_output=True, text=True, check=False
    ).stdout
    words = found.split()
    return [words[words.index("src") + 1]] if "src" in words else []


def state(api: Api, name: str) -> dict:
    return api("GET", f"/containers/{name}/json").json()["State"]


def test_nobody_outside_notices(daemon: Daemon, docker: Docker, api: Api, image: str, newer: str, versions) -> None:
    serve = f"echo '{PAGE.decode().strip()}' > /tmp/index.html; exec httpd -f -p 80 -h /tmp"
    port = 20000 + secrets.randbelow(10000)  # of no range from which another daemon on this host picks its ports
    docker("run", "-d", "--name", "web", "-p", f"{port}:80", IMAGE, "sh", "-c", serve)
    health = ("--health-cmd", "true", "--health-interval", "200ms")
    count = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done"
    docker("run", "-d", "--name", "counts", *health, IMAGE, "sh", "-c", count)
    docker("run", "-d", "--name", "again", "--restart", "always", IMAGE, "sleep", "600")
    docker("run", "-di", "--name", "cat", IMAGE, "cat")
    addresses = ["127.0.0.1", *host_address()]
    eventually(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read() == PAGE)
    pids = {name: state(api, name)["Pid"] for name in ("web", "counts", "again", "cat")}
    new, old = (newer, NEWER), (REPOSITORY, corten.__version__)
    rounds = [("stopped", *new), ("killed", *old)]
    if SECONDS > 1:
        rounds += [("killed", *new), ("stopped", *old)]
    visitors = Visitors(addresses, port)
    try:
        for way, directory, version in rounds:
            before = dict(visitors.answers)
            versions(way, directory)
            assert api("GET", "/version").json()["Version"] == version
            check_life(docker, api, pids)
            docker("run", "--rm", "-p", "80", IMAGE, "true")
            assert docker("port", "web", "80/tcp").splitlines()[0].endswith(f":{port}")
            time.sleep(SECONDS)
            assert all(visitors.answers[address] > before[address] for address in addresses)
    finally:
        visitors.leave()
    assert not visitors.failures, visitors.failures[:5]
    assert not daemon.process.poll()
    docker("stop", "-t", "0", "counts")
    assert docker("wait", "counts") == "137"


def check_life(docker: Docker, api: Api, pids: dict[str, int]) -> None:
    """What ran is the same and everything that a daemon does for it goes on."""
    assert {name: state(api, name)["Pid"] for name in pids} == pids
    assert docker("exec", "web", "echo", "hi") == "hi"
    last = state(api, "counts")["Health"]["Log"]
    eventually(lambda: state(api, "counts")["Health"]["Log"][-1:] not in ([], last[-1:]), what="a probe")
    lines = [int(text) for text in docker("logs", "counts").split()]
    assert lines == list(range(1, len(lines) + 1))
    eventually(lambda: len(docker("logs", "counts").split()) > len(lines), what="more of the log")
    sock, status, data = api.hijack("/containers/cat/attach?stream=1&stdin=1&stdout=1")
    with sock:
        assert status == 101
        sock.sendall(b"over\n")
        while b"over\n" not in data:
            data += sock.recv(4096)
    assert joined(data) == b"over\n"
    waiting = docker.spawn("wait", "again")
    waiting.terminate()
    waiting.communicate(timeout=15)
    os.kill(pids["again"], signal.SIGKILL)
    eventually(lambda: state(api, "again")["Pid"] not in (0, pids["again"]), what="a restart by the policy")
    pids["again"] = state(api, "again")["Pid"]


def records(daemon: Daemon) -> dict[str, dict]:
    with sqlite3.connect(f"file:{daemon.data_root}/state.db?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT data FROM containers").fetchall()
    return {each["name"]: each for each in (msgspec.msgpack.decode(data) for (data,) in rows)}


def test_what_a_newer_daemon_wrote_is_kept(daemon: Daemon, docker: Docker, image: str, newer: str, versions) -> None:
    versions("stopped", newer)
    docker("create", "--name", "made", IMAGE, "echo", "started")
    versions("killed", REPOSITORY)
    docker("rename", "made", "renamed")
    assert docker("start", "-a", "renamed") == "started"
    daemon.stop()
    assert records(daemon)["renamed"]["note"] == "kept"
    daemon.start()
    docker("rm", "renamed")


def test_an_older_daemon_refuses_what_it_cannot_use(
    daemon: Daemon, docker: Docker, api: Api, image: str, breaking: str, versions
) -> None:
    """It says which version to start, changes nothing, and what runs goes on; the newer one has it all again."""
    docker("run", "-d", "--name", "runs", IMAGE, "sleep", "600")
    pid = state(api, "runs")["Pid"]
    versions("stopped", breaking)
    daemon.stop()
    daemon.package = REPOSITORY
    with pytest.raises(
        RuntimeError, match=rf"was changed by Corten {NEWER}, and Corten {corten.__version__} cannot use"
    ):
        daemon.start()
    assert "start that version again; the containers run on meanwhile" in daemon.log_tail(2)
    assert os.path.exists(f"/proc/{pid}")
    daemon.package = breaking
    daemon.start()
    assert (state(api, "runs")["Pid"], docker("exec", "runs", "echo", "hi")) == (pid, "hi")
    daemon.remove_containers()
    daemon.stop()
    with sqlite3.connect(f"{daemon.data_root}/state.db") as connection:  # what no daemon does: for the next tests
        connection.execute("DELETE FROM schema_floor")
    connection.close()
    daemon.start()
