"""Tar archives and image archives for tests, made by hand so that they can be wrong on purpose."""

import hashlib
import json
import os
from collections.abc import Iterable

from corten.wire import tarwrite


def member(name, data=b"", **fields):
    """One member's header, payload and padding."""
    raw = name if isinstance(name, bytes) else name.encode()
    return tarwrite.header(raw, size=len(data), **fields) + data + tarwrite.padding(len(data))


def directory(name, mode=0o755, **fields):
    return member(name, kind=tarwrite.DIRECTORY, mode=mode, **fields)


def symlink(name, target):
    return member(name, kind=tarwrite.SYMLINK, link=target.encode())


def hardlink(name, target):
    return member(name, kind=tarwrite.HARDLINK, link=target.encode())


def archive(*members: bytes) -> bytes:
    return b"".join(members) + tarwrite.TRAILER


def pieces(data: bytes, size: int = 1 << 16):
    """A read function over *data*."""
    iterator = iter([data[start : start + size] for start in range(0, len(data), size)])
    return lambda: next(iterator, b"")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def config_for(layers: Iterable[bytes], **fields) -> bytes:
    """An image config for uncompressed *layers*."""
    return json.dumps(
        {
            "architecture": fields.pop("architecture", "amd64"),
            "os": "linux",
            "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha256(layer) for layer in layers]},
            "history": [{"created_by": f"step {n}"} for n, _ in enumerate(layers)],
            **fields,
        }
    ).encode()


def docker_archive(layers: list[bytes], tags: list[str], config: bytes | None = None) -> bytes:
    """As dockerd 20.10 saves: <id>/layer.tar, a config named by its digest, manifest.json at the end."""
    config = config if config is not None else config_for(layers)
    parts = []
    paths = []
    for number, layer in enumerate(layers):
        identity = sha256(b"%d" % number + layer)
        paths.append(f"{identity}/layer.tar")
        parts += [directory(identity + "/"), member(f"{identity}/VERSION", b"1.0"), member(paths[-1], layer)]
    name = sha256(config) + ".json"
    listing = json.dumps([{"Config": name, "RepoTags": tags or None, "Layers": paths}]).encode()
    return archive(*parts, member(name, config), member("manifest.json", listing))


def busybox_layer() -> bytes:
    """A layer with a static busybox that can run."""
    with open("/bin/busybox", "rb") as file:
        program = file.read()
    return archive(
        directory("bin"),
        member("bin/busybox", program, mode=0o755),
        symlink("bin/sh", "busybox"),
        directory("etc"),
        member("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n"),
        directory("tmp", mode=0o1777),
    )


def tree(path: str) -> dict[str, str]:
    """What lies below *path*, for comparisons: relative name to kind and content or target."""
    found = {}
    for base, directories, files in os.walk(path):
        for name in directories + files:
            full = os.path.join(base, name)
            relative = os.path.relpath(full, path)
            if os.path.islink(full):
                found[relative] = "-> " + os.readlink(full)
            elif os.path.isdir(full):
                found[relative] = "dir"
            elif os.path.isfile(full):
                with open(full, "rb") as file:
                    found[relative] = file.read(200).decode("latin-1")
            else:
                found[relative] = "special"
    return found
