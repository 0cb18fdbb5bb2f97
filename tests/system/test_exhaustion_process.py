"""What a process may have: descriptors, processes, address space, memory. A daemon that is out of one says so, leaves
nothing half made, goes on with what runs, and needs no restart once there is more."""

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.support.busybox import IMAGE
from tests.support.daemon import Daemon
from tests.support.host import Holdings
from tests.support.http import Api, Response, UnixConnection
from tests.support.stock import eventually
from tests.system.test_soak import cycle, descriptors

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a daemon needs root")

MORE = 12
"""A start, an exec and a removal take fewer descriptors at a time than this."""


@pytest.fixture
def warm(daemon: Daemon, image: str) -> Iterator[Daemon]:
    """The daemon with its threads and caches, and nothing left of a test that went wrong."""
    for number in range(4):
        cycle(daemon.api, number)
    daemon.api("DELETE", "/volumes/soak")
    before = daemon.holdings()
    files = descriptors(daemon.pid)
    yield daemon
    if daemon.answers():
        daemon.remove_containers()
    daemon.api("DELETE", "/volumes/tried")
    eventually(lambda: not left(daemon, before), what="the host's state of before")
    eventually(lambda: descriptors(daemon.pid) <= files + 2, what="the open files of before")


def left(daemon: Daemon, before: Holdings) -> list[object]:
    """What there is more than *before*; a daemon that was started again has another number."""
    more = daemon.holdings() - before
    processes = [line for line in more.pop("processes", []) if not line.startswith(f"{daemon.pid} ")]
    return [*more.values(), *processes]


def life(api: Api, name: str) -> list[tuple[str, int, str]]:
    """Create, start, exec and remove a container with a port and a volume; gives (step, status, message) of each."""
    host = {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}, "Binds": ["tried:/data"]}
    body = {"Image": IMAGE, "Cmd": ["sleep", "600"], "HostConfig": host}
    path = f"/containers/{name}"
    steps = []

    def take(step: str, *request: object, **more: object) -> dict:
        answer = api(*request, **more)
        failed = answer.status >= 300
        steps.append((step, answer.status, answer.message if failed else ""))
        return answer.json() if answer.body and not failed else {}

    take("create", "POST", "/containers/create", body, query={"name": name})
    take("start", "POST", f"{path}/start")
    if execution := take("exec", "POST", f"{path}/exec", {"Cmd": ["true"]}):
        take("run", "POST", f"/exec/{execution['Id']}/start", {"Detach": True})
    take("remove", "DELETE", path, query={"force": 1})
    return steps


class Held(Api):
    """All requests on one connection, which is there before anything lacks."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon.socket)
        self.connection = UnixConnection(daemon.socket, 60)
        assert self("GET", "/_ping").status == 200

    def __call__(self, method, path, body=None, query=None, headers=None) -> Response:
        answer = self.send(self.connection, method, path, body, query, headers)
        return Response(answer.status, answer.headers, answer.read())


def works(api: Api, name: str) -> bool:
    return all(status < 300 for _, status, _ in life(api, name))


def check(steps: list[tuple[str, int, str]], words: tuple[str, ...]) -> None:
    """Only this lack may be what failed; what follows from it is a conflict, or that there is no container; removing
    always goes."""
    made = steps[0][1] == 201
    for step, status, message in steps:
        if not made and status == 404:
            continue
        if status >= 300 and "is not running" not in message:
            assert status == 500, (step, status, message)
            assert any(word in message.lower() for word in words), (step, message)
    assert steps[-1][:2] == ("remove", 204 if made else 404), steps


# descriptors


@contextmanager
def allowed(pid: int, kind: int, bound: int) -> Iterator[None]:
    before = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (bound, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, kind, before)


def test_any_number_of_descriptors_too_few(warm: Daemon) -> None:
    failures, held = 0, Held(warm)
    for more in range(MORE):
        with allowed(warm.pid, resource.RLIMIT_NOFILE, descriptors(warm.pid) + more):
            steps = life(held, f"with{more}")
        check(steps, ("too many open files",))
        failures += any(status == 500 for _, status, _ in steps)
        eventually(lambda: not warm.holdings().ports, what="no device of the container that failed")
    held.connection.close()
    assert failures, "there was no lack"
    assert works(warm.api, "after")


def test_too_many_clients(warm: Daemon) -> None:
    """Those who are connected go on, the others wait until one leaves; nothing spins meanwhile."""
    with ExitStack() as opened:
        served = opened.enter_context(connected(warm))
        assert asks(served)
        held = Held(warm)
        opened.callback(held.connection.close)
        with allowed(warm.pid, resource.RLIMIT_NOFILE, descriptors(warm.pid) + 100):
            crowd = ExitStack()
            opened.enter_context(crowd)
            for _ in range(160):
                crowd.enter_context(connected(warm))
            spent = processor_time(warm.pid)
            for _ in range(20):
                assert asks(served)
            assert works(held, "among"), "the reserve is for those who are connected"
            late = opened.enter_context(connected(warm))
            late.settimeout(1.5)
            with pytest.raises(TimeoutError):
                asks(late)
            assert processor_time(warm.pid) - spent < 1.0, "the daemon spins"
            crowd.close()
            late.settimeout(30)
            assert b"200 OK" in late.recv(4096)
    assert works(warm.api, "after")


@contextmanager
def connected(daemon: Daemon) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(30)
        sock.connect(daemon.socket)
        yield sock


def asks(sock: socket.socket) -> bool:
    sock.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
    return b"200 OK" in sock.recv(4096)


def processor_time(pid: int) -> float:
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# processes and threads


@pytest.fixture
def pids(warm: Daemon) -> Iterator[str]:
    """The file that bounds the processes and threads of the daemon and of what it starts on the host."""
    root = "/sys/fs/cgroup/pids"
    if not os.path.isdir(root):
        pytest.skip("the bound is set through cgroup v1's pids controller")
    path = f"{root}/{os.path.basename(warm.base)}-daemon"
    os.mkdir(path)
    write(f"{path}/cgroup.procs", warm.pid)
    yield f"{path}/pids.max"
    write(f"{root}/cgroup.procs", warm.pid)
    eventually(lambda: emptied(path), what="no process of the daemon's own")


def emptied(path: str) -> bool:
    try:
        os.rmdir(path)
    except OSError:
        return False
    return True


def write(path: str, text: object) -> None:
    with open(path, "w") as file:
        file.write(str(text))


def test_any_number_of_processes_too_few(warm: Daemon, pids: str) -> None:
    failures = 0
    for more in range(6):
        with open(pids.replace("pids.max", "pids.current")) as file:
            write(pids, int(file.read()) + more)
        try:
            steps = life(warm.api, f"with{more}")
        finally:
            write(pids, "max")
        words = ("resource temporarily unavailable", "conmon ended with code", "fail startup", "can't start new thread")
        check(steps, words)
        failures += any(status == 500 for _, status, _ in steps)
    assert failures, "there was no lack"
    assert works(warm.api, "after")


def test_many_requests_without_a_further_thread(warm: Daemon, pids: str) -> None:
    """Pools make do with the threads that they have: all requests are done, none is done twice or after its error."""
    with open(pids.replace("pids.max", "pids.current")) as file:
        write(pids, file.read())
    try:
        with ExitStack() as opened:
            waiting = []
            for number in range(20):
                sock = opened.enter_context(connected(warm))
                body = b'{"Image": "busybox:latest", "Cmd": ["true"]}'
                head = (
                    f"POST /containers/create?name=many{number} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
                )
                sock.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
                waiting.append(sock)
            for sock in waiting:
                assert b"201 Created" in sock.recv(4096)
    finally:
        write(pids, "max")
    assert len(warm.api("GET", "/containers/json", query={"all": 1}).json()) == 20
    assert works(warm.api, "after")


# memory


def test_no_more_address_space(warm: Daemon) -> None:
    """With no byte more than it has, a request succeeds or says that memory lacks, and it is not the daemon's end."""
    pages = os.sysconf("SC_PAGE_SIZE")
    with open(f"/proc/{warm.pid}/statm") as file:
        size = int(file.read().split()[0]) * pages
    with allowed(warm.pid, resource.RLIMIT_AS, size):
        for number in range(5):
            check(
                life(warm.api, f"with{number}"), ("cannot allocate memory", "out of memory", "can't start new thread")
            )
    assert works(warm.api, "after")


def test_killed_for_its_memory(warm: Daemon, api: Api) -> None:
    """A memory cgroup's bound ends the daemon, and not what it runs; the next one has all of it."""
    root = "/sys/fs/cgroup/memory"
    if not os.path.isdir(root):
        pytest.skip("the bound is set through cgroup v1's memory controller")
    assert (
        api("POST", "/containers/create", {"Image": IMAGE, "Cmd": ["sleep", "600"]}, query={"name": "runs"}).status
        == 201
    )
    assert api("POST", "/containers/runs/start").status == 204
    pid = api("GET", "/containers/runs/json").json()["State"]["Pid"]
    path = f"{root}/{os.path.basename(warm.base)}-daemon"
    os.mkdir(path)
    write(f"{path}/memory.limit_in_bytes", 24 << 20)
    write(f"{path}/cgroup.procs", warm.pid)
    with ExitStack() as opened:
        crowd = []
        while warm.process.poll() is None and len(crowd) < 3000:
            sock = opened.enter_context(connected_or_gone(warm))
            crowd.append(sock)
            if sock is not None:
                body = b'{"Image": "busybox:latest", "Labels": {"x": "' + b"x" * 900_000
                try:
                    sock.setblocking(False)
                    sock.send(b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + body)
                except OSError:
                    continue
    assert warm.process.wait(30) == -9, "it was not killed"
    eventually(lambda: emptied(path), what="an empty cgroup")
    warm.start()
    state = api("GET", "/containers/runs/json").json()["State"]
    assert (state["Running"], state["Pid"]) == (True, pid)
    assert works(api, "after")


@contextmanager
def connected_or_gone(daemon: Daemon) -> Iterator[socket.socket | None]:
    try:
        with connected(daemon) as sock:
            yield sock
    except (ConnectionRefusedError, FileNotFoundError):
        yield None
