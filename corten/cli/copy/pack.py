"""Local files as a tar stream."""

from __future__ import annotations

import os
import stat

from corten.cli.failure import Failure
from corten.wire import tarwrite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = 1024 * 1024


def pack(path: str, name: str, follow: bool = False) -> Iterator[bytes]:
    """The archive of ``path``, whose root entry is called ``name``. ``follow`` resolves ``path`` if it is a link.

    A file that shrinks while it is read is filled up with zeros, as the size is already told. Hard links within the
    tree stay hard links; sockets are left out.
    """
    links: dict[tuple[int, int], bytes] = {}
    yield from _member(os.fsencode(path), os.fsencode(name), links, follow)
    yield tarwrite.TRAILER


def _member(path: bytes, name: bytes, links: dict[tuple[int, int], bytes], follow: bool = False) -> Iterator[bytes]:
    try:
        info = os.stat(path) if follow else os.lstat(path)
    except OSError as error:
        raise Failure(f"lstat {os.fsdecode(path)}: {(error.strerror or '').lower()}") from None
    kind = stat.S_IFMT(info.st_mode)
    if kind == stat.S_IFDIR:
        yield _header(name.rstrip(b"/") + b"/", info, tarwrite.DIRECTORY)
        for child in sorted(os.listdir(path)):
            yield from _member(os.path.join(path, child), os.path.join(name, child), links)
    elif kind == stat.S_IFLNK:
        yield _header(name, info, tarwrite.SYMLINK, link=os.readlink(path))
    elif kind == stat.S_IFREG:
        key = (info.st_dev, info.st_ino)
        if info.st_nlink > 1 and key in links:
            yield _header(name, info, tarwrite.HARDLINK, link=links[key])
            return
        links[key] = name
        yield from _file(path, name)
    elif kind == stat.S_IFIFO:
        yield _header(name, info, tarwrite.FIFO)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        device = tarwrite.CHARACTER if kind == stat.S_IFCHR else tarwrite.BLOCK_DEVICE
        yield _header(name, info, device)


def _header(name: bytes, info: os.stat_result, kind: bytes, size: int = 0, link: bytes = b"") -> bytes:
    return tarwrite.header(
        name,
        kind=kind,
        mode=stat.S_IMODE(info.st_mode),
        uid=info.st_uid,
        gid=info.st_gid,
        size=size,
        mtime=info.st_mtime_ns,
        link=link,
        device=(os.major(info.st_rdev), os.minor(info.st_rdev)),
    )


def _file(path: bytes, name: bytes) -> Iterator[bytes]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Failure(f"open {os.fsdecode(path)}: {(error.strerror or '').lower()}") from None
    try:
        info = os.fstat(descriptor)
        yield _header(name, info, tarwrite.REGULAR, info.st_size)
        left = info.st_size
        while left and (data := os.read(descriptor, min(_BLOCK, left))):
            left -= len(data)
            yield data
        while left:
            yield bytes(min(left, _BLOCK))
            left -= min(left, _BLOCK)
        yield tarwrite.padding(info.st_size)
    finally:
        os.close(descriptor)
