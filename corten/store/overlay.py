"""Overlay mounts of layers and of containers' own directories, with errors that name what was to be mounted."""

import os
from collections.abc import Sequence

from corten import errors
from corten.linux import mount


def mount_container(
    key: str, target: str, lowers: Sequence[str], upper: str, work: str, *, readonly: bool = False
) -> None:
    """Mount container *key*'s directory *upper* above *lowers* (top first) on *target*."""
    try:
        mount.mount_overlay(target, list(lowers), upper, work, readonly=readonly)
    except OSError as error:
        if os.statvfs(upper).f_flag & os.ST_RDONLY:  # overlayfs calls that an invalid argument
            raise errors.System(f"cannot mount the file system of container {key}: read-only file system") from error
        raise errors.System(f"cannot mount the file system of container {key}: {error}") from error


def unmount(target: str) -> None:
    """Unmount lazily; nothing happens when *target* is no mount."""
    try:
        mount.umount_if_mounted(target)
    except OSError as error:
        raise errors.System(f"cannot unmount {target}: {error}") from error
