"""``docker cp`` and ``docker export`` on component level: stopped trees, running containers, hostile ones."""

import asyncio
import bz2
import ctypes
import gzip
import io
import json
import lzma
import os
import stat
import subprocess
import tarfile
import threading
import time
import uuid
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from corten import errors
from corten.engine.archive import Archives
from corten.engine.export import Exports
from corten.engine.rootview import RootViews
from corten.linux import mount
from corten.model.container import ContainerConfig, HostConfig, MountPoint
from corten.model.record import Record, RunState
from corten.store.database import Database
from corten.store.snapshot import Snapshots
from corten.volume.store import Volumes

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")

RENAME_EXCHANGE = 2
RACE_SECONDS = float(os.environ.get("CORTEN_RACE_SECONDS", "2"))
"""Bounded in the everyday run; set it to an hour to try hard."""

PLACES_IN_ETC = ("hostname", "hosts", "mtab", "resolv.conf")
"""What every container has in /etc besides the image's files: the places that are mounted on."""


def mounts(below):
    """Mount points under the test's own directory; others come and go on a busy host."""
    found = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return sorted(entry for entry in found if entry.startswith(f"{below}/"))


def descriptors():
    return len(os.listdir("/proc/self/fd"))


class Container:
    def __init__(self, record):
        self.record = record
        self.lock = asyncio.Lock()


class World:
    """Snapshots, volumes and one container "c" with the id in ``id``."""

    def __init__(self, tmp_path):
        self.path = tmp_path
        self.id = uuid.uuid4().hex * 2
        self.db = Database(str(tmp_path / "state.db"))
        self.snapshots = Snapshots(str(tmp_path / "snapshots"), self.db)
        self.volumes = Volumes(str(tmp_path), self.db, str(tmp_path / "run"))
        self.views = RootViews(self.snapshots, self.volumes, str(tmp_path / "run"), lambda _: str(self.rootfs))
        self.rootfs = tmp_path / "rootfs"
        self.rootfs.mkdir()
        self.events = []
        emit = lambda container, action: self.events.append(action)  # noqa: E731
        self.archives = Archives(self.views, self.get, emit)
        self.exports = Exports(self.views, self.get, emit)
        self.snapshots.prepare(self.id, "")
        self.upper = Path(self.snapshots.upper_dir(self.id))
        self.container = None
        self.make()

    def make(self, mounts=(), **host):
        points = [entry for entry in mounts if isinstance(entry, MountPoint)]
        settings = HostConfig(**host)
        points += self.volumes.plan(self.id, ContainerConfig(), settings, [], lambda _: None)
        record = Record(id=self.id, name="c", created=1, host_config=settings, mounts=points)
        self.container = Container(record)

    def get(self, reference):
        if reference not in ("c", self.id):
            raise errors.NotFound(f"No such container: {reference}")
        return self.container

    def run(self, coroutine):
        return asyncio.run(coroutine)

    def stat(self, name):
        return self.run(self.archives.stat("c", name))

    def fetch(self, name):
        async def body():
            found, download = await self.archives.get("c", name)
            return found, b"".join([piece async for piece in download])

        found, data = self.run(body())
        return found, tarfile.open(fileobj=io.BytesIO(data))

    def send(self, name, data, size=1000, **options):
        async def chunks():
            for start in range(0, len(data), size):
                yield data[start : start + size]

        self.run(self.archives.put("c", name, chunks(), **options))

    def export(self):
        async def body():
            return b"".join([piece async for piece in await self.exports.export("c")])

        return tarfile.open(fileobj=io.BytesIO(self.run(body())))

    def close(self):
        asyncio.run(self.archives.close())
        asyncio.run(self.exports.close())
        self.snapshots.close()
        self.db.close()


@pytest.fixture
def world(tmp_path):
    open_before = descriptors()
    made = World(tmp_path)
    root = made.upper
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text("app:x:1234:5678::/:/bin/sh\n")
    (root / "tmp").mkdir(mode=0o1777)
    (root / "tmp").chmod(0o1777)
    (root / "run").mkdir()
    (root / "var").mkdir()
    (root / "var/run").symlink_to("/run")
    (root / "hello").write_text("hello\n")
    (root / "link").symlink_to("../../../etc/passwd")
    (root / "broken").symlink_to("/no/where")
    (root / "dirlink").symlink_to("/etc")
    yield made
    made.close()
    left = mounts(tmp_path)
    for entry in left:
        mount.umount(entry)
    assert left == []
    assert descriptors() <= open_before


def tar(*members, **options):
    """Members: (name, content) or (TarInfo, content)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as archive:
        for member, content in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            if content is not None:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content or b""))
    return buffer.getvalue()


def info(name, kind=tarfile.REGTYPE, **fields):
    made = tarfile.TarInfo(name)
    made.type = kind
    for key, value in fields.items():
        setattr(made, key, value)
    return made


# stat


def test_stat(world):
    found = world.stat("/hello")
    assert (found.name, found.size, found.mode, found.link_target) == ("hello", 6, 0o644, "")
    assert found.mtime == (world.upper / "hello").stat().st_mtime_ns
    assert world.stat("/tmp").mode == 1 << 31 | 1 << 20 | 0o777
    link = world.stat("link")
    assert (link.name, link.mode, link.link_target) == ("link", 1 << 27 | 0o777, "/etc/passwd")
    assert world.stat("/broken").link_target == "/no/where"
    assert world.stat("/dirlink/").mode & 1 << 31 and world.stat("/dirlink/").name == "dirlink"
    assert world.stat("/dirlink/.").name == "." and world.stat("/").name == "/"
    assert world.stat("/../../hello").name == "hello"


def test_stat_refused(world):
    for name in ("/nothing", "/etc/nothing", "/broken/"):
        with pytest.raises(errors.NotFound) as caught:
            world.stat(name)
        assert str(caught.value) == f"Could not find the file {name} in container c"
    with pytest.raises(errors.InvalidArgument, match="not a directory"):
        world.stat("/hello/x")
    with pytest.raises(errors.InvalidArgument):
        world.stat("")
    with pytest.raises(errors.NotFound, match="No such container: d"):
        asyncio.run(world.archives.stat("d", "/"))


# get


def test_get_file_link_and_directory(world):
    os.chown(world.upper / "hello", 5, 6)
    found, archive = world.fetch("/hello")
    member = archive.next()
    assert archive.extractfile(member).read() == b"hello\n" and found.name == "hello"
    assert (member.name, member.uid, member.gid, member.mode) == ("hello", 5, 6, 0o644)
    assert [(m.name, m.linkname, m.issym()) for m in world.fetch("/link")[1]] == [("link", "../../../etc/passwd", True)]
    inside = sorted([*PLACES_IN_ETC, "passwd"])
    assert sorted(world.fetch("/etc")[1].getnames()) == ["etc", *(f"etc/{name}" for name in inside)]
    assert sorted(world.fetch("/etc/")[1].getnames()) == ["etc", *(f"etc/{name}" for name in inside)]
    assert sorted(world.fetch("/etc/.")[1].getnames()) == [".", *(f"./{name}" for name in inside)]
    assert sorted(world.fetch("/dirlink/")[1].getnames()) == ["dirlink", *(f"dirlink/{name}" for name in inside)]
    assert world.fetch("/dirlink")[1].getnames() == ["dirlink"]
    assert world.events == ["archive-path"] * 7


def test_get_everything_that_files_can_be(world):
    directory = world.upper / "kinds"
    directory.mkdir()
    os.mkfifo(directory / "fifo")
    os.mknod(directory / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (directory / "first").write_bytes(b"x" * 3_000_001)
    os.link(directory / "first", directory / "second")
    (directory / ("long" * 60)).write_text("long")
    os.setxattr(directory / "first", "user.colour", b"blue")
    os.chmod(directory / "first", 0o6755)
    (directory / "deep/er").mkdir(parents=True)
    members = {member.name: member for member in world.fetch("/kinds")[1]}
    assert members["kinds/fifo"].isfifo() and members["kinds/null"].ischr() and members["kinds/null"].devminor == 3
    assert members["kinds/first"].size == 3_000_001 and members["kinds/first"].mode == 0o6755
    assert members["kinds/second"].islnk() and members["kinds/second"].linkname == "kinds/first"
    assert members["kinds/first"].pax_headers["SCHILY.xattr.user.colour"] == "blue"
    assert f"kinds/{'long' * 60}" in members and "kinds/deep/er" in members


def test_get_that_nobody_reads_gives_everything_back(world):
    async def unread():
        _, download = await world.archives.get("c", "/")
        del download
        _, download = await world.archives.get("c", "/")
        await anext(download)
        await download.aclose()

    asyncio.run(unread())  # the fixture counts descriptors and mounts


# put


def test_put_writes_what_the_archive_says(world):
    data = tar(
        (info("dir", tarfile.DIRTYPE, mode=0o2711, uid=1, gid=2, mtime=1000), None),
        (info("dir/file", mode=0o4755, uid=3, gid=4, mtime=2000), b"content"),
        (info("dir/hard", tarfile.LNKTYPE, linkname="dir/file"), None),
        (info("dir/soft", tarfile.SYMTYPE, linkname="/any/where", uid=7, gid=8), None),
        (info("made/for/it", mode=0o600), b""),
    )
    world.send("/tmp", data)
    base = world.upper / "tmp"
    top, file, soft = (base / "dir").stat(), (base / "dir/file").stat(), (base / "dir/soft").lstat()
    assert (stat.S_IMODE(top.st_mode), top.st_uid, top.st_gid, top.st_mtime) == (0o2711, 1, 2, 1000)
    assert (stat.S_IMODE(file.st_mode), file.st_uid, file.st_gid, file.st_mtime) == (0o4755, 3, 4, 2000)
    assert (base / "dir/hard").stat().st_ino == file.st_ino and (base / "dir/file").read_text() == "content"
    assert os.readlink(base / "dir/soft") == "/any/where" and (soft.st_uid, soft.st_gid) == (7, 8)
    assert stat.S_IMODE((base / "made").stat().st_mode) == 0o755
    assert world.events == ["extract-to-dir"]


@pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress, zstandard.ZstdCompressor().compress], ids=str
)
def test_put_compressed_runs_no_program(world, pack):
    """The rootfs and PATH hold fake decompressors; none of them may be run."""
    proof = world.path / "was-run"
    (world.upper / "bin").mkdir()
    for name in ("unpigz", "gzip", "xz", "bzip2", "zstd", "tar"):
        script = world.upper / "bin" / name
        script.write_text(f"#!/bin/sh\ntouch {proof}\n")
        script.chmod(0o755)
    world.send("/tmp", pack(tar(("file", b"x" * 100_000))), size=777)
    assert (world.upper / "tmp/file").stat().st_size == 100_000 and not proof.exists()


def test_put_into_links_and_volumes(world):
    world.make(binds=["data:/run/data"])
    world.send("/var/run/data/.", tar(("file", b"1")))  # an absolute link on the way to a volume
    world.send("/dirlink", tar(("new", b"2")))
    data = Path(world.volumes.get("data").mountpoint)
    assert (data / "file").read_text() == "1" and (world.upper / "etc/new").read_text() == "2"
    assert world.fetch("/var/run/data")[1].getnames() == ["data", "data/file"]
    assert not (world.upper / "run/data/file").exists()


def test_put_into_driver_volume_of_a_stopped_container_leaves_no_mount(world, tmp_path):
    (tmp_path / "device").mkdir()
    world.volumes.create("dev", options={"type": "none", "device": str(tmp_path / "device"), "o": "bind"})
    world.make(binds=["dev:/data"])
    before = mounts(tmp_path)
    world.send("/data", tar(("file", b"1")))
    assert mounts(tmp_path) == before == [] and (tmp_path / "device/file").read_text() == "1"


def test_put_fills_a_fresh_volume_from_the_image_first(world):
    world.make(binds=["etc:/etc"])
    world.send("/etc", tar(("new", b"2")))
    assert sorted(os.listdir(world.volumes.get("etc").mountpoint)) == sorted([*PLACES_IN_ETC, "new", "passwd"])


def test_put_refused(world):
    for name, text in (("/nothing", "Could not find the file /nothing in container c"),):
        with pytest.raises(errors.NotFound) as caught:
            world.send(name, tar(("a", b"")))
        assert str(caught.value) == text
    with pytest.raises(errors.InvalidArgument, match="extraction point is not a directory"):
        world.send("/hello", tar(("a", b"")))
    with pytest.raises(errors.InvalidArgument, match="extraction point is not a directory"):
        world.send("/hello/", tar(("a", b"")))
    with pytest.raises(errors.InvalidArgument, match="tar"):
        world.send("/tmp", b"no archive at all" * 100)
    with pytest.raises(errors.InvalidArgument, match="EOF"):
        world.send("/tmp", gzip.compress(tar(("a", b"x" * 5000)))[:-30])


def test_put_read_only(world):
    world.make(binds=["ro:/ro:ro", "rw:/rw"], readonly_rootfs=True)
    with pytest.raises(errors.InvalidArgument) as caught:
        world.send("/tmp", tar(("a", b"")))
    assert str(caught.value) == "container rootfs is marked read-only"
    world.send("/rw", tar(("a", b"")))
    with pytest.raises(errors.InvalidArgument) as caught:
        world.send("/ro", tar(("a", b"")))
    assert str(caught.value) == "mounted volume is marked read-only"


def test_put_replaces_but_merges_directories(world):
    (world.upper / "tmp/dir/old").mkdir(parents=True)
    (world.upper / "tmp/file").write_text("old")
    world.send("/tmp", tar((info("dir", tarfile.DIRTYPE, mode=0o700), None), ("dir/new", b"1"), ("file", b"new")))
    assert sorted(os.listdir(world.upper / "tmp/dir")) == ["new", "old"]
    assert (world.upper / "tmp/file").read_text() == "new"
    with pytest.raises(errors.InvalidArgument) as caught:
        world.send("/tmp", tar(("dir", b"file")), no_overwrite_dir_non_dir=True)
    assert str(caught.value) == 'cannot overwrite directory "/tmp/dir" with non-directory "/tmp"'
    with pytest.raises(errors.InvalidArgument, match='cannot overwrite non-directory "/tmp/file" with directory'):
        world.send("/tmp", tar((info("file", tarfile.DIRTYPE), None)), no_overwrite_dir_non_dir=True)
    world.send("/tmp", tar(("dir", b"file")))
    assert (world.upper / "tmp/dir").read_text() == "file"


def test_put_with_the_containers_user(world):
    record = world.container.record
    world.container.record = replace(record, config=ContainerConfig(user="app"))
    world.send("/tmp", tar((info("a/b", uid=9, gid=9), b"")), copy_uid_gid=True)
    for name in ("a", "a/b"):
        found = (world.upper / "tmp" / name).stat()
        assert (found.st_uid, found.st_gid) == (1234, 5678)


def test_put_cannot_leave_the_container(world, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("safe")
    for name in ("../escape", "a/../../escape"):
        with pytest.raises(errors.InvalidArgument, match="outside of the target directory"):
            world.send("/tmp", tar((name, b"x")))
    for kind, link in ((tarfile.SYMTYPE, str(outside)), (tarfile.SYMTYPE, "../" * 20 + str(outside))):
        data = tar((info("way", kind, linkname=link), None), ("way/victim", b"changed"), ("way/new", b"x"))
        world.send("/tmp", data)
        world.send("/", tar((info(f"tmp/{outside}/victim"), b"x")))
    assert (outside / "victim").read_text() == "safe" and os.listdir(outside) == ["victim"]
    hard = tar((info("got", tarfile.LNKTYPE, linkname=str(outside / "nothing")), None))
    with pytest.raises(errors.InvalidArgument, match="No such file"):
        world.send("/tmp", hard)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(st.data())
def test_no_archive_leaves_the_container(world, data):
    """Archives of links, directories and files with crooked names, unpacked one over the other."""
    outside = world.path / "outside"
    outside.mkdir(exist_ok=True)
    part = st.sampled_from(["a", "b", "..", ".", "", "a/b", "../..", "/", "tmp"])
    name = st.lists(part, min_size=1, max_size=4).map("/".join)
    target = st.one_of(name, st.just(str(outside)), st.just("../" * 12 + str(outside)))
    kinds = [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE]
    entries = data.draw(st.lists(st.tuples(name, st.sampled_from(kinds), target), min_size=1, max_size=8))
    members = [
        (info(entry or "x", kind, linkname=link), b"data" if kind == tarfile.REGTYPE else None)
        for entry, kind, link in entries
    ]
    os.makedirs(world.path / "run", exist_ok=True)
    before = sorted(os.listdir(world.path))
    try:
        world.send(data.draw(st.sampled_from(["/tmp", "/", "/dirlink"])), tar(*members))
    except errors.CortenError:
        pass
    assert os.listdir(outside) == [] and sorted(os.listdir(world.path)) == before


def test_put_whose_client_goes_away(world):
    async def chunks():
        yield tar(("file", b"x" * 5000))[:3000]
        raise ConnectionResetError

    with pytest.raises((ConnectionResetError, errors.Cancelled)):
        world.run(world.archives.put("c", "/tmp", chunks()))
    assert world.events == []


def test_sparse_upload(world, tmp_path):
    source = tmp_path / "sparse"
    with source.open("wb") as file:
        file.write(b"start")
        file.seek(5_000_000)
        file.write(b"end")
    data = subprocess.run(["tar", "-C", tmp_path, "-S", "-cf", "-", "sparse"], capture_output=True, check=True).stdout
    world.send("/tmp", data)
    assert (world.upper / "tmp/sparse").read_bytes() == source.read_bytes()
    assert (world.upper / "tmp/sparse").stat().st_blocks < 1000


# export


def test_export_is_the_root_file_system_without_volumes(world):
    world.make(binds=["data:/data"])
    world.send("/data", tar(("secret", b"1")))
    world.send("/", tar(("big", b"x" * 5_000_000)))
    archive = world.export()
    names = archive.getnames()
    assert "data" in names and "data/secret" not in names
    assert archive.extractfile("big").read() == b"x" * 5_000_000
    assert archive.getmember("link").issym() and archive.getmember("var/run").linkname == "/run"
    assert names == sorted(names, key=lambda name: name.split("/"))
    world.container.record = replace(world.container.record, state=RunState(status="dead"))
    with pytest.raises(errors.Conflict, match="which is Dead"):
        world.export()


def test_link_in_a_volume_is_archived_as_a_link(world, tmp_path):
    """CVE-2023-0778: a file of a volume that became a link."""
    world.make(binds=["data:/data"])
    (tmp_path / "host-secret").write_text("secret")
    os.symlink(tmp_path / "host-secret", f"{world.volumes.get('data').mountpoint}/file")
    (member,) = [member for member in world.fetch("/data")[1] if member.name == "data/file"]
    assert member.issym() and member.size == 0


# a running container


@pytest.fixture
def running(world):
    """crun runs busybox on the snapshot, with a volume and a tmpfs."""
    world.make(binds=["data:/data"])
    for name in ("bin", "dev", "proc"):
        (world.upper / name).mkdir()
    subprocess.run(["cp", "/bin/busybox", world.upper / "bin/sleep"], check=True)
    world.snapshots.mount(world.id, str(world.rootfs))
    entries = world.volumes.realise(world.container.record, str(world.rootfs))
    config = {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["/bin/sleep", "1000"]},
        "root": {"path": str(world.rootfs)},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/run", "type": "tmpfs", "source": "tmpfs"},
            *(
                {"destination": e.destination, "type": e.type, "source": e.source, "options": e.options}
                for e in entries
            ),
        ],
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}], "cgroupsPath": f"/corten-test-{world.id}"},
    }
    (world.path / "config.json").write_text(json.dumps(config))
    name = f"corten-archive-{world.id[:12]}"
    pidfile = world.path / "pid"
    subprocess.run(
        ["crun", "run", "-d", "--pid-file", pidfile, "--bundle", world.path, name],
        check=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    state = RunState(status="running", pid=int(pidfile.read_text()), has_been_started=True)
    world.container.record = replace(world.container.record, state=state)
    yield world
    subprocess.run(["crun", "delete", "-f", name], check=True, timeout=30)
    world.volumes.release(world.container.record)
    world.snapshots.unmount(str(world.rootfs))


def test_running_container_as_it_sees_itself(running):
    root = f"/proc/{running.container.record.state.pid}/root"
    running.send("/var/run", tar(("in-tmpfs", b"1")))
    running.send("/data", tar(("in-volume", b"2")))
    assert Path(f"{root}/run/in-tmpfs").read_text() == "1" and not (running.upper / "run/in-tmpfs").exists()
    assert Path(running.volumes.get("data").mountpoint, "in-volume").read_text() == "2"
    assert running.fetch("/data")[1].getnames() == ["data", "data/in-volume"]
    size = running.fetch("/proc/version")[1].next().size
    assert size == 0  # as stat(2) says it
    names = running.export().getnames()
    assert "hello" in names and "data/in-volume" not in names and "run/in-tmpfs" not in names
    assert not [name for name in names if name.startswith("proc/")]


def test_magic_links_of_the_containers_proc_lead_nowhere(running):
    for name in ("/proc/1/root/", "/proc/self/root/etc/passwd", "/proc/1/cwd/"):
        with pytest.raises(errors.CortenError):
            running.fetch(name)
    with pytest.raises(errors.CortenError):
        running.send("/proc/1/root", tar(("a", b"")))


def test_pid_of_another_process_is_not_taken(running):
    record = running.container.record
    running.container.record = replace(record, state=replace(record.state, pid=os.getpid()))
    assert running.stat("/hello").size == 6  # the snapshot's, not the host's root
    with pytest.raises(errors.NotFound):
        running.stat(str(running.path))


def test_swapping_container_never_reaches_the_host(running, tmp_path):
    """Path components are exchanged with links to the host's directories all the time, during every kind of request."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("host")
    before = victim.stat().st_mtime_ns
    (running.rootfs / "swap").mkdir()
    (running.rootfs / "swap/file").write_text("container")
    (running.rootfs / "other").symlink_to("../" * 30 + str(victim))
    (running.rootfs / "third").symlink_to(str(victim))
    rename = ctypes.CDLL(None).renameat2
    places = [bytes(running.rootfs / name) for name in ("swap", "other", "third")]
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            for other in places[1:]:
                rename(-100, places[0], -100, other, RENAME_EXCHANGE)

    thread = threading.Thread(target=swap)
    thread.start()
    seen, rounds, end = set(), 0, time.monotonic() + RACE_SECONDS
    try:
        while time.monotonic() < end:
            rounds += 1
            try:
                for member in (archive := running.fetch("/swap/")[1]):
                    if member.isfile() and archive.extractfile(member).read() not in (b"container", b"1"):
                        seen.add("host content")
                running.send("/swap", tar(("planted", b"1"), ("dir/planted", b"1")))
                seen.add("whole round")
            except errors.CortenError:
                continue
    finally:
        stop.set()
        thread.join()
    assert "host content" not in seen and rounds > 10
    assert os.listdir(victim) == ["file"] and (victim / "file").read_text() == "host"
    assert victim.stat().st_mtime_ns == before
