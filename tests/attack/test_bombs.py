"""Case 14: archives that are small and become large. Limits hold, what came in is removed, memory stays small.

The daemon's data lies on a file system of 400 MB, so that a bomb that is let through is seen as a full disk.
"""

import bz2
import gzip
import json
import lzma
import os
import subprocess
import zlib
from collections.abc import Iterator

import pytest
import zstandard

from tests.attack.doors import DOORS, OCI, digest, manifest_for, problem, registry
from tests.attack.hostile import SOAK, forget_peak, peak
from tests.support.daemon import Daemon
from tests.support.http import Api
from tests.support.layers import archive, config_for, directory, docker_archive, member
from tests.support.stock import eventually

MEMORY = 160 << 20
"""Bytes that the daemon may take on top, whatever comes in: some MB of buffers per layer, and the largest document."""
GB = 1 << 30


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    if os.geteuid() != 0:
        pytest.skip("a daemon needs root")
    running = Daemon()
    os.mkdir(running.data_root, 0o711)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m,nr_inodes=50k", "data", running.data_root], check=True)
    try:
        running.start()
        yield running
    finally:
        try:
            if running.process is not None and running.process.poll() is None:
                running.remove_containers()
                running.stop()
        finally:
            subprocess.run(["umount", "-l", running.data_root], check=True)
            running.clean()


@pytest.fixture(autouse=True)
def tidy(clean: Daemon) -> None:
    """Containers go after each test; no image is needed."""


@pytest.fixture(scope="module")
def api(daemon: Daemon) -> Api:
    """A patient client: millions of entries take minutes."""
    return Api(daemon.socket, timeout=3600 if SOAK else 240)


def used(daemon: Daemon) -> int:
    """Bytes of the daemon's file system that are taken."""
    status = os.statvfs(daemon.data_root)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def refused(daemon: Daemon, send, expected: str) -> None:
    """*send* gives the error's text; afterwards the disk is as before and memory did not follow."""
    disk, memory = used(daemon), forget_peak(daemon.pid)
    text = send()
    assert text and expected in text, text[:500]
    assert peak(daemon.pid) - memory < MEMORY
    eventually(lambda: used(daemon) <= disk + (2 << 20), what="the removal of what came in")


def zeros(size: int) -> bytes:
    """A gzip stream of that many zeros: one member, repeated. About 1,000 to 1."""
    piece = gzip.compress(bytes(64 << 20), 9)
    return piece * (size // (64 << 20))


def head_of(name: str, size: int) -> bytes:
    """A member's header alone."""
    from corten.wire import tarwrite

    return tarwrite.header(name.encode(), size=size)


def bomb(size: int = 10 * GB) -> bytes:
    """A layer with one file of zeros: 10 GB in 10 MB."""
    data = gzip.compress(head_of("zeros", size)) + zeros(size)
    assert len(data) < 12 << 20
    return data


def test_ten_gigabytes_in_ten_megabytes(daemon: Daemon, api: Api) -> None:
    """Through import, load, layout and pull: stopped by the free space that is kept, or by the ratio; nothing stays."""
    data = bomb()
    for door in DOORS if SOAK else ("pull",):
        refused(daemon, lambda door=door: DOORS[door](api, [data], "bomb"), "")
        assert api("GET", "/images/bomb:1/json").status == 404


def test_bombs_into_a_container(daemon: Daemon, api: Api) -> None:
    """The same as an upload to a container's file system."""
    assert DOORS["load"](api, [archive(directory("tmp"))], "plain") == ""
    identifier = api("POST", "/containers/create", {"Image": "plain:1", "Cmd": ["x"]}).json()["Id"]

    def send() -> str:
        answer = api("PUT", f"/containers/{identifier}/archive", bomb(), query={"path": "/tmp"})
        assert answer.status in (400, 500, 507), answer.status
        return answer.message

    memory = forget_peak(daemon.pid)
    assert send()
    assert peak(daemon.pid) - memory < MEMORY
    api("DELETE", f"/containers/{identifier}", query={"force": 1})
    api("DELETE", "/images/plain:1")


@pytest.mark.parametrize("door", ["import", "load"])
def test_file_of_a_terabyte(daemon: Daemon, api: Api, door: str) -> None:
    """A file that is nothing but a hole, and one whose header promises what never comes: over a bound or the disk."""
    from tests.attack.test_layers import pax

    sparse = pax(
        "x",
        (b"GNU.sparse.major", b"1"),
        (b"GNU.sparse.minor", b"0"),
        (b"GNU.sparse.name", b"hole"),
        (b"GNU.sparse.realsize", b"%d" % (1 << 40)),
    )
    hole = b"1\n%d\n4\n" % ((1 << 40) - 4)
    layer = archive(sparse, member("GNUSparseFile.0/hole", hole.ljust(512, b"\0") + b"tail"))
    refused(daemon, lambda: DOORS[door](api, [layer], "bomb"), "")
    promise = head_of("promise", 1 << 40) + bytes(1024)
    refused(daemon, lambda: DOORS[door](api, [promise], "bomb"), "")


def entries(count: int) -> bytes:
    """A layer of so many directories, compressed to next to nothing."""
    block = gzip.compress(b"".join(directory(f"d{number:03d}") for number in range(1000)))
    parts = []
    for turn in range(count // 1000):
        parts += [gzip.compress(directory(f"t{turn}")), *([block] if count > 1_000_000 else [numbered(turn)])]
    return b"".join(parts) + gzip.compress(archive())


def numbered(turn: int) -> bytes:
    return gzip.compress(b"".join(directory(f"t{turn}/{number}") for number in range(1000)), 1)


def test_many_entries(daemon: Daemon, api: Api) -> None:
    """More directories in one layer than the file system has inodes: none stays taken, memory is small.

    In a long run also 10^7, which are stopped at the bound on entries.
    """
    before = os.statvfs(daemon.data_root).f_ffree
    refused(daemon, lambda: DOORS["import"](api, [entries(55_000)], "many"), "")
    eventually(lambda: os.statvfs(daemon.data_root).f_ffree >= before - 100, timeout=60, what="the inodes")
    if SOAK:
        refused(daemon, lambda: DOORS["import"](api, [entries(10_000_000)], "many"), "entries")


EMPTY = {
    "gzip": gzip.compress(b""),
    "zstd": zstandard.ZstdCompressor().compress(b""),
    "zstd skippable": b"\x50\x2a\x4d\x18\x04\0\0\0abcd",
    "bzip2": bz2.compress(b""),
    "xz": lzma.compress(b""),
}


@pytest.mark.parametrize("kind", list(EMPTY))
def test_frames_without_end(daemon: Daemon, api: Api, kind: str) -> None:
    """A stream of frames that hold nothing: no recursion, no growth, and others are served meanwhile."""
    count = 1_000_000 if SOAK else 20_000
    memory = forget_peak(daemon.pid)
    text = DOORS["import"](api, [EMPTY[kind] * count], "frames")
    assert peak(daemon.pid) - memory < MEMORY
    assert not text or "tar" in text or "EOF" in text or "empty" in text, text
    assert api("GET", "/_ping").status == 200
    api("DELETE", "/images/frames:1")


def test_huge_zstd_window(daemon: Daemon, api: Api) -> None:
    """A frame that asks for a window of 2 GB is refused before anybody allocates it."""
    parameters = zstandard.ZstdCompressionParameters(window_log=31, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = compressor.compress(archive(member("a", b"x" * 1000))) + compressor.flush()
    refused(daemon, lambda: DOORS["import"](api, [data], "window"), "zstd")


def test_layers_that_are_layers_of_compression(daemon: Daemon, api: Api) -> None:
    """gzip in gzip in gzip is not unpacked further than once."""
    data = archive(member("a", b"x"))
    for _ in range(5):
        data = gzip.compress(data)
    refused(daemon, lambda: DOORS["import"](api, [data], "nested"), "")


def test_documents_of_nine_megabytes(daemon: Daemon, api: Api) -> None:
    """Config, manifest and index beyond what the registry's rules allow (4 MiB and more): refused, from any side."""
    layer = archive(directory("d"))
    padding = "x" * (9 << 20)
    config = config_for([layer], author=padding)
    refused(daemon, lambda: send(api, docker_archive([layer], ["big:1"], config)), "")
    listing = archive(member("manifest.json", b" " * (9 << 20)))
    refused(daemon, lambda: send(api, listing), "")
    with registry() as served:
        served.offer("config", config, [layer])
        manifest = json.loads(manifest_for(config_for([layer]), [layer]))
        served.manifests["manifest"] = json.dumps(manifest | {"annotations": {"a": padding}}).encode()
        index = {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": [], "annotations": {"a": padding}}
        served.manifests["index"] = json.dumps(index).encode()
        for tag in ("config", "manifest", "index"):
            query = {"fromImage": f"{served.host}/big", "tag": tag}
            refused(daemon, lambda query=query: pull(api, query), "")


def send(api: Api, data: bytes) -> str:
    answer = api("POST", "/images/load", data)
    return problem(answer.status, answer.body)


def pull(api: Api, query: dict[str, str]) -> str:
    answer = api("POST", "/images/create", query=query)
    return problem(answer.status, answer.body)


def test_hundred_thousand_layers(daemon: Daemon, api: Api) -> None:
    """In a manifest of an archive and of a registry, all of them the same small blob."""
    layer = archive(directory("d"))
    config = json.loads(config_for([layer]))
    config["rootfs"]["diff_ids"] *= 100_000
    raw = json.dumps(config, separators=(",", ":")).encode()
    refused(daemon, lambda: send(api, docker_archive([layer], ["many:1"], raw)), "")
    with registry() as served:
        short = {"digest": digest(layer), "size": len(layer), "mediaType": OCI + "layer.v1.tar"}
        manifest = {
            "schemaVersion": 2,
            "config": json.loads(manifest_for(raw, []))["config"],
            "layers": [short] * 20_000,
        }
        served.blobs |= {digest(raw): raw, digest(layer): layer}
        served.manifests["many"] = json.dumps(manifest, separators=(",", ":")).encode()
        refused(daemon, lambda: pull(api, {"fromImage": f"{served.host}/big", "tag": "many"}), "")


def test_zlib_is_no_compression_of_layers(daemon: Daemon, api: Api) -> None:
    """A stream that is none of the known kinds is not guessed at."""
    refused(daemon, lambda: DOORS["import"](api, [zlib.compress(archive(directory("d")))], "zlib"), "")
