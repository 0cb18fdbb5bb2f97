"""The tar archive of what an overlay's upper directory changes: a new layer (image-spec, layer.md).

The tree is walked by directory descriptors with ``O_NOFOLLOW``; a link in it is archived as a link and leads nowhere.
A file that changes its size meanwhile is cut or filled with zeros to the size that its header promised.
"""

import errno
import os
import stat
from collections.abc import Iterator

from corten.store.changes import is_opaque, is_whiteout
from corten.wire import tarwrite

_CHUNK = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OVERLAY = ("trusted.overlay.", "user.overlay.")
_KINDS = {
    stat.S_IFREG: tarwrite.REGULAR,
    stat.S_IFDIR: tarwrite.DIRECTORY,
    stat.S_IFLNK: tarwrite.SYMLINK,
    stat.S_IFCHR: tarwrite.CHARACTER,
    stat.S_IFBLK: tarwrite.BLOCK_DEVICE,
    stat.S_IFIFO: tarwrite.FIFO,
}


def layer_archive(upper: str) -> Iterator[bytes]:
    """The archive in pieces, names sorted, whiteouts in place of the kernel's marks. Sockets are left out."""
    fd = os.open(upper, _DIRECTORY)
    try:
        yield from _Walk().directory(fd, b"")
    finally:
        os.close(fd)
    yield tarwrite.TRAILER


class _Walk:
    def __init__(self) -> None:
        self._seen: dict[tuple[int, int], bytes] = {}

    def directory(self, fd: int, prefix: bytes) -> Iterator[bytes]:
        for text in sorted(os.listdir(fd)):
            name = os.fsencode(text)
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if is_whiteout(status):
                yield tarwrite.header(prefix + b".wh." + name, mode=0o600)
            elif stat.S_ISDIR(status.st_mode):
                yield from self._subdirectory(fd, name, prefix, status)
            else:
                yield from self._entry(fd, name, prefix + name, status)

    def _subdirectory(self, parent: int, name: bytes, prefix: bytes, status: os.stat_result) -> Iterator[bytes]:
        try:
            fd = os.open(name, _DIRECTORY, dir_fd=parent)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            full = prefix + name + b"/"
            yield _header(full, tarwrite.DIRECTORY, status, xattrs=_xattrs(parent, name))
            if is_opaque(fd):
                yield tarwrite.header(full + b".wh..wh..opq", mode=0o600)
            yield from self.directory(fd, full)
        finally:
            os.close(fd)

    def _entry(self, parent: int, name: bytes, full: bytes, status: os.stat_result) -> Iterator[bytes]:
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return
        identity = (status.st_dev, status.st_ino)
        if status.st_nlink > 1:
            if identity in self._seen:
                yield _header(full, tarwrite.HARDLINK, status, link=self._seen[identity])
                return
            self._seen[identity] = full
        if kind == tarwrite.REGULAR:
            yield from _regular(parent, name, full)
        else:
            link = os.readlink(name, dir_fd=parent) if kind == tarwrite.SYMLINK else b""
            yield _header(full, kind, status, link=link, xattrs=_xattrs(parent, name))


def _regular(parent: int, name: bytes, full: bytes) -> Iterator[bytes]:
    try:
        fd = os.open(name, _FILE, dir_fd=parent)
    except FileNotFoundError:
        return
    try:
        status = os.fstat(fd)
        yield _header(full, tarwrite.REGULAR, status, xattrs=_xattrs(parent, name))
        left = status.st_size
        while left:
            chunk = os.read(fd, min(_CHUNK, left)) or bytes(min(_CHUNK, left))
            left -= len(chunk)
            yield chunk
        yield tarwrite.padding(status.st_size)
    finally:
        os.close(fd)


def _header(
    full: bytes, kind: bytes, status: os.stat_result, *, link: bytes = b"", xattrs: dict[str, bytes] | None = None
) -> bytes:
    return tarwrite.header(
        full,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size if kind == tarwrite.REGULAR else 0,
        mtime=status.st_mtime_ns,
        link=link,
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if kind in (b"3", b"4") else (0, 0),
        xattrs=xattrs,
    )


def _xattrs(parent: int, name: bytes) -> dict[str, bytes]:
    """Without the overlay's own. The path goes through our own descriptor and a last component that is not followed."""
    path = b"/proc/self/fd/%d/%s" % (parent, name)
    found: dict[str, bytes] = {}
    try:
        for key in os.listxattr(path, follow_symlinks=False):
            if not key.startswith(_OVERLAY):
                found[key] = os.getxattr(path, key, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENODATA, errno.ENOENT):
            raise
    return found
