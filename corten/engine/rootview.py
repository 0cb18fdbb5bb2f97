"""A container's file tree as a descriptor, its volumes mounted, whether it runs or not.

Of a running container it is the root of its own first process, so every mount it has made is seen as it sees it. For a
stopped one the snapshot and the volumes are mounted in a private mount namespace and handed over as a detached mount
tree: no name on the host leads there, and closing the descriptor unmounts it. Either way the tree belongs to the
container; look into it with ``corten.linux.path`` only.
"""

import logging
import os
import select
import stat
from collections.abc import Callable

from corten import errors
from corten.linux import mount, path, privatens
from corten.model.container import MountPoint
from corten.model.record import Record
from corten.store.snapshot import Snapshots
from corten.volume import realise
from corten.volume.store import Volumes

log = logging.getLogger(__name__)


class RootViews:
    """Opens views. *rootfs_of* gives the host path where a running container's snapshot is mounted; *scratch* is a
    directory of the daemon's for mount points that only private namespaces use."""

    def __init__(self, snapshots: Snapshots, volumes: Volumes, scratch: str, rootfs_of: Callable[[str], str]) -> None:
        self._snapshots = snapshots
        self._volumes = volumes
        self._scratch = os.path.join(scratch, "views")
        self._rootfs_of = rootfs_of

    def open(self, record: Record) -> int:
        """The root with volumes, ``O_PATH``; close it. Blocking. Raises System, NotFound."""
        if record.state.pid:
            root = process_root(record.state.pid, record.id)
            if root >= 0:
                return root
        return self._private(record, with_volumes=True)

    def open_snapshot(self, record: Record) -> int:
        """The root file system alone, without volumes and without /proc and the like; for export."""
        return self._private(record, with_volumes=False)

    def _private(self, record: Record, with_volumes: bool) -> int:
        os.makedirs(self._scratch, mode=0o700, exist_ok=True)
        try:
            return privatens.run(lambda: self._assemble(record, with_volumes))
        except OSError as error:
            raise errors.System(f"cannot mount the file system of container {record.id}: {error}") from error

    def _assemble(self, record: Record, with_volumes: bool) -> int:
        """Runs in the private namespace."""
        target = self._scratch
        mounted = self._rootfs_of(record.id)
        if os.path.ismount(mounted):  # running: a second overlay on the same directories would not agree with the first
            tree = mount.open_tree(-100, mounted)
            with path.opened(tree):
                mount.move_mount(tree, target)
        else:
            self._snapshots.mount(record.id, target)
        if with_volumes:
            with path.opened(path.open_root(target)) as root:
                self._mount_volumes(record, root)
        return mount.open_tree(-100, target, recursive=True)

    def _mount_volumes(self, record: Record, root: int) -> None:
        for point in record.mounts:
            if point.type == "volume" and not self._volumes.active(point.name):
                self._volumes.driver.mount(self._volumes.get(point.name))
        self._volumes.populate(record, root)
        for point in sorted(record.mounts, key=lambda point: point.destination.count("/")):
            tree = self._tree_of(point)
            if tree is not None:
                with path.opened(tree):
                    _attach(tree, root, point)

    def _tree_of(self, point: MountPoint) -> int | None:
        """A detached copy of what is to be mounted; None for what a stopped container does not have."""
        if point.type == "bind":
            try:
                realise.make_source(point)
            except errors.InvalidArgument as error:
                log.warning("%s is not mounted: %s", point.destination, error)
                return None
            return mount.open_tree(-100, point.source, recursive=not point.non_recursive)
        if point.type == "volume":
            data = self._volumes.data_root(point.name)
            with path.opened(data), path.opened(realise.open_subpath(data, point)) as inside:
                return mount.open_tree(inside, "", recursive=True)
        if point.type == "image":
            return realise.image_tree(self._volumes, point, f"{self._scratch}.image")
        return None  # tmpfs begins empty with every start


def _attach(tree: int, root: int, point: MountPoint) -> None:
    """Put *tree* on its destination inside the view, made if missing, wherever links in the container lead."""
    if not point.rw:
        mount.mount_setattr(tree, attr_set=mount.MOUNT_ATTR_RDONLY, recursive=True)
    if stat.S_ISDIR(os.fstat(tree).st_mode):
        target = path.mkdir_in_root(root, point.destination)
    else:
        target = _file_target(root, point.destination)
    with path.opened(target):
        mount.move_mount(tree, target_fd=target)


def _file_target(root: int, destination: str) -> int:
    try:
        return path.open_in_root(root, destination, os.O_PATH)
    except FileNotFoundError:
        os.close(path.mkdir_in_root(root, os.path.dirname(destination)))
        os.close(path.create_file(root, destination))
        return path.open_in_root(root, destination, os.O_PATH)


def process_root(pid: int, container_id: str) -> int:
    """The root of a process, ``O_PATH``; -1 when the process is gone or is not the container's (its cgroup tells).

    The pidfd is taken first and looked at last: in between the number cannot have gone to another process.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return -1
    with path.opened(pidfd):
        try:
            with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
                if container_id not in file.read():
                    return -1
            root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, ProcessLookupError):
            return -1
        ended = select.poll()
        ended.register(pidfd, select.POLLIN)
        if ended.poll(0):
            os.close(root)
            return -1
        return root
