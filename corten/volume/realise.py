"""From mount points to mounts, at start: sources made, driver volumes mounted, empty volumes filled, subpaths pinned.

What lies inside a volume or an image is found by ``openat2`` and bound, by descriptor, onto a private mount point in
``<exec root>/volumes/<container id>/``: whoever can write in the volume cannot exchange what gets mounted.
"""

import logging
import os
import stat
from typing import TYPE_CHECKING

from corten import errors, faultpoint
from corten.linux import durable, mount, path, tree
from corten.model.container import MountPoint
from corten.model.mount import SpecMount
from corten.model.record import Record
from corten.volume import copyup, propagation, tmpfs

if TYPE_CHECKING:
    from corten.volume.store import Volumes

log = logging.getLogger(__name__)

_FILLING = ".filling"


def realise(volumes: "Volumes", record: Record, rootfs: str) -> list[SpecMount]:
    """The container's mounts, parents before children. On failure everything is given back.

    Raises InvalidArgument (a source is missing), System (a mount failed), NotFound (a volume is gone).
    """
    overridden = {os.path.normpath(target) for target in record.host_config.tmpfs or {}}
    points = [point for point in record.mounts if point.destination not in overridden]
    try:
        _acquire(volumes, record)
        if points:
            with path.opened(path.open_root(rootfs)) as root:
                populate(volumes, record, root)
                _make_linked_targets(root, points)
        mounts = [_spec_mount(volumes, record, index, point) for index, point in enumerate(points)]
        _announce(volumes, record, points)
    except BaseException:
        release(volumes, record)
        raise
    for target, options in (record.host_config.tmpfs or {}).items():
        mounts.append(
            SpecMount(destination=target, type="tmpfs", source="tmpfs", options=tmpfs.runtime_options(options))
        )
    return sorted(mounts, key=lambda entry: (entry.destination.rstrip("/").count("/"), entry.destination))


def release(volumes: "Volumes", record: Record) -> None:
    """Undo ``realise``; idempotent."""
    for point in record.mounts:
        if point.type == "volume":
            volumes.leave(point.name, record.id)
    _clear(_private(volumes.exec_root, record.id))


def clear_others(exec_root: str, live: set[str]) -> None:
    """Unmount and remove the private mount points of containers that are not in *live*."""
    directory = os.path.join(exec_root, "volumes")
    if os.path.isdir(directory):
        for name in os.listdir(directory):
            if name not in live:
                _clear(os.path.join(directory, name))


def _acquire(volumes: "Volumes", record: Record) -> None:
    for point in record.mounts:
        if point.type == "volume":
            volumes.acquire(point.name, record.id)


def _make_linked_targets(root: int, points: list[MountPoint]) -> None:
    """Where a link of the image leads to a missing directory, make it; inside the root, as always.

    Runtimes make missing mount points themselves, but crun does not follow a dangling link.
    """
    for point in points:
        try:
            target = path.resolve(root, point.destination)
        except OSError:
            continue  # a file or a loop is in the way: the runtime refuses it in its own words
        below_other = any(target.startswith(f"{other.destination}/") for other in points)
        if target == point.destination or below_other or path.exists(root, target):
            continue
        if point.type == "bind" and not os.path.isdir(point.source):
            target = os.path.dirname(target)  # for a file, the runtime makes the rest
        os.close(path.mkdir_in_root(root, target))


def _announce(volumes: "Volumes", record: Record, points: list[MountPoint]) -> None:
    for point in points:
        if point.type == "volume":
            attributes = {"driver": point.driver, "container": record.id, "destination": point.destination}
            attributes |= {"read/write": str(point.rw).lower(), "propagation": point.propagation}
            volumes.emit("mount", point.name, attributes)


# filling (copy-up)


def _to_fill(record: Record, point: MountPoint) -> bool:
    return point.type == "volume" and not point.no_copy and not record.state.has_been_started


def populate(volumes: "Volumes", record: Record, root_fd: int) -> None:
    """Copy the image's files at the destinations of still empty volumes into them, once in a container's life.

    *root_fd* is the container's root without its volumes. A volume whose filling was cut short by a crash is emptied
    and filled anew.
    """
    for point in record.mounts:
        if _to_fill(record, point):
            with volumes.filling(point.name):
                _fill(volumes, point, root_fd)


def _fill(volumes: "Volumes", point: MountPoint, root_fd: int) -> None:
    try:
        source = path.open_in_root(root_fd, point.destination, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return
    marker = os.path.join(os.path.dirname(volumes.driver.mountpoint(point.name)), _FILLING)
    with (
        path.opened(source),
        path.opened(volumes.data_root(point.name)) as data,
        path.opened(open_subpath(data, point, os.O_RDONLY | os.O_DIRECTORY)) as target,
    ):
        if os.path.lexists(marker):
            tree.empty(target)
        if os.listdir(target):
            return
        if not os.listdir(source):
            copyup.copy_tree(source, target)  # its owner and mode only
            return
        os.close(os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            durable.sync_directory(os.path.dirname(marker))
            copyup.copy_tree(source, target)
            mount.syncfs(target)  # a volume that counts as filled must be full after a power cut, too
            faultpoint.reach("volume.filled")
        except OSError as error:
            tree.empty(target)
            raise errors.System(
                f"failed to copy {point.destination} of the image into volume {point.name}: {error}"
            ) from error
        finally:
            os.unlink(marker)
            durable.sync_directory(os.path.dirname(marker))  # or a later filling would empty it of other data


# single mounts


def _spec_mount(volumes: "Volumes", record: Record, index: int, point: MountPoint) -> SpecMount:
    if point.type == "tmpfs":
        options = tmpfs.runtime_options(point.tmpfs_options)
        return SpecMount(destination=point.destination, type="tmpfs", source="tmpfs", options=options)
    if point.type == "bind":
        make_source(point)
        source = point.source
        propagation.check(source, point.propagation)
    elif point.type == "volume":
        source = volumes.driver.mountpoint(point.name)
        if point.subpath:
            private = _Private(volumes.exec_root, record.id, index)
            with path.opened(path.open_root(source)) as data, path.opened(open_subpath(data, point)) as inside:
                source = private.bind(inside)
    elif point.type == "image":
        private = _Private(volumes.exec_root, record.id, index)
        with path.opened(image_tree(volumes, point, private.name + ".image")) as image:
            source = private.attach(image)
    else:
        raise errors.NotSupported(f"mount type {point.type} of {point.destination}")
    options = bind_options(point, directory=os.path.isdir(source))
    return SpecMount(destination=point.destination, type="bind", source=source, options=options)


def make_source(point: MountPoint) -> None:
    """Make sure that the source of a bind exists, as a directory where the client allowed to make it."""
    if os.path.lexists(point.source) and os.path.exists(point.source):
        return
    if not point.create_source:
        raise errors.InvalidArgument(
            f'invalid mount config for type "bind": bind source path does not exist: {point.source}'
        )
    try:
        os.makedirs(point.source, 0o755, exist_ok=True)
    except OSError as error:
        raise errors.System(
            f"error while creating mount source path '{point.source}': mkdir {error.filename}: {error.strerror}"
        ) from error


def bind_options(point: MountPoint, *, directory: bool = True) -> list[str]:
    """The OCI options of a bind: reach, read-only (recursive where the kernel can), propagation.

    Nothing lies below what is no *directory*, and crun refuses "rro" for it.
    """
    options = ["bind" if point.non_recursive else "rbind"]
    if not point.rw:
        recursive = point.read_only_recursive and not point.non_recursive and directory
        if recursive and not propagation.recursive_read_only():
            if point.read_only_force_recursive:
                raise errors.InvalidArgument(
                    f"recursive read-only mount of {point.destination} needs mount_setattr (Linux 5.12)"
                )
            recursive = False
        options.append("rro" if recursive else "ro")
    propagated = point.propagation or "rprivate"
    if point.non_recursive:  # there is nothing below; and crun takes the "r" for a recursive bind
        propagated = propagated.removeprefix("r")
    return [*options, propagated]


def open_subpath(data: int, point: MountPoint, flags: int = os.O_PATH) -> int:
    """What ``subpath`` names inside the volume or image; the volume's root when there is none."""
    try:
        return path.open_in_root(data, point.subpath, flags)
    except OSError as error:
        raise errors.InvalidArgument(
            f"cannot access path {os.path.join(point.source or point.name, point.subpath)}: "
            f"{os.strerror(error.errno or 0).lower()}"
        ) from error


def image_tree(volumes: "Volumes", point: MountPoint, at: str) -> int:
    """The image's tree or its subpath, read-only, as a detached mount; *at* is a place to mount on meanwhile."""
    if volumes.images is None:
        raise errors.NotSupported("mounts of type image need an image store")
    empty = f"{at}.empty"
    os.makedirs(at, 0o700, exist_ok=True)
    os.makedirs(empty, 0o755, exist_ok=True)
    # An overlay without a writable layer wants two layers at least: the empty directory below stands in.
    mount.mount_overlay(at, [*volumes.images.layers(point.image_id), empty], readonly=True)
    try:
        with path.opened(path.open_root(at)) as root, path.opened(open_subpath(root, point)) as inside:
            return mount.open_tree(inside, "", clone=True)
    finally:
        mount.umount(at)


def _private(exec_root: str, container_id: str) -> str:
    return os.path.join(exec_root, "volumes", container_id)


class _Private:
    """The private mount point number *index* of a container."""

    def __init__(self, exec_root: str, container_id: str, index: int) -> None:
        parent = _private(exec_root, container_id)
        self.name = os.path.join(parent, str(index))
        os.makedirs(parent, 0o700, exist_ok=True)

    def bind(self, fd: int) -> str:
        """Bind the very file or directory that *fd* is open on; returns the mount point's name."""
        with path.opened(mount.open_tree(fd, "", clone=True, recursive=True)) as clone:
            return self.attach(clone)

    def attach(self, detached: int) -> str:
        """Mount the *detached* tree; returns the mount point's name."""
        if stat.S_ISDIR(os.fstat(detached).st_mode):
            os.makedirs(self.name, 0o700, exist_ok=True)
        else:
            os.close(os.open(self.name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        mount.move_mount(detached, self.name)
        return self.name


def _clear(directory: str) -> None:
    """Unmount everything on the entries of *directory*, then remove it; what cannot be removed is logged and kept."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        entry = os.path.join(directory, name)
        while mount.umount_if_mounted(entry):
            continue
        try:
            if os.path.isdir(entry):
                os.rmdir(entry)
            else:
                os.unlink(entry)
        except OSError as error:
            log.warning("mount point %s stays: %s", entry, error)
    try:
        os.rmdir(directory)
    except OSError as error:
        log.warning("directory %s stays: %s", directory, error)
