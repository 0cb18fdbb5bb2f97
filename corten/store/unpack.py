"""Unpacking an image layer into a directory of its own, safely, whatever the archive says.

Every name is taken relative to the layer's directory. The directory part is opened by ``openat2`` inside that root
(links in it work as after a chroot, magic links do not), and the last component is only ever created, replaced or
removed by ``*at`` calls that do not follow links; so neither ``..``, absolute names, links planted earlier in the same
archive nor hard links reach anything outside. Nothing else writes to the directory meanwhile.

Whiteouts (image-spec, layer.md) become overlayfs marks: ``.wh.name`` a character device 0/0, ``.wh..wh..opq`` the xattr
``trusted.overlay.opaque`` of its directory. A layer is unpacked without the layers below, so layers of an image can
unpack in parallel; directories that the archive names only as parents are listed in ``implicit`` and get their owner
and mode from below when the layer is committed (``adopt_implicit``).
"""

import errno
import os
import shutil
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterator

import msgspec

from corten import errors
from corten.linux import path as paths
from corten.store import space
from corten.store.changes import OPAQUE, is_whiteout
from corten.wire import tarread
from corten.wire.tarread import Entry, ReadChunk, TarReader

WHITEOUT = b".wh."
OPAQUE_MARK = b".wh..wh..opq"
AUFS = b".wh..wh."

_NOT_RESTORED = ("trusted.overlay.", "user.overlay.")
_PARENT_FLAGS = os.O_PATH | os.O_DIRECTORY
_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 4096
_MAX_OPEN_PARENTS = 64


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one layer. Sizes in bytes; ``reserve`` is the free space that has to remain on the file system
    (None: as ``space.check`` has it)."""

    entries: int = 2_000_000
    file_size: int = 256 << 30
    depth: int = 1024
    reserve: int | None = None


class Unpacked(msgspec.Struct, frozen=True, kw_only=True):
    """``size`` is the disk space taken, in bytes; ``implicit`` the directories that had no entry, parents first."""

    size: int
    entries: int
    implicit: list[bytes]


class LayerUnpacker:
    """Unpack one archive into one fresh directory. Use once, in one thread."""

    def __init__(self, directory: str, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._root = paths.open_root(directory)
        self._parents: OrderedDict[bytes, int] = OrderedDict()
        self._directory_times: dict[bytes, int] = {}
        self._implicit: dict[bytes, None] = {b"": None}
        self._size = _BLOCK
        self._entries = 0
        self._since_check = 0
        space.check(self._root, self._limits.reserve)

    def run(self, read: ReadChunk) -> Unpacked:
        """Unpack everything that *read* gives. ``InvalidArgument`` names the entry that is not acceptable."""
        try:
            reader = TarReader(read)
            for entry in reader:
                self._entries += 1
                if self._entries > self._limits.entries:
                    raise errors.InvalidArgument(f"layer has more than {self._limits.entries} entries")
                try:
                    self._add(reader, entry)
                except OSError as error:
                    raise _failure(entry, error) from error
            reader.drain()
            self._set_directory_times()
        finally:
            self._forget_parents()
            os.close(self._root)
        return Unpacked(size=self._size, entries=self._entries, implicit=list(self._implicit))

    # one entry

    def _add(self, reader: TarReader, entry: Entry) -> None:
        parts = self._parts(entry, entry.name)
        if not parts:
            self._root_entry(entry)
            return
        directory, name = b"/".join(parts[:-1]), parts[-1]
        parent = self._parent(directory)
        if name.startswith(WHITEOUT):
            self._whiteout(entry, parent, name)
            return
        kind = entry.kind
        if kind == tarread.REGULAR:
            self._regular(reader, entry, parent, name, directory)
        elif kind == tarread.DIRECTORY:
            self._directory(entry, parent, name, b"/".join(parts))
        elif kind == tarread.SYMLINK:
            self._make(parent, name, directory, lambda: os.symlink(entry.link, name, dir_fd=parent))
            self._finish_special(entry, parent, name)
        elif kind == tarread.HARDLINK:
            self._hardlink(entry, parent, name, directory)
        elif kind in (tarread.CHARACTER, tarread.BLOCK_DEVICE, tarread.FIFO):
            mode, device = _node(entry)
            self._make(parent, name, directory, lambda: os.mknod(name, mode, device, dir_fd=parent))
            self._finish_special(entry, parent, name)
        else:
            raise errors.InvalidArgument(f"unhandled tar header type {entry.kind!r} of {_shown(entry)}")

    def _regular(self, reader: TarReader, entry: Entry, parent: int, name: bytes, directory: bytes) -> None:
        if entry.size > self._limits.file_size:
            raise errors.InvalidArgument(f"{_shown(entry)} has {entry.size} bytes; too large for a layer")
        try:
            fd = os.open(name, _FILE_FLAGS, 0o600, dir_fd=parent)
        except FileExistsError:
            self._clear(parent, name, directory)
            fd = os.open(name, _FILE_FLAGS, 0o600, dir_fd=parent)
        try:
            if entry.sparse is None:
                for piece in reader.data():
                    _write(fd, piece)
                    self._account(len(piece))
                self._size += -entry.size % _BLOCK
            else:
                self._sparse(reader, entry, fd)
            if entry.uid or entry.gid:
                os.fchown(fd, entry.uid, entry.gid)
            os.fchmod(fd, entry.mode)
            if entry.xattrs:
                _set_xattrs(entry, fd)
            os.utime(fd, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(fd)

    def _sparse(self, reader: TarReader, entry: Entry, fd: int) -> None:
        os.ftruncate(fd, entry.size)
        pieces = reader.data()
        piece = memoryview(b"")
        for offset, length in entry.sparse or ():
            while length:
                if not piece:
                    piece = next(pieces)
                part = piece[:length]
                written = os.pwrite(fd, part, offset)
                self._account(written)
                piece, offset, length = piece[written:], offset + written, length - written

    def _directory(self, entry: Entry, parent: int, name: bytes, full: bytes) -> None:
        opaque = False
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                opaque = is_whiteout(status)
                self._clear(parent, name, full.rpartition(b"/")[0])
                os.mkdir(name, 0o700, dir_fd=parent)
        self._size += _BLOCK
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            if opaque:
                os.setxattr(fd, OPAQUE, b"y")
            self._set_directory(entry, fd)
        finally:
            os.close(fd)
        self._implicit.pop(full, None)
        self._directory_times[full] = entry.mtime

    def _root_entry(self, entry: Entry) -> None:
        if entry.kind != tarread.DIRECTORY:
            raise errors.InvalidArgument(f"{_shown(entry)} would replace the layer's root")
        fd = paths.reopen(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._set_directory(entry, fd)
        finally:
            os.close(fd)
        self._implicit.pop(b"", None)
        self._directory_times[b""] = entry.mtime

    def _set_directory(self, entry: Entry, fd: int) -> None:
        os.fchown(fd, entry.uid, entry.gid)
        os.fchmod(fd, entry.mode)
        if entry.xattrs:
            _set_xattrs(entry, fd)

    def _hardlink(self, entry: Entry, parent: int, name: bytes, directory: bytes) -> None:
        target = self._parts(entry, entry.link)
        if not target:
            raise errors.InvalidArgument(f"{_shown(entry)} is a hard link to the layer's root")
        source = self._open_directory(b"/".join(target[:-1]))
        try:
            found = os.stat(target[-1], dir_fd=source, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                raise errors.InvalidArgument(f"{_shown(entry)} is a hard link to a directory")
            self._make(
                parent,
                name,
                directory,
                lambda: os.link(target[-1], name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False),
                keep=(found.st_dev, found.st_ino),
            )
        finally:
            os.close(source)

    def _whiteout(self, entry: Entry, parent: int, name: bytes) -> None:
        if name == OPAQUE_MARK:
            fd = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
            try:
                os.setxattr(fd, OPAQUE, b"y")
            finally:
                os.close(fd)
            return
        if name.startswith(AUFS):
            return  # bookkeeping of an old storage driver
        hidden = name[len(WHITEOUT) :]
        if hidden in (b"", b".", b".."):
            raise errors.InvalidArgument(f"invalid whiteout name: {_shown(entry)}")
        try:
            os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=parent)
        except FileExistsError:
            self._hide_below(parent, hidden)

    def _hide_below(self, parent: int, name: bytes) -> None:
        """A whiteout of a name that this layer itself has: only what lies below is hidden (layer.md, Whiteouts)."""
        try:
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
                return
            raise
        try:
            os.setxattr(fd, OPAQUE, b"y")
        finally:
            os.close(fd)

    # helpers

    def _make(self, parent: int, name: bytes, directory: bytes, create: "Create", keep: "Identity" = None) -> None:
        """Create a name, replacing what has it. *keep* is the inode that a hard link must not lose."""
        self._size += _BLOCK if keep is None else 0
        try:
            create()
        except FileExistsError:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if keep == (status.st_dev, status.st_ino):
                return
            self._clear(parent, name, directory)
            create()

    def _finish_special(self, entry: Entry, parent: int, name: bytes) -> None:
        os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        if entry.kind != tarread.SYMLINK:
            os.chmod(name, entry.mode, dir_fd=parent)  # just made, and no link
        if entry.xattrs:
            _set_xattrs(entry, f"/proc/self/fd/{parent}/".encode() + name)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    def _clear(self, parent: int, name: bytes, directory: bytes) -> None:
        """Remove what an earlier entry of this archive put at *name*."""
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            self._forget_parents(but=parent)
            prefix = (directory + b"/" if directory else b"") + name
            for gone in [key for key in self._implicit if key == prefix or key.startswith(prefix + b"/")]:
                del self._implicit[gone]
            shutil.rmtree(os.fsdecode(name), dir_fd=parent)
        else:
            if stat.S_ISLNK(status.st_mode):
                self._forget_parents(but=parent)
            os.unlink(name, dir_fd=parent)

    def _parts(self, entry: Entry, name: bytes) -> list[bytes]:
        if b"\0" in name:
            raise errors.InvalidArgument(f"name with a NUL byte: {_shown(entry)}")
        parts = [part for part in name.split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            raise errors.InvalidArgument(f"invalid path in layer, it has a .. component: {_shown(entry)}")
        if len(parts) > self._limits.depth:
            raise errors.InvalidArgument(f"path in layer is too deep: {_shown(entry)}")
        if parts and len(parts[-1]) > 255:
            raise errors.InvalidArgument(f"file name too long: {_shown(entry)}")
        return parts

    def _parent(self, directory: bytes) -> int:
        fd = self._parents.get(directory)
        if fd is not None:
            return fd
        fd = self._open_directory(directory)
        self._parents[directory] = fd
        if len(self._parents) > _MAX_OPEN_PARENTS:
            os.close(self._parents.popitem(last=False)[1])
        return fd

    def _open_directory(self, directory: bytes) -> int:
        try:
            return paths.open_in_root(self._root, directory, _PARENT_FLAGS)
        except FileNotFoundError:
            self._make_missing(directory)
            return paths.open_in_root(self._root, directory, _PARENT_FLAGS)

    def _make_missing(self, directory: bytes) -> None:
        """Make the directories that the archive took for granted."""
        real = os.fsencode(paths.resolve(self._root, directory))
        done = b""
        for part in real.strip(b"/").split(b"/"):
            with paths.opened(paths.open_in_root(self._root, done, _PARENT_FLAGS)) as parent:
                done = done + b"/" + part if done else part
                try:
                    os.mkdir(part, 0o755, dir_fd=parent)
                except FileExistsError:
                    continue
                os.chmod(part, 0o755, dir_fd=parent)
            self._size += _BLOCK
            self._implicit[done] = None

    def _forget_parents(self, but: int = -1) -> None:
        for fd in self._parents.values():
            if fd != but:
                os.close(fd)
        kept = next((item for item in self._parents.items() if item[1] == but), None)
        self._parents.clear()
        if kept is not None:
            self._parents[kept[0]] = kept[1]

    def _set_directory_times(self) -> None:
        """Last, since every file that is made moves its directory's time."""
        for name, mtime in self._directory_times.items():
            try:
                fd = paths.open_in_root(self._root, name, _PARENT_FLAGS | os.O_NOFOLLOW)
            except (FileNotFoundError, NotADirectoryError):
                continue  # a later entry replaced it
            with paths.opened(fd):
                os.utime(f"/proc/self/fd/{fd}", ns=(mtime, mtime))

    def _account(self, count: int) -> None:
        self._size += count
        self._since_check += count
        if self._since_check >= space.CHECK_EVERY:
            self._since_check = 0
            space.check(self._root, self._limits.reserve)


Create = Callable[[], None]
Identity = tuple[int, int] | None


def adopt_implicit(directory: str, implicit: list[bytes], lowers: list[str]) -> None:
    """Give directories that had no entry the owner, mode and time of their twin in *lowers* (top first)."""
    if not lowers:
        return
    with paths.opened(paths.open_root(directory)) as root:
        for name in implicit:
            twin = _twin(name, lowers)
            if twin is None:
                continue
            with paths.opened(paths.open_in_root(root, name, _PARENT_FLAGS)) as fd:
                here = f"/proc/self/fd/{fd}"
                os.chown(here, twin.st_uid, twin.st_gid)
                os.chmod(here, twin.st_mode & 0o7777)
                os.utime(here, ns=(twin.st_mtime_ns, twin.st_mtime_ns))


def _twin(name: bytes, lowers: list[str]) -> os.stat_result | None:
    for lower in lowers:
        with paths.opened(paths.open_root(lower)) as root:
            try:
                fd = paths.openat2(
                    root, name or b".", os.O_PATH, resolve=paths.RESOLVE_BENEATH | paths.RESOLVE_NO_SYMLINKS
                )
            except OSError as error:
                if error.errno == errno.ENOENT:
                    continue
                return None
            with paths.opened(fd):
                status = os.fstat(fd)
            return status if stat.S_ISDIR(status.st_mode) else None
    return None


def _write(fd: int, piece: memoryview) -> None:
    while piece:
        written = os.write(fd, piece)
        if written == len(piece):
            return
        piece = piece[written:]


def _set_xattrs(entry: Entry, where: int | bytes) -> None:
    for key, value in _wanted_xattrs(entry):
        try:
            os.setxattr(where, key, value, follow_symlinks=isinstance(where, int))
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:  # the file system has no such attributes: as tar does
                raise


def _wanted_xattrs(entry: Entry) -> Iterator[tuple[str, bytes]]:
    for key, value in entry.xattrs.items():
        if not key.startswith(_NOT_RESTORED):
            yield key, value


def _node(entry: Entry) -> tuple[int, int]:
    if entry.kind == tarread.FIFO:
        return stat.S_IFIFO | 0o600, 0
    kind = stat.S_IFCHR if entry.kind == tarread.CHARACTER else stat.S_IFBLK
    return kind | 0o600, os.makedev(entry.major, entry.minor)


def _shown(entry: Entry) -> str:
    text = entry.name[:300].decode("utf-8", "replace")
    return f'"{text.encode("unicode_escape").decode()}"'


def _failure(entry: Entry, error: OSError) -> errors.CortenError:
    text = f"cannot unpack {_shown(entry)}: {os.strerror(error.errno or 0)}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        return errors.Exhausted(text)
    if error.errno in (errno.EIO, errno.EROFS):
        return errors.System(text)
    return errors.InvalidArgument(text)
