"""Section B, cp, archive and export: races for the path, programs and libraries of a container, links in volumes."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import threading
import time
from pathlib import Path

import pytest
import zstandard

from tests.attack.conftest import SECRET
from tests.attack.hostile import SOAK, make, rounds, swapping, tree
from tests.attack.test_layers import HARMLESS, REFUSED
from tests.support.busybox import IMAGE
from tests.support.daemon import Daemon
from tests.support.http import Api
from tests.support.layers import archive, directory
from tests.support.stock import Docker, eventually

RACES = 100_000


def plant() -> bytes:
    """An archive with one small file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("planted")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    return buffer.getvalue()


def test_while_the_container_swaps_the_path(docker: Docker, api: Api, outside: str) -> None:
    """CVE-2018-15664: GET and PUT while a shell in the container turns a component into a link to the host."""
    turn = f"ln -sfn {outside} x; rm x; mv real x; mv x real"
    swap = f"cd /tmp; mkdir real; echo own > real/secret; while :; do {turn}; done"
    docker("run", "-d", "--name", "box", IMAGE, "sh", "-c", swap)
    stop = threading.Event()
    seen: list[bytes] = []

    def read() -> None:
        while not stop.is_set():
            seen.append(api("GET", "/containers/box/archive", query={"path": "/tmp/x/secret"}).body)

    def write() -> None:
        while not stop.is_set():
            api("PUT", "/containers/box/archive", plant(), query={"path": "/tmp/x"})

    workers = [threading.Thread(target=work) for work in (read, write)]
    for worker in workers:
        worker.start()
    time.sleep(2)
    eventually(lambda: len(seen) > 20, timeout=60, what="twenty requests")
    stop.set()
    for worker in workers:
        worker.join()
    assert len(seen) > 20
    assert not [data for data in seen if SECRET.encode() in data]


def test_while_the_path_is_swapped_at_full_speed(docker: Docker, api: Api, outside: str) -> None:
    """CVE-2026-42306: the same at some 100,000 swaps a second, with HEAD, GET and PUT; 10^5 requests in a long run."""
    docker("volume", "create", "race")
    shared = docker("volume", "inspect", "-f", "{{.Mountpoint}}", "race")
    docker("run", "-d", "--name", "box", "-v", "race:/r", IMAGE, "sleep", "86400")
    os.mkdir(f"{shared}/real")
    Path(f"{shared}/real/secret").write_text("own")
    os.symlink(outside, f"{shared}/link")
    reached = {"own": 0, "refused": 0}

    def turn() -> None:
        head = api("HEAD", "/containers/box/archive", query={"path": "/r/real/secret"})
        assert head.status in (200, 404, 400)
        answer = api("GET", "/containers/box/archive", query={"path": "/r/real/secret"})
        assert SECRET.encode() not in answer.body
        reached["own" if answer.status == 200 else "refused"] += 1
        listing = api("GET", "/containers/box/archive", query={"path": "/r/real/."})
        assert SECRET.encode() not in listing.body
        written = api("PUT", "/containers/box/archive", plant(), query={"path": "/r/real"})
        assert written.status in (200, 404, 400), written.body

    with swapping(f"{shared}/real", f"{shared}/link") as count:
        rounds(turn, RACES // 4, seconds=4, least=30)
    assert count[0] > (RACES if SOAK else 5000)
    assert reached["own"] and reached["refused"], "the race was not one"
    docker("rm", "-f", "box")
    docker("volume", "rm", "race")


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, bz2.compress, lzma.compress, zstandard.ZstdCompressor().compress],
    ids=["gzip", "bzip2", "xz", "zstd"],
)
def test_programs_and_libraries_of_a_container(clean: Daemon, api: Api, docker: Docker, outside: str, pack) -> None:
    """CVE-2026-41567, CVE-2019-14271: compressed uploads into an image that brings its own decompressors and libraries.

    Each program would leave a mark, on the host or, run in a chroot, in the container. There is none, and nothing of
    the container's tree is mapped into the daemon.
    """
    proof = f"{clean.base}/was-run"
    script = f"#!/bin/sh\necho run >> {proof}\n".encode()
    programs = ("unpigz", "pigz", "gzip", "gunzip", "xz", "unxz", "bzip2", "zstd", "tar", "docker-untar", "cortend")
    files = {f"{place}/{name}": script for place in ("bin", "usr/bin", "usr/local/bin", "sbin") for name in programs}
    libraries = ("libnss_files.so.2", "libnss_compat.so.2", "libnss_dns.so.2", "libc.so.6", "liblzma.so.5", "libz.so.1")
    for place in ("lib", "lib64", "usr/lib", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"):
        files |= {f"{place}/{name}": b"\x7fELF evil" for name in libraries}
    files |= {"etc/ld.so.preload": b"/lib/evil.so\n", "etc/nsswitch.conf": b"passwd: evil\ngroup: evil\n"}
    files |= {"etc/ld.so.cache": b"evil", "lib/evil.so": b"\x7fELF evil"}
    files[f"{clean.base[1:]}/here"] = b""
    make(api, "programs", tree(files=files))
    docker("create", "--name", "stopped", "programs", "true")
    docker("run", "-d", "--name", "running", "programs", "/bin/busybox", "sleep", "600")
    maps = Path(f"/proc/{clean.pid}/maps")
    children = children_of(clean.pid)
    for name in ("stopped", "running"):
        for path in ("/tmp", "/bin", "/lib"):
            answer = api("PUT", f"/containers/{name}/archive", pack(plant()), query={"path": path, "copyUIDGID": 1})
            assert answer.status == 200, answer.body
        assert api("HEAD", f"/containers/{name}/archive", query={"path": "/lib/planted"}).status == 200
        assert api("GET", f"/containers/{name}/export").status == 200
        docker("cp", f"{name}:/etc/passwd", "-")
        assert api("HEAD", f"/containers/{name}/archive", query={"path": f"{clean.base}/here"}).status == 200
        assert api("HEAD", f"/containers/{name}/archive", query={"path": proof}).status == 404
    assert not os.path.exists(proof)
    mapped = maps.read_text()
    assert f"{clean.data_root}/snapshots" not in mapped and clean.exec_root not in mapped
    assert children_of(clean.pid) <= children


def children_of(pid: int) -> set[str]:
    """Programs that are children of *pid* now."""
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                status = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
                if int(status[1]) == pid:
                    found.add(os.readlink(f"/proc/{entry}/exe"))
            except OSError:
                continue
    return found


@pytest.mark.parametrize("state", ["stopped", "running"])
def test_uploads_that_climb(clean: Daemon, api: Api, docker: Docker, outside: str, state: str) -> None:
    """GHSA-rg2x and its like: every shape of hostile layer, sent as an upload to a container. The host is unchanged."""
    docker("create", "--name", "box", IMAGE, "sleep", "600")
    if state == "running":
        docker("start", "box")
    for shapes in (REFUSED, HARMLESS):
        for what, shape in shapes.items():
            data = archive(directory("tmp"), *shape(outside))
            for place in ("/", "/tmp"):
                query = {"path": place, "copyUIDGID": 1}
                answer = api("PUT", "/containers/box/archive", data, query=query)
                assert answer.status in (200, 400), (what, answer.status, answer.body)
                assert SECRET.encode() not in answer.body
    assert api("GET", "/containers/box/json").status == 200


def test_absolute_links_work_with_volumes(api: Api, docker: Docker, outside: str) -> None:
    """/var/run -> /run is in every image; to refuse it would break them all (as a fix of Docker's once did)."""
    make(api, "usual", tree(("var/run", "/run"), ("data", "/var/run/deep")))
    assert docker("run", "--rm", "-v", "usual:/var/run/here", "usual", "sh", "-c", "ls -d /run/here") == "/run/here"
    assert docker("run", "--rm", "-v", "usual:/data/x", "usual", "sh", "-c", "ls -d /run/deep/x") == "/run/deep/x"
    docker("create", "--name", "box", "-v", "usual:/var/run/here", "usual", "true")
    assert api("PUT", "/containers/box/archive", plant(), query={"path": "/var/run/here"}).status == 200
    mountpoint = docker("volume", "inspect", "-f", "{{.Mountpoint}}", "usual")
    assert os.listdir(mountpoint) == ["planted"]
    docker("rm", "box")
    docker("volume", "rm", "usual")


def test_file_of_a_volume_that_becomes_a_link(docker: Docker, api: Api, outside: str) -> None:
    """CVE-2023-0778: a file that turns into a link to the host while it is archived comes out as a link or a file."""
    docker("volume", "create", "export")
    shared = docker("volume", "inspect", "-f", "{{.Mountpoint}}", "export")
    docker("run", "-d", "--name", "box", "-v", "export:/e", IMAGE, "sleep", "86400")
    Path(f"{shared}/file").write_text("own")
    os.symlink(f"{outside}/secret", f"{shared}/link")
    kinds = set()

    def turn() -> None:
        answer = api("GET", "/containers/box/archive", query={"path": "/e/."})
        assert SECRET.encode() not in answer.body
        if answer.status == 200:
            with tarfile.open(fileobj=io.BytesIO(answer.body)) as tar:
                kinds.update((member.name, member.type) for member in tar)

    with swapping(f"{shared}/file", f"{shared}/link"):
        rounds(turn, RACES // 10, seconds=2, least=50)
    assert ("./file", tarfile.SYMTYPE) in kinds and ("./file", tarfile.REGTYPE) in kinds
    docker("rm", "-f", "box")
    docker("volume", "rm", "export")
