"""The ``local`` driver: a directory per volume, and optionally something mounted on it.

``<root>/volumes/<name>/_data`` holds the data. With options ``type``, ``o`` and ``device`` (as for mount(8)) the file
system they describe is mounted there while a container uses the volume.
"""

import errno
import logging
import os
import re
import secrets
import socket

from corten import errors, faultpoint
from corten.linux import durable, mount, path, tree
from corten.model.volume import Volume

log = logging.getLogger(__name__)

DATA = "_data"
_REMOVED = ".removed-"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")
_NEEDS = {"device": ("type",), "type": ("device",), "o": ("device", "type")}
_FLAGS = {
    "ro": mount.MS_RDONLY,
    "nosuid": mount.MS_NOSUID,
    "nodev": mount.MS_NODEV,
    "noexec": mount.MS_NOEXEC,
    "sync": 16,
    "dirsync": 128,
    "mand": 64,
    "noatime": mount.MS_NOATIME,
    "nodiratime": 2048,
    "relatime": mount.MS_RELATIME,
    "strictatime": 1 << 24,
    "bind": mount.MS_BIND,
    "rbind": mount.MS_BIND | mount.MS_REC,
}
_NO_FLAG = frozenset({"", "defaults", "rw", "suid", "dev", "exec", "async", "atime", "diratime"})
_PROPAGATION = {
    "private": mount.MS_PRIVATE,
    "rprivate": mount.MS_PRIVATE | mount.MS_REC,
    "slave": mount.MS_SLAVE,
    "rslave": mount.MS_SLAVE | mount.MS_REC,
    "shared": mount.MS_SHARED,
    "rshared": mount.MS_SHARED | mount.MS_REC,
}


def check_name(name: str) -> None:
    """Refuse names that could not be a directory's (Docker's texts)."""
    if len(name) == 1:
        raise errors.InvalidArgument("volume name is too short, names should be at least two alphanumeric characters")
    if not _NAME.match(name):
        raise errors.InvalidArgument(
            f'"{name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are '
            "allowed. If you intended to pass a host directory, use absolute path"
        )
    if len(name) > 255:
        raise errors.InvalidArgument("volume name is too long, at most 255 characters")


def check_options(options: dict[str, str]) -> None:
    """Refuse unknown keys, incomplete sets and what this driver cannot do."""
    for key in options:
        if key not in ("type", "o", "device", "size"):
            raise errors.InvalidArgument(f'invalid option: "{key}"')
    if "size" in options:
        raise errors.InvalidArgument("quota size requested but no quota support")
    for key, needed in _NEEDS.items():
        for other in needed:
            if key in options and not options.get(other):
                raise errors.InvalidArgument(f'missing required option: "{other}"')


class LocalDriver:
    """Directories and mounts of local volumes. *root* is the daemon's data root."""

    def __init__(self, root: str) -> None:
        self.directory = os.path.join(root, "volumes")
        os.makedirs(self.directory, mode=0o701, exist_ok=True)
        for name in os.listdir(self.directory):
            if name.startswith(_REMOVED):
                self._delete(name)

    def mountpoint(self, name: str) -> str:
        """Host path of the volume's data."""
        return os.path.join(self.directory, name, DATA)

    def found(self) -> list[str]:
        """Names of the volume directories on disk, known or not."""
        return [
            entry.name
            for entry in os.scandir(self.directory)
            if _NAME.match(entry.name) and os.path.isdir(os.path.join(entry.path, DATA))
        ]

    def drop_empty(self, name: str) -> bool:
        """Take away a volume without data, as a crash leaves it between its making and its record. False with data."""
        try:
            os.rmdir(self.mountpoint(name))
            os.rmdir(os.path.join(self.directory, name))
        except OSError:
            return False
        return True

    def create(self, name: str) -> None:
        """Make the directories; those that exist are kept as they are."""
        os.makedirs(os.path.join(self.directory, name), mode=0o701, exist_ok=True)
        try:
            os.mkdir(self.mountpoint(name), 0o755)
        except FileExistsError:
            return
        os.chmod(self.mountpoint(name), 0o755)  # whatever the umask

    def sync(self, name: str) -> None:
        """Bring the directories to the disk."""
        for directory in (self.mountpoint(name), os.path.join(self.directory, name), self.directory):
            durable.sync_directory(directory)

    def remove(self, name: str) -> bool:
        """Delete the data; True when that is known to be on disk. When it raises, the data is still there.

        A crash in between leaves only a directory that the next start clears away.
        """
        gone = f"{_REMOVED}{secrets.token_hex(8)}"
        mount.umount_if_mounted(self.mountpoint(name))
        try:
            os.rename(os.path.join(self.directory, name), os.path.join(self.directory, gone))
        except FileNotFoundError:
            return True
        try:
            durable.sync_directory(self.directory)  # before anybody forgets that it was to go
            faultpoint.reach("volume.renamed")
        except OSError as error:
            log.warning("the removal of volume %s may not be on disk yet: %s", name, error)
            return False
        finally:
            self._delete(gone)
        return True

    def _delete(self, name: str) -> None:
        """What cannot be deleted (something is mounted in it, an immutable file) stays for the next start."""
        with path.opened(path.open_root(self.directory)) as directory:
            try:
                tree.remove(directory, name)
            except OSError as error:
                log.warning("cannot delete %s/%s: %s", self.directory, name, error)

    def mount(self, volume: Volume) -> None:
        """Mount what the options describe on the volume's directory; nothing for a plain volume."""
        self.create(volume.name)
        if volume.options:
            _mount(volume.options, self.mountpoint(volume.name))

    def unmount(self, volume: Volume) -> None:
        """Undo ``mount``; nothing when it is not mounted."""
        if volume.options:
            mount.umount_if_mounted(self.mountpoint(volume.name))


def _mount(options: dict[str, str], target: str) -> None:
    kind, device, text = options.get("type", ""), options.get("device", ""), options.get("o", "")
    flags, data, propagation = _parse(text)
    if kind.startswith(("nfs", "cifs")):
        data = _with_address(kind, device, data)
    try:
        mount.mount(device, target, kind, flags, data or None)
        if flags & mount.MS_BIND and flags & ~(mount.MS_BIND | mount.MS_REC):
            mount.mount(None, target, None, flags & ~mount.MS_REC | mount.MS_REMOUNT)  # a bind takes flags only now
        for change in propagation:
            mount.mount(None, target, None, change)
    except OSError as error:
        mount.umount_if_mounted(target)
        shown = re.sub(r"(password|pass)=[^,]*", r"\1=********", data)
        raise errors.System(
            f"failed to mount local volume: mount {device}:{target}, flags: {flags:#x}"
            + (f", data: {shown}" if shown else "")
            + f": {_reason(error, kind)}"
        ) from error


def _reason(error: OSError, kind: str) -> str:
    text = os.strerror(error.errno or 0).lower()
    if error.errno == errno.ENODEV:
        return f"{text} (the kernel has no file system {kind!r})"
    return text


def _parse(text: str) -> tuple[int, str, list[int]]:
    """The words of ``o``: mount flags, data for the file system, propagation changes for after the mount."""
    flags, data, propagation = 0, [], []
    for word in text.split(","):
        if word in _FLAGS:
            flags |= _FLAGS[word]
        elif word in _PROPAGATION:
            propagation.append(_PROPAGATION[word])
        elif word not in _NO_FLAG:
            data.append(word)
    return flags, ",".join(data), propagation


def _with_address(kind: str, device: str, data: str) -> str:
    """The kernel wants an address where people write a name: ``addr=`` resolved, or made from the device's host."""
    words = [word for word in data.split(",") if word]
    given = next((word[5:] for word in words if word.startswith("addr=")), "")
    host = given or (
        device.rpartition(":/")[0].strip("[]") if kind.startswith("nfs") else device.strip("/").split("/")[0]
    )
    if not host:
        return data
    try:
        address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0]
    except OSError as error:
        raise errors.System(f"error resolving passed in network volume address: {host}: {error.strerror}") from error
    return ",".join([word for word in words if not word.startswith("addr=")] + [f"addr={address}"])
