"""Hostile images and requests through the whole engine: start-up, exec, users, environment, copying."""

import hashlib
import io
import os
import shutil
import tarfile
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support import busybox
from tests.support.busybox import IMAGE
from tests.support.daemon import Daemon
from tests.support.http import Api
from tests.support.stock import Docker

SECRET = "only the host knows this"


@pytest.fixture
def outside(clean: Daemon, image: str) -> Iterator[str]:
    """A folder of the host with a secret in it; nothing of it may change or be seen."""
    folder = f"{clean.base}/outside"
    os.makedirs(f"{folder}/sub")
    for name in ("secret", "sub/file"):
        with open(f"{folder}/{name}", "w") as file:
            file.write(SECRET)
    before = fingerprint(folder)
    yield folder
    after = fingerprint(folder)
    shutil.rmtree(folder)
    assert after == before


def fingerprint(folder: str) -> list[tuple[str, int, int, int, int]]:
    found = []
    for top, folders, files in os.walk(folder):
        for name in [".", *folders, *files]:
            path = os.path.join(top, name)
            stat = os.lstat(path)
            found.append((path, stat.st_mode, stat.st_uid, stat.st_gid, stat.st_size))
    return sorted(found)


def tree(*entries: tuple[str, str]) -> bytes:
    """busybox's root file system with links (name, target) in place of what is there."""
    taken = {name for name, _ in entries}
    buffer = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(busybox.rootfs_tar())) as source,
        tarfile.open(fileobj=buffer, mode="w") as tar,
    ):
        for entry in source:
            if entry.name not in taken:
                tar.addfile(entry, source.extractfile(entry) if entry.isfile() else None)
        for name, target in entries:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
    return buffer.getvalue()


def make(api: Api, name: str, data: bytes) -> None:
    answer = api("POST", "/images/create", data, query={"fromSrc": "-", "repo": name})
    assert answer.status == 200, answer.body
    assert b"error" not in answer.body, answer.body


def climb(path: str) -> str:
    return "../" * 12 + path.lstrip("/")


def test_working_directory_through_a_descriptor(docker: Docker, outside: str) -> None:
    for number in range(3, 24):
        where = f"/proc/self/fd/{number}"
        result = docker.result("run", "--rm", "-w", where, IMAGE, "cat", climb(f"{outside}/secret"))
        assert SECRET not in result.out
        assert result.code != 0


def test_exec_directory_through_a_descriptor(docker: Docker, outside: str) -> None:
    docker("run", "-d", "--name", "box", IMAGE, "sleep", "600")
    for number in range(3, 24):
        result = docker.result("exec", "-w", f"/proc/self/fd/{number}", "box", "cat", climb(f"{outside}/secret"))
        assert SECRET not in result.out
        assert result.code != 0


@pytest.mark.parametrize("options", [(), ("-i",), ("-t",), ("-it",)], ids=" ".join)
def test_no_descriptor_but_the_three(docker: Docker, outside: str, options: tuple[str, ...]) -> None:
    """Neither the daemon's nor conmon's nor the runtime's; the last one is that of the listing itself."""
    listing = ("sh", "-c", "cd /proc/self/fd && echo *")
    with docker.terminal("run", "--rm", *options, IMAGE, *listing) as shown:
        assert shown.expect(b"\n").split() in ([b"0", b"1", b"2"], [b"0", b"1", b"2", b"3"])
    docker("run", "-d", "--name", "box", IMAGE, "sleep", "600")
    with docker.terminal("exec", *options, "box", *listing) as shown:
        assert shown.expect(b"\n").split() in ([b"0", b"1", b"2"], [b"0", b"1", b"2", b"3"])
    assert docker("exec", "box", "ls", "/proc/1/fd").split() == ["0", "1", "2"]


def test_working_directory_that_is_a_link(api: Api, docker: Docker, outside: str) -> None:
    make(api, "linked", tree(("work", outside)))
    docker.result("run", "--rm", "-w", "/work/new/folder", "linked", "touch", "file")
    assert not os.path.exists(f"{outside}/new")


@pytest.mark.parametrize("terminal", [(), ("-t",)])
@pytest.mark.parametrize(
    "name", ["dev", "dev/console", "dev/null", "dev/pts", "dev/ptmx", "dev/shm", "proc", "sys", "etc"]
)
def test_links_where_the_runtime_mounts(
    api: Api, docker: Docker, outside: str, name: str, terminal: tuple[str, ...]
) -> None:
    for target in (outside, climb(outside)):
        make(api, "hostile", tree((name, target)))
        result = docker.result("run", "--rm", *terminal, "hostile", "true", timeout=30)
        assert result.code in (0, 125, 126, 127, 128)
        assert not os.path.exists(f"{outside}/hosts")


def test_files_that_the_engine_mounts(api: Api, docker: Docker, outside: str) -> None:
    make(api, "hostile", tree(*((f"etc/{name}", f"{outside}/secret") for name in ("hosts", "hostname", "resolv.conf"))))
    docker.result("run", "--rm", "hostile", "sh", "-c", "echo x > /etc/hosts; echo x > /etc/hostname")
    with open(f"{outside}/secret") as file:
        assert file.read() == SECRET


def test_runtime_is_not_overwritten(api: Api, docker: Docker, outside: str) -> None:
    programs = [path for name in ("crun", "runc", "conmon") if (path := shutil.which(name))]
    before = [digest(path) for path in programs]
    docker(
        "run", "-d", "--name", "box", IMAGE, "sh", "-c", "echo '#!/proc/self/exe' > /evil; chmod 755 /evil; sleep 600"
    )
    for _ in range(5):
        docker.result("exec", "box", "/evil")
    writer = "for i in $(seq 300); do for f in /proc/[0-9]*/exe; do : 2>/dev/null >> $f; done; done"
    docker("exec", "-d", "box", "sh", "-c", writer)
    for _ in range(10):
        docker.result("exec", "box", "true")
    assert [digest(path) for path in programs] == before


def digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


@pytest.mark.parametrize("user", ["4294967296", "2147483648", "-1", "99999999999999999999", "0x0", "1000:4294967296"])
def test_numbers_that_are_no_user(docker: Docker, outside: str, user: str) -> None:
    result = docker.result("run", "--rm", "-u", user, IMAGE, "id", "-u")
    assert result.code != 0
    assert result.out.strip() != "0"


def test_user_file_that_is_a_pipe_or_a_link(api: Api, docker: Docker, outside: str) -> None:
    make(api, "hostile", tree(("etc/passwd", f"{outside}/secret"), ("etc/group", "/proc/self/fd/0")))
    result = docker.result("run", "--rm", "-u", "user", "hostile", "id", timeout=20)
    assert result.code != 0
    buffer = io.BytesIO(tree(("etc/group", "passwd"), ("etc/passwd", "pipe")))
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        pipe = tarfile.TarInfo("etc/pipe")
        pipe.type = tarfile.FIFOTYPE
        tar.addfile(pipe)
    make(api, "hostile", buffer.getvalue())
    assert docker.result("run", "--rm", "-u", "user", "hostile", "id", timeout=20).code != 0


def test_environment_of_the_host_does_not_leak(api: Api, docker: Docker, outside: str) -> None:
    known = {
        name: value for name, value in os.environ.items() if len(value) > 8 and name not in ("PATH", "HOME", "HOSTNAME")
    }
    env = ["*", "PATH*", *known]
    created = api("POST", "/containers/create", {"Image": IMAGE, "Cmd": ["env"], "Env": env})
    if created.status == 400:
        return
    identifier = created.json()["Id"]
    docker.result("start", "-a", identifier)
    shown = docker("logs", identifier)
    assert not [name for name, value in known.items() if f"{name}={value}" in shown]


@pytest.mark.parametrize("name", ["../x", "a/b", "x\n", "x\x1b[2J", "a" * 3000 + "/", "%2e%2e"])
def test_names_that_are_paths(api: Api, clean: Daemon, image: str, name: str) -> None:
    assert api("POST", "/containers/create", {"Image": IMAGE}, query={"name": name}).status == 400
    assert api("POST", "/volumes/create", {"Name": name}).status == 400


def test_large_bodies_are_bounded(api: Api, clean: Daemon, image: str) -> None:
    body = b'{"Image": "' + b"x" * (64 << 20) + b'"}'
    try:
        answer = api("POST", "/containers/create", body, headers={"Content-Type": "application/json"})
    except (BrokenPipeError, ConnectionResetError):
        return  # refused while it was still being sent
    assert answer.status in (400, 413)


def test_flood_of_an_exec_without_a_reader(docker: Docker, clean: Daemon, outside: str, api: Api) -> None:
    docker("run", "-d", "--name", "box", IMAGE, "sleep", "600")
    before = resident(clean.pid)
    identifier = api("POST", "/containers/box/exec", {"Cmd": ["yes"], "AttachStdout": True}).json()["Id"]
    sock, status, _ = api.hijack(f"/exec/{identifier}/start", {"Detach": False})
    assert status == 101
    time.sleep(1)
    assert resident(clean.pid) - before < 32 << 20
    assert docker("exec", "box", "echo", "served") == "served"
    sock.close()


def resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_copying_while_the_path_is_swapped(docker: Docker, api: Api, outside: str) -> None:
    turn = f"ln -sfn {outside} x; rm x; mv real x; mv x real"
    swap = f"cd /tmp; mkdir real; echo own > real/secret; while :; do {turn}; done"
    docker("run", "-d", "--name", "box", IMAGE, "sh", "-c", swap)
    stop = threading.Event()
    seen: list[bytes] = []

    def read() -> None:
        while not stop.is_set():
            seen.append(api("GET", "/containers/box/archive", query={"path": "/tmp/x/secret"}).body)

    def write() -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            entry = tarfile.TarInfo("planted")
            entry.size = 1
            tar.addfile(entry, io.BytesIO(b"x"))
        while not stop.is_set():
            api("PUT", "/containers/box/archive", buffer.getvalue(), query={"path": "/tmp/x"})

    workers = [threading.Thread(target=work) for work in (read, write)]
    for worker in workers:
        worker.start()
    time.sleep(2)
    stop.set()
    for worker in workers:
        worker.join()
    assert len(seen) > 20
    assert not [data for data in seen if SECRET.encode() in data]


def test_absolute_links_work_with_volumes(api: Api, docker: Docker, outside: str) -> None:
    """/var/run -> /run is in every image; to refuse it would break them all."""
    make(api, "usual", tree(("var/run", "/run")))
    assert docker("run", "--rm", "-v", "usual:/var/run/here", "usual", "sh", "-c", "ls -d /run/here") == "/run/here"
    docker("volume", "rm", "usual")
