"""Overlay mounts of layers and of containers' own directories, with errors that name what was to be mounted."""

import os
from collections.abc import Sequence

from corten import errors
from corten.linux import mount


def make_directories(upper: str, lowers: Sequence[str]) -> None:
    """Make *upper*, with the looks of the topmost directory below it, and its work directory beside it."""
    os.makedirs(os.path.join(os.path.dirname(upper), "work"), mode=0o700, exist_ok=True)
    status = os.stat(lowers[0])
    os.makedirs(upper, exist_ok=True)
    os.chown(upper, status.st_uid, status.st_gid)
    os.chmod(upper, status.st_mode & 0o7777)


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
