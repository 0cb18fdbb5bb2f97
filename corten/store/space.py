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
    if reserve is None:
        reserve = min(RESERVE, int(space.f_blocks * space.f_frsize * SHARE))
    if space.f_bavail * space.f_frsize < reserve:
        raise errors.Exhausted("no space left on device: what is coming in does not fit beside the reserve")
