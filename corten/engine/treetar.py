"""A file tree as a tar stream, read by descriptor so that a container that changes it meanwhile can redirect nothing.

Each directory is opened below its parent without following links; a file is opened only after it has proved to be a
regular one. Nothing is written to disk. Mounts of the kernel's views (/proc, /sys) count as empty directories, unless
the tree begins inside of one.
"""

import os
import stat
from collections.abc import Iterator

from corten import errors
from corten.linux import filesystem, path, xattr
from corten.wire import tarwrite

CHUNK = 1 << 20
MAX_DEPTH = 1024
_KINDS = {
    stat.S_IFREG: tarwrite.REGULAR,
    stat.S_IFDIR: tarwrite.DIRECTORY,
    stat.S_IFLNK: tarwrite.SYMLINK,
    stat.S_IFIFO: tarwrite.FIFO,
    stat.S_IFCHR: tarwrite.CHARACTER,
    stat.S_IFBLK: tarwrite.BLOCK_DEVICE,
}
_GONE = (FileNotFoundError, ProcessLookupError)
_ENTRY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class TreeTar:
    """Iterate over the archive's bytes. *names* of the members are bytes relative to what the caller chose."""

    def __init__(self) -> None:
        self._links: dict[tuple[int, int], bytes] = {}

    def entry(self, fd: int, name: bytes) -> Iterator[bytes]:
        """The file that *fd* (``O_PATH``) is open on, as member *name*; a directory with everything below."""
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            yield self._header(fd, name.rstrip(b"/") + b"/", status)
            yield from self.children(fd, name.rstrip(b"/") + b"/")
        else:
            yield from self._single(fd, name, status)

    def children(self, fd: int, prefix: bytes) -> Iterator[bytes]:
        """What is in the directory *fd*, sorted, each name behind *prefix*. One open descriptor per level."""
        levels = [_Level(fd, prefix)]
        try:
            while levels:
                level = levels[-1]
                if not level.names:
                    level.close()
                    levels.pop()
                    continue
                name = level.names.pop()
                try:
                    child = os.open(name, _ENTRY, dir_fd=level.fd)
                except FileNotFoundError:
                    continue  # removed since the directory was read
                with path.opened(child):
                    status = os.fstat(child)
                    if not stat.S_ISDIR(status.st_mode):
                        yield from _unless_gone(self._single(child, level.prefix + name, status))
                        continue
                    if len(levels) >= MAX_DEPTH:
                        raise errors.System(f"directories are nested deeper than {MAX_DEPTH}")
                    if status.st_dev != level.device and filesystem.is_view(child):
                        yield self._header(child, level.prefix + name + b"/", status)
                        continue  # a mount of /proc or the like: empty, as it is while the container does not run
                    try:
                        below = _Level(child, level.prefix + name + b"/")
                        levels.append(below)
                        header = self._header(child, below.prefix, status)
                    except _GONE:
                        continue
                    yield header
        finally:
            for level in levels:
                level.close()

    def _single(self, fd: int, name: bytes, status: os.stat_result) -> Iterator[bytes]:
        if stat.S_ISSOCK(status.st_mode):
            return  # tar has no sockets
        if status.st_nlink > 1:
            first = self._links.setdefault((status.st_dev, status.st_ino), name)
            if first != name:
                yield self._header(fd, name, status, first)
                return
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            yield self._header(fd, name, status)
            return
        with path.opened(path.reopen(fd, os.O_RDONLY | os.O_NOCTTY)) as file:
            if (
                status.st_size <= CHUNK
            ):  # read first: the header then says what there is, also for sysfs's pretended sizes
                data = b"".join(_pieces(file, status.st_size))
                yield self._header(fd, name, status, size=len(data)) + data + tarwrite.padding(len(data))
                return
            yield self._header(fd, name, status)
            left = status.st_size
            for piece in _pieces(file, status.st_size):
                left -= len(piece)
                yield piece
        if left:  # the header is out; better no archive than a wrong one
            raise errors.System(f"file {os.fsdecode(name)} became shorter while it was read")
        yield tarwrite.padding(status.st_size)

    def _header(self, fd: int, name: bytes, status: os.stat_result, first: bytes = b"", size: int = -1) -> bytes:
        """*first* is the earlier name that a hard link refers to; *size* counts in place of the status's unless -1."""
        kind = tarwrite.HARDLINK if first else _KINDS[stat.S_IFMT(status.st_mode)]
        return tarwrite.header(
            name,
            kind=kind,
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
            size=(status.st_size if size < 0 else size) if kind == tarwrite.REGULAR else 0,
            # whole seconds, as Docker writes them: fractions would treble every header
            mtime=status.st_mtime_ns // 1_000_000_000 * 1_000_000_000,
            link=os.readlink(b"", dir_fd=fd) if kind == tarwrite.SYMLINK else first,
            device=(os.major(status.st_rdev), os.minor(status.st_rdev)),
            xattrs=_attributes(fd) if kind in (tarwrite.REGULAR, tarwrite.DIRECTORY) else None,
        )


class _Level:
    """A directory on the way down: what is still to come of it, last name first."""

    def __init__(self, directory: int, prefix: bytes) -> None:
        self.prefix = prefix
        self.device = os.fstat(directory).st_dev
        self.fd = path.reopen(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.names = sorted(map(os.fsencode, os.listdir(self.fd)), reverse=True)
        except BaseException:
            os.close(self.fd)
            raise

    def close(self) -> None:
        os.close(self.fd)


def _unless_gone(parts: Iterator[bytes]) -> Iterator[bytes]:
    """A member, or nothing when it vanished before its first byte: in a container's /proc, processes end."""
    try:
        first = next(parts, b"")
    except _GONE:
        return
    yield first
    yield from parts


def _attributes(fd: int) -> dict[str, bytes]:
    """What other systems understand: file capabilities and users' own attributes."""
    return {
        name: value
        for name, value in xattr.read(fd).items()
        if name == "security.capability" or name.startswith("user.")
    }


def _pieces(file: int, size: int) -> Iterator[bytes]:
    """At most *size* bytes of an open file."""
    while size and (data := os.read(file, min(size, CHUNK))):
        size -= len(data)
        yield data
