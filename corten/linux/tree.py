"""Removing and measuring directory trees that somebody else has filled.

Trees may be nested deeper than a path name, the number of descriptors or Python's stack allow, and may be changed
meanwhile by a container. So there is one descriptor at a time: down by name without following links or crossing
mounts, up by "..", checked to be the directory that it came from.
"""

import errno
import os
import stat
from collections.abc import Callable

from corten.linux import path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_ONE_DOWN = path.RESOLVE_BENEATH | path.RESOLVE_NO_SYMLINKS | path.RESOLVE_NO_XDEV


def remove(directory: int, name: str) -> None:
    """Delete *name* in *directory* and all that is below; nothing when it is not there.

    Raises ``OSError``: EXDEV when something is mounted below, EBUSY when the tree is moved meanwhile.
    """
    try:
        os.unlink(name, dir_fd=directory)
        return
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        pass  # a directory: EISDIR on Linux, EPERM by POSIX
    with path.opened(path.openat2(directory, name, _DIRECTORY, resolve=_ONE_DOWN)) as fd:
        empty(fd)
    os.rmdir(name, dir_fd=directory)


def empty(directory: int) -> None:
    """Delete everything in the open *directory*, as ``remove``."""
    _walk(directory, _unlink_files, lambda parent, name: os.rmdir(name, dir_fd=parent))


def apparent_size(directory: int) -> int:
    """Bytes in the files below the open *directory*; hard links count once, mounts below do not."""
    total = 0
    seen: set[tuple[int, int]] = set()

    def measure(fd: int) -> list[str]:
        nonlocal total
        directories = []
        for name in os.listdir(fd):
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(status.st_mode):
                directories.append(name)
            elif (identity := (status.st_dev, status.st_ino)) not in seen:
                total += status.st_size
                if status.st_nlink > 1:
                    seen.add(identity)
        return directories

    _walk(directory, measure, lambda *_: None, tolerant=True)
    return total


def _unlink_files(fd: int) -> list[str]:
    """Delete what is no directory; returns the directories."""
    directories = []
    for name in os.listdir(fd):
        try:
            os.unlink(name, dir_fd=fd)
        except FileNotFoundError:
            continue
        except (IsADirectoryError, PermissionError):
            if not stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                raise
            directories.append(name)
    return directories


def _walk(
    top: int, enter: Callable[[int], list[str]], leave: Callable[[int, str], None], tolerant: bool = False
) -> None:
    """Depth first: *enter* each directory, which returns the ones to go down to; *leave* (parent, name) behind it.

    With *tolerant*, what vanished or is a mount is passed over, and the walk ends where the tree was moved.
    """
    fd = path.reopen(top, _DIRECTORY & ~os.O_NOFOLLOW)
    try:
        levels = [("", _identity(fd), enter(fd))]
        while levels:
            name, _, below = levels[-1]
            if below:
                child_name = below.pop()
                try:
                    child = path.openat2(fd, child_name, _DIRECTORY, resolve=_ONE_DOWN)
                except OSError:
                    if tolerant:
                        continue
                    raise
                os.close(fd)
                fd = child
                levels.append((child_name, _identity(fd), enter(fd)))
                continue
            levels.pop()
            if not levels:
                return
            parent = os.open("..", _DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = parent
            if _identity(fd) != levels[-1][1]:
                if tolerant:
                    return
                raise OSError(errno.EBUSY, "the directory was moved meanwhile", name)
            leave(fd, name)
    finally:
        os.close(fd)


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
