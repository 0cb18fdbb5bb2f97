"""How much room is left: what comes from outside may not fill the disk that the containers live on."""

import os

from corten import errors

RESERVE = 256 << 20
"""Bytes that have to stay free on the file system of images and layers, on a small one ``SHARE`` of it."""

SHARE = 1 / 20

CHECK_EVERY = 64 << 20
"""Bytes that may be written between two looks."""


def check(fd: int, reserve: int | None = None) -> None:
    """Raise ``Exhausted`` when the file system of *fd* has less than *reserve* bytes left."""
    space = os.fstatvfs(fd)
    if space.f_bavail * space.f_frsize < (_reserve(space) if reserve is None else reserve):
        raise _full()


def check_room(path: str, coming: int) -> None:
    """Raise ``Exhausted`` when *coming* bytes do not fit beside the reserve of the file system of *path*."""
    space = os.statvfs(path)
    if space.f_bavail * space.f_frsize < _reserve(space) + coming:
        raise _full()


def free(path: str) -> int:
    """Bytes that may still be written beside the reserve."""
    space = os.statvfs(path)
    return max(0, space.f_bavail * space.f_frsize - _reserve(space))


def total(path: str) -> int:
    """Bytes of the file system of *path*."""
    space = os.statvfs(path)
    return space.f_blocks * space.f_frsize


def _reserve(space: os.statvfs_result) -> int:
    return min(RESERVE, int(space.f_blocks * space.f_frsize * SHARE))


def _full() -> errors.Exhausted:
    return errors.Exhausted("no space left on device: what is coming in does not fit beside the reserve")
