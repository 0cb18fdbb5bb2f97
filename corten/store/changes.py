"""What an overlay's upper directory changes against its lower ones.

Reads the kernel's marks (Documentation/filesystems/overlayfs.rst): a character device 0/0 hides a name below, the xattr
``trusted.overlay.opaque`` on a directory hides everything below it. Names are walked by directory descriptors with
``O_NOFOLLOW``, so a link in a tree leads nowhere even while a container is changing it.
"""

import errno
import os
import stat
from collections.abc import Iterator

OPAQUE = "trusted.overlay.opaque"
MODIFIED, ADDED, DELETED = 0, 1, 2
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def is_whiteout(status: os.stat_result) -> bool:
    """Whether a file of an upper directory says "deleted"."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(fd: int) -> bool:
    """Whether the directory *fd* hides what lies below it."""
    try:
        return os.getxattr(fd, OPAQUE) == b"y"
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
            return False
        raise


def changes(upper: str, lowers: list[str]) -> list[tuple[str, int]]:
    """(absolute path inside the container, kind) of every difference, sorted by path."""
    found: list[tuple[str, int]] = []
    fds = [os.open(path, _DIRECTORY) for path in lowers]
    top = os.open(upper, _DIRECTORY)
    try:
        _compare(top, fds, "", found)
    finally:
        for fd in (top, *fds):
            os.close(fd)
    return sorted(found)


def _compare(upper: int, lowers: list[int], prefix: str, found: list[tuple[str, int]]) -> None:
    for name in os.listdir(upper):
        try:
            status = os.stat(name, dir_fd=upper, follow_symlinks=False)
        except FileNotFoundError:
            continue
        path = f"{prefix}/{name}"
        if is_whiteout(status):
            if _exists(lowers, name):
                found.append((path, DELETED))
            continue
        found.append((path, MODIFIED if _exists(lowers, name) else ADDED))
        if stat.S_ISDIR(status.st_mode):
            _compare_directory(upper, lowers, name, path, found)


def _compare_directory(upper: int, lowers: list[int], name: str, path: str, found: list[tuple[str, int]]) -> None:
    try:
        fd = os.open(name, _DIRECTORY, dir_fd=upper)
    except (FileNotFoundError, NotADirectoryError):
        return
    below: list[int] = []
    try:
        below = list(_descend(lowers, name))
        if is_opaque(fd):
            kept = set(os.listdir(fd))
            found.extend((f"{path}/{hidden}", DELETED) for hidden in _merged_names(below) - kept)
            # names that are there again count as modified, as their lower twin shows
        _compare(fd, below, path, found)
    finally:
        for item in (fd, *below):
            os.close(item)


def _exists(lowers: list[int], name: str) -> bool:
    """Whether the merged lower directories show *name*."""
    for lower in lowers:
        try:
            return not is_whiteout(os.stat(name, dir_fd=lower, follow_symlinks=False))
        except FileNotFoundError:
            continue
    return False


def _descend(lowers: list[int], name: str) -> Iterator[int]:
    """Descriptors of the lower directories called *name* that show through, top first."""
    for lower in lowers:
        try:
            fd = os.open(name, _DIRECTORY, dir_fd=lower)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
                return
            raise
        yield fd
        if is_opaque(fd):
            return


def _merged_names(lowers: list[int]) -> set[str]:
    return {name for lower in lowers for name in os.listdir(lower) if _exists(lowers, name)}
