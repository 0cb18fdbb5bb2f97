"""The images that are measured with: docker archives, the same bytes every time."""

import hashlib
import io
import json
import random
import tarfile

from tests.support import busybox

LAYERS = 8
FILES = 600
"""Files a layer; with :data:`SIZE` bytes each an image of 630 MB."""
SIZE = 131_072


def small(path: str) -> None:
    """busybox:latest in one layer."""
    write(path, "busybox:latest", [busybox.rootfs_tar()])


def big(path: str) -> None:
    """big:latest: 8 layers, 4,800 files, 630 MB that do not compress."""
    write(path, "big:latest", [layer(number) for number in range(LAYERS)])


def tiny(number: int) -> bytes:
    """A root file system of one small file, different for each number."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        add(tar, "number", str(number).encode())
    return buffer.getvalue()


def layer(number: int) -> bytes:
    source = random.Random(number)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for index in range(FILES):
            add(tar, f"layer{number}/folder{index % 20}/file{index}", source.randbytes(SIZE))
    return buffer.getvalue()


def write(path: str, name: str, layers: list[bytes]) -> None:
    digests = [hashlib.sha256(data).hexdigest() for data in layers]
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["sh"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
            "history": [{"created_by": "bench"} for _ in layers],
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    names = [f"{digest}/layer.tar" for digest in digests]
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": names}]).encode()
    with tarfile.open(path, "w") as tar:
        for entry, data in [(config_name, config), *zip(names, layers, strict=True), ("manifest.json", manifest)]:
            add(tar, entry, data)


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o644
    tar.addfile(entry, io.BytesIO(data))
