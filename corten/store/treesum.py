"""A sum over a directory tree, to find out later whether it is still what it was.

Every entry below the root counts with its path, kind, owner, mode, size, time, link target and device, as in mtree(5).
Contents do not, unless asked for: a file that was cut, emptied, replaced or lost shows without reading a byte of it,
and a sum of 5,000 files costs some tens of milliseconds. The root itself is left out, as its looks come from the layers
below it.
"""

import hashlib
import os
import stat
from typing import TYPE_CHECKING

import msgspec

from corten.linux import path as paths

if TYPE_CHECKING:
    from hashlib import _Hash

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BELOW = paths.RESOLVE_BENEATH | paths.RESOLVE_NO_SYMLINKS
_CHUNK = 1 << 20


class TreeSum(msgspec.Struct, frozen=True):
    """``size`` is the bytes in regular files, ``digest`` the SHA-256 over everything in the order of the names."""

    entries: int
    size: int
    digest: str


def tree_sum(path: str, *, contents: bool = False) -> TreeSum:
    """The sum of what lies below *path*.

    With *contents*, files are read, and the times of directories are left out: two trees that were unpacked from the
    same archive have the same sum. ``OSError`` when something cannot be read.
    """
    summer = _Summer(contents)
    with paths.opened(paths.open_root(path)) as root:
        pending = [b""]
        while pending:
            prefix = pending.pop()
            fd = paths.openat2(root, prefix or b".", _DIRECTORY, resolve=_BELOW)
            with paths.opened(fd):
                pending += summer.directory(fd, prefix)
    return TreeSum(summer.entries, summer.size, "sha256:" + summer.hash.hexdigest())


class _Summer:
    def __init__(self, contents: bool) -> None:
        self.contents = contents
        self.entries = 0
        self.size = 0
        self.hash: _Hash = hashlib.sha256()

    def directory(self, fd: int, prefix: bytes) -> list[bytes]:
        """Count what is in one directory; returns the directories to go on with."""
        if prefix:
            self._attributes(fd)
        below = []
        for name in sorted(map(os.fsencode, os.listdir(fd))):
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            self._entry(fd, name, prefix + name, status)
            if stat.S_ISDIR(status.st_mode):
                below.append(prefix + name + b"/")
        return below

    def _entry(self, fd: int, name: bytes, full: bytes, status: os.stat_result) -> None:
        mode = status.st_mode
        regular, directory = stat.S_ISREG(mode), stat.S_ISDIR(mode)
        self.entries += 1
        if regular:
            self.size += status.st_size
        self.hash.update(
            b"%d:%s %o %d %d %d %d %d "
            % (
                len(full), full, mode, status.st_uid, status.st_gid, status.st_size if regular else 0,
                0 if directory and self.contents else status.st_mtime_ns,
                status.st_rdev if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else 0,
            )
        )  # fmt: skip
        if stat.S_ISLNK(mode):
            self.hash.update(os.readlink(name, dir_fd=fd) + b"\0")
        if self.contents and not directory:
            self._attributes(b"/proc/self/fd/%d/%s" % (fd, name))
            if regular:
                self._read(fd, name)

    def _attributes(self, where: bytes | int) -> None:
        """Extended attributes, in order. Of files only with their contents: asking costs more than all the rest."""
        follow = isinstance(where, int)
        for key in sorted(os.listxattr(where, follow_symlinks=follow)):
            value = os.getxattr(where, key, follow_symlinks=follow)
            self.hash.update(b"%s=%d:%s" % (key.encode(), len(value), value))

    def _read(self, parent: int, name: bytes) -> None:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            while chunk := os.read(fd, _CHUNK):
                self.hash.update(chunk)
        finally:
            os.close(fd)
