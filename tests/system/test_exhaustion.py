"""No room: blocks, inodes, a disk that can only be read. What fails says what and why, nothing of it stays behind, and
everything works again, without a restart, once there is room."""

import os
import re
import shutil
from collections.abc import Callable, Iterator

import pytest

from corten.linux import mount
from tests.support.busybox import IMAGE
from tests.support.daemon import Daemon
from tests.support.disk import Disk
from tests.support.http import Api, Response, joined
from tests.support.layers import archive, config_for, docker_archive, member
from tests.support.pullhost import offer
from tests.support.scriptedregistry import ScriptedRegistry
from tests.support.stock import eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a daemon needs root")

SIZE, INODES = 96 << 20, 1600
NO_SPACE = "no space left on device"
READ_ONLY = "read-only file system"
BIG = os.urandom(3 << 20)
"""Nothing that a file system could keep without blocks of its own."""


@pytest.fixture(scope="module")
def disk() -> Iterator[Disk]:
    """Where the module's daemon keeps its data."""
    made = Daemon()
    small = Disk(made.data_root, f"{made.base}/disk", SIZE, INODES)
    small.daemon = made
    try:
        yield small
    finally:
        small.close()
        shutil.rmtree(made.base, ignore_errors=True)


@pytest.fixture(scope="module")
def daemon(disk: Disk) -> Iterator[Daemon]:
    """A daemon whose data is on the small disk, and whose run directory is a tmpfs of 2 MB."""
    made = disk.daemon
    os.mkdir(made.exec_root)
    mount.mount("tmpfs", made.exec_root, "tmpfs", data="size=2m,nr_inodes=400")
    made.own_mounts = {made.data_root, made.exec_root}
    made.clean = lambda: None  # the disk goes first
    try:
        yield made.start()
    finally:
        disk.free()
        leaks = made.close()
        mount.umount_if_mounted(made.exec_root)
        disk.close()
        Daemon.clean(made)
    assert not leaks


@pytest.fixture
def room(daemon: Daemon, disk: Disk, image: str) -> Iterator[Disk]:
    """The disk, with room at the start of the test and afterwards; nothing may be left of what failed."""
    before = inventory(daemon)
    yield disk
    disk.free()
    daemon.remove_containers()
    api = daemon.api
    for name in ("made", "imported", "loaded"):
        api("DELETE", f"/images/{name}:latest", query={"force": 1})
    for name in ("filled", "new"):
        api("DELETE", f"/volumes/{name}")
    eventually(lambda: inventory(daemon) == before, what="the state of before")


def inventory(daemon: Daemon) -> dict[str, object]:
    """What exists for clients, and what lies on the disk below the daemon's directories."""
    api, root = daemon.api, daemon.data_root
    images = sorted(each["Id"] for each in api("GET", "/images/json", query={"all": 1}).json())
    volumes = sorted(each["Name"] for each in api("GET", "/volumes").json()["Volumes"] or [])
    places = (
        "containers",
        "snapshots/active",
        "snapshots/layers",
        "snapshots/trash",
        "volumes",
        "content/blobs/sha256",
    )
    files = {place: sorted(os.listdir(f"{root}/{place}")) for place in (*places, "content/ingest")}
    held = daemon.holdings()
    return {"images": images, "volumes": volumes, "files": files, "cgroups": held.cgroups, "ports": held.ports}


def stream_error(answer: Response) -> str:
    """The text of a failed request, also where it comes inside of the stream after a 200."""
    if answer.status >= 300:
        assert answer.status in (500, 507), (answer.status, answer.body)
        return answer.message
    for line in answer.body.splitlines():
        if b'"error"' in line:
            return line.decode()
    return ""


def big_layer() -> bytes:
    return archive(member("big", BIG))


def create(api: Api, name: str, *command: str, image: str = IMAGE, **host: object) -> Response:
    body = {"Image": image, "Cmd": list(command), "HostConfig": host}
    return api("POST", "/containers/create", body, query={"name": name})


def started(api: Api, name: str, *command: str, **host: object) -> None:
    assert create(api, name, *command, **host).status == 201
    answer = api("POST", f"/containers/{name}/start")
    assert answer.status == 204, answer.body


def execute(api: Api, name: str, *command: str) -> bytes:
    made = api("POST", f"/containers/{name}/exec", {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True})
    assert made.status == 201, made.body
    sock, status, data = api.hijack(f"/exec/{made.json()['Id']}/start", {"Detach": False})
    with sock:
        while chunk := sock.recv(65536):
            data += chunk
    assert status == 101, data
    return joined(data) + joined(data, 2)


# what needs room


def try_import(api: Api) -> str:
    query = {"fromSrc": "-", "repo": "imported", "tag": "latest"}
    return stream_error(api("POST", "/images/create", big_layer(), query=query))


def try_load(api: Api) -> str:
    layers = [big_layer()]
    return stream_error(api("POST", "/images/load", docker_archive(layers, ["loaded:latest"], config_for(layers))))


def try_commit(api: Api) -> str:
    return stream_error(api("POST", "/commit", {}, query={"container": "changed", "repo": "made", "tag": "latest"}))


def try_create(api: Api) -> str:
    answer = stream_error(create(api, "fresh", "true"))
    api("DELETE", "/containers/fresh")
    return answer


def try_volume(api: Api) -> str:
    answer = stream_error(api("POST", "/volumes/create", {"Name": "new"}))
    api("DELETE", "/volumes/new")
    return answer


def try_copy(api: Api) -> str:
    return stream_error(api("PUT", "/containers/changed/archive", big_layer(), query={"path": "/tmp"}))


def try_start_with_copy_up(api: Api) -> str:
    """A start that fills a new volume with what the image has there."""
    answer = stream_error(api("POST", "/containers/filling/start"))
    api("POST", "/containers/filling/stop", query={"t": 0})
    return answer


def try_start(api: Api) -> str:
    answer = stream_error(api("POST", "/containers/waiting/start"))
    api("POST", "/containers/waiting/stop", query={"t": 0})
    return answer


def try_writing_inside(api: Api) -> str:
    """The container's own program hits the wall, and its exec says so."""
    output = execute(api, "changed", "dd", "if=/dev/urandom", "of=/tmp/own", "bs=1k", "count=3000")
    execute(api, "changed", "rm", "-f", "/tmp/own")
    return output.decode().lower() if b"No space" in output else ""


ATTEMPTS: tuple[Callable[[Api], str], ...] = (
    try_import, try_load, try_commit, try_create, try_volume, try_copy, try_start_with_copy_up, try_start,
    try_writing_inside,
)  # fmt: skip
WITHOUT_BLOCKS = {try_create, try_start}
"""May do with the room that directories and small files find in blocks that are theirs already."""


def prepare(api: Api) -> None:
    started(api, "changed", "sleep", "600")
    execute(api, "changed", "sh", "-c", "head -c 2000000 /dev/urandom > /change")
    assert create(api, "waiting", "sleep", "600").status == 201
    volume = {"Type": "volume", "Source": "filled", "Target": "/bin"}
    assert create(api, "filling", "sleep", "600", Mounts=[volume]).status == 201


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda each: each.__name__)
def test_no_blocks(room: Disk, daemon: Daemon, api: Api, attempt: Callable[[Api], str]) -> None:
    prepare(api)
    room.fill()
    for _ in range(2):
        text = attempt(api)
        assert NO_SPACE in text.lower() or (not text and attempt in WITHOUT_BLOCKS), text
        assert api("GET", "/_ping").status == 200
        assert api("GET", "/containers/changed/json").json()["State"]["Running"]
        assert execute(api, "changed", "echo", "well") == b"well\n"
    room.free()
    assert not attempt(api)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda each: each.__name__)
def test_no_inodes(room: Disk, daemon: Daemon, api: Api, attempt: Callable[[Api], str]) -> None:
    prepare(api)
    room.fill_inodes()
    for _ in range(2):
        text = attempt(api)
        assert NO_SPACE in text.lower() or (not text and attempt in WITHOUT_INODES), text
        assert execute(api, "changed", "echo", "well") == b"well\n"
    room.free()
    assert not attempt(api)


WITHOUT_INODES = {try_start}
"""The files of a start may be there already."""


@pytest.mark.parametrize("lack", ["blocks", "inodes", "writing"])
def test_pull(room: Disk, daemon: Daemon, api: Api, lack: str) -> None:
    """It fails with the reason, and what had come is no obstacle for the next one."""

    def pull() -> str:
        query = {"fromImage": f"{registry.host}/big", "tag": "latest"}
        return stream_error(api("POST", "/images/create", query=query))

    with ScriptedRegistry() as registry:
        offer(registry, "big", "latest", [big_layer()])
        {"blocks": room.fill, "inodes": room.fill_inodes, "writing": room.cover}[lack]()
        try:
            texts = [pull() for _ in range(2)]
        finally:
            room.uncover() if lack == "writing" else room.free()
        for text in texts:
            assert (READ_ONLY if lack == "writing" else NO_SPACE) in text.lower(), text
        assert pull() == ""
        assert api("DELETE", f"/images/{registry.host}/big:latest").status == 200
    api("POST", "/images/prune")
    assert os.listdir(f"{daemon.data_root}/content/partial") == []


def test_removing_is_the_way_out_where_inodes_lack(room: Disk, api: Api) -> None:
    """Whatever is in the way, a removal needs nothing."""
    prepare(api)
    room.fill_inodes()
    for name in ("changed", "waiting", "filling"):
        assert api("DELETE", f"/containers/{name}", query={"force": 1, "v": 1}).status == 204
    assert api("DELETE", "/volumes/filled").status == 204


def test_a_read_only_disk(room: Disk, api: Api) -> None:
    prepare(api)
    room.cover()
    try:
        for attempt in (try_import, try_load, try_commit, try_create, try_volume, try_start_with_copy_up):
            text = attempt(api)
            assert READ_ONLY in text.lower(), (attempt, text)
        assert len(api("GET", "/containers/json", query={"all": 1}).json()) == 3
        assert execute(api, "changed", "echo", "well") == b"well\n"
    finally:
        room.uncover()
    for attempt in ATTEMPTS:
        assert not attempt(api)


def test_logs_go_on_when_there_is_room_again(room: Disk, api: Api) -> None:
    """What is written meanwhile is lost, as on any full disk; the program goes on and so does its log."""
    started(api, "talker", "sh", "-c", "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done")

    def last() -> int:
        return (lines() or [0])[-1]

    def lines() -> list[int]:
        """The numbers of the whole lines; the one that met the wall is cut."""
        answer = api("GET", "/containers/talker/logs", query={"stdout": 1})
        assert answer.status == 200, answer.body
        return [int(each) for each in re.findall(r"^line (\d+)$", joined(answer.body).decode(), re.MULTILINE)]

    eventually(lambda: last() > 2)
    room.fill()
    full = last()
    eventually(lambda: execute(api, "talker", "sh", "-c", "echo seen > /proc/1/fd/1") == b"")
    room.free()
    eventually(lambda: last() > full + 2, what="new lines")
    numbers = lines()
    assert numbers == sorted(set(numbers)), "lines came twice or out of order"


def test_many_changes_of_the_records(room: Disk, daemon: Daemon, api: Api) -> None:
    """The database has room of its own, and its log is written anew from the start: it does not grow."""
    prepare(api)
    room.fill()
    name = "waiting"
    for number in range(1500):
        answer = api("POST", f"/containers/{name}/rename", query={"name": f"waiting{number}"})
        assert answer.status == 204, (number, answer.body)
        name = f"waiting{number}"
    assert api("GET", f"/containers/{name}/json").status == 200
    daemon.kill()
    daemon.start()
    assert api("GET", f"/containers/{name}/json").status == 200
    assert api("GET", "/containers/changed/json").json()["State"]["Running"]
    room.free()
    assert api("POST", f"/containers/{name}/rename", query={"name": "waiting"}).status == 204


def test_no_room_for_runs(room: Disk, daemon: Daemon, api: Api) -> None:
    """The run directory is full: starts fail and leave nothing, what runs goes on."""
    prepare(api)
    filler = f"{daemon.exec_root}/filler"
    with open(filler, "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
    try:
        text = try_start(api)
        assert NO_SPACE in text.lower(), text
        assert api("GET", "/containers/waiting/json").json()["State"]["Status"] == "created"
        assert api("POST", "/containers/changed/kill").status == 204
        eventually(lambda: not api("GET", "/containers/changed/json").json()["State"]["Running"])
    finally:
        os.unlink(filler)
    assert not try_start(api)


def test_the_disk_fails(disk: Disk, daemon: Daemon, api: Api, image: str) -> None:
    """The kernel stops all writing: reads and what runs go on; mounted again, the daemon has everything."""
    started(api, "running", "sleep", "600")
    assert create(api, "created", "true").status == 201
    disk.abort()
    text = try_create(api)
    assert READ_ONLY in text.lower() or "readonly" in text.lower() or "i/o error" in text.lower(), text
    assert {each["Names"][0] for each in api("GET", "/containers/json", query={"all": 1}).json()} == {
        "/running", "/created",
    }  # fmt: skip
    assert execute(api, "running", "echo", "well") == b"well\n"
    assert api("POST", "/containers/running/kill").status == 204
    eventually(lambda: not api("GET", "/containers/running/json").json()["State"]["Running"])
    daemon.stop()
    disk.repair()
    daemon.start()
    states = {each["Names"][0]: each["State"] for each in api("GET", "/containers/json", query={"all": 1}).json()}
    assert states == {"/running": "exited", "/created": "created"}
    started(api, "again", "true")
    daemon.remove_containers()
