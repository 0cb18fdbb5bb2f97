"""Unpacking an uploaded archive into a container's tree (``docker cp`` towards the container).

Names are resolved inside the container's root at every step, so links in the tree or planted by the archive lead
nowhere else. The last component of a name is only ever acted on by ``*at`` calls that do not follow links. What is in
the way is replaced, but directories are merged, as Docker does.
"""

import errno
import os
import stat

from corten import errors
from corten.linux import path, tree, xattr
from corten.wire import tarread
from corten.wire.tarread import Entry, TarReader

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ENTRY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_HOST_FAILURES = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EROFS, errno.EPERM)
)
"""What the archive is not to blame for."""
_NODES = {
    tarread.CHARACTER: stat.S_IFCHR,
    tarread.BLOCK_DEVICE: stat.S_IFBLK,
    tarread.FIFO: stat.S_IFIFO,
}


class TreeWriter:
    """Unpack below *directory*, a name inside *root_fd*.

    With *owner* every file gets that (uid, gid) in place of the archive's. With *keep_kinds* a directory is never
    replaced by something else nor the other way round.
    """

    def __init__(
        self, root_fd: int, directory: str, owner: tuple[int, int] | None = None, keep_kinds: bool = False
    ) -> None:
        self._root = root_fd
        self._directory = directory
        self._owner = owner
        self._keep_kinds = keep_kinds
        self._times: list[tuple[str, int]] = []

    def unpack(self, reader: TarReader) -> None:
        """Write every member. Raises InvalidArgument for a bad archive, System where the file system refuses."""
        for entry in reader:
            try:
                self._member(entry, reader)
            except OSError as error:
                name = entry.name[:300].decode("utf-8", "replace").encode("unicode_escape").decode()
                kind = errors.System if error.errno in _HOST_FAILURES else errors.InvalidArgument
                text = f"cannot write {name} into {self._directory}: {os.strerror(error.errno or 0)}"
                raise kind(text) from error
        for name, mtime in reversed(self._times):
            self._set_time(name, mtime)

    def _member(self, entry: Entry, reader: TarReader) -> None:
        parts = _components(entry.name)
        if not parts:
            return  # the root of the archive is the directory that is there already
        inside = "/".join(parts)
        head, _, name = f"{self._directory}/{inside}".rpartition("/")
        with path.opened(self._parent(head)) as parent:
            there = self._clear_way(parent, name, entry, inside)
            if entry.kind == tarread.DIRECTORY:
                if not there:
                    os.mkdir(name, 0o700, dir_fd=parent)
                self._times.append((f"{head}/{name}", entry.mtime))
            elif entry.kind == tarread.HARDLINK:
                self._link(entry, parent, name)
                return
            else:
                self._create(entry, reader, parent, name)
            with path.opened(os.open(name, _ENTRY, dir_fd=parent)) as fd:
                self._attributes(fd, entry)

    def _parent(self, head: str) -> int:
        return path.mkdir_in_root(self._root, head, 0o755, *(self._owner or (0, 0)))

    def _clear_way(self, parent: int, name: str, entry: Entry, inside: str) -> bool:
        """Remove what an entry replaces; True when a directory is there that stays."""
        try:
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return False
        is_directory, wants_directory = stat.S_ISDIR(mode), entry.kind == tarread.DIRECTORY
        if self._keep_kinds and is_directory != wants_directory:
            kinds = ("directory", "non-directory") if is_directory else ("non-directory", "directory")
            raise errors.InvalidArgument(
                f'cannot overwrite {kinds[0]} "{self._directory}/{inside}" with {kinds[1]} "{self._directory}"'
            )
        if is_directory and wants_directory:
            return True
        tree.remove(parent, name)
        return False

    def _link(self, entry: Entry, parent: int, name: str) -> None:
        target = "/".join(_components(entry.link))
        holder, last = path.open_parent(self._root, f"{self._directory}/{target}")
        with path.opened(holder):
            os.link(last, name, src_dir_fd=holder, dst_dir_fd=parent, follow_symlinks=False)

    def _create(self, entry: Entry, reader: TarReader, parent: int, name: str) -> None:
        if entry.kind == tarread.SYMLINK:
            os.symlink(entry.link, name.encode("utf-8", "surrogateescape"), dir_fd=parent)
        elif entry.kind in _NODES:
            os.mknod(name, _NODES[entry.kind] | 0o600, os.makedev(entry.major, entry.minor), dir_fd=parent)
        elif entry.kind == tarread.REGULAR:
            with path.opened(os.open(name, _CREATE, 0o600, dir_fd=parent)) as fd:
                _write(fd, entry, reader)
        else:
            raise errors.InvalidArgument(f"unhandled tar header type {entry.kind!r} of {os.fsdecode(entry.name)}")

    def _attributes(self, fd: int, entry: Entry) -> None:
        """Owner, mode, attributes, time; in this order, as a change of owner drops set-id bits and capabilities."""
        name = f"/proc/self/fd/{fd}"
        os.chown(name, *(self._owner or (entry.uid, entry.gid)))
        if entry.kind != tarread.SYMLINK:
            os.chmod(name, entry.mode)
        xattr.write(fd, {key: value for key, value in entry.xattrs.items() if not key.startswith(xattr.NOT_PORTABLE)})
        os.utime(name, ns=(entry.mtime, entry.mtime))

    def _set_time(self, name: str, mtime: int) -> None:
        """Directories get their time at the end; one that is gone or replaced by then needs none."""
        try:
            fd = path.open_in_root(self._root, name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            return
        with path.opened(fd):
            os.utime(f"/proc/self/fd/{fd}", ns=(mtime, mtime))


def _components(name: bytes) -> list[str]:
    """A member's name below the target; ``..`` that would leave it is refused as Docker does."""
    parts: list[str] = []
    for part in os.fsdecode(name).split("/"):
        if part in ("", "."):
            continue
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            raise errors.InvalidArgument(f'"{os.fsdecode(name)}" is outside of the target directory')
    return parts


def _write(fd: int, entry: Entry, reader: TarReader) -> None:
    """The payload, holes left as holes."""
    segments = iter(entry.sparse if entry.sparse is not None else [(0, entry.size)])
    offset = room = 0
    for piece in reader.data():
        view = memoryview(piece)
        while view:
            if not room:
                offset, room = next(segments)
            written = os.pwrite(fd, view[:room], offset)
            offset, room, view = offset + written, room - written, view[written:]
    if entry.sparse is not None:
        os.ftruncate(fd, entry.size)
