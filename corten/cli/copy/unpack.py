"""A tar stream from a container as local files.

The archive comes from a container and is not trusted: every name is walked from the destination's descriptor, one
component at a time, and a symbolic link is never followed, so nothing outside the destination can be touched.
"""

from __future__ import annotations

import os
import stat

from corten.cli.failure import Failure
from corten.wire import tarread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.wire.tarread import Entry, ReadChunk, TarReader

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def unpack(read: ReadChunk, folder: str, name: str | None, content: bool = False) -> int:
    """Write the archive below ``folder``, which exists, and return how many bytes of files it held.

    ``name`` is what its root entry is called there, None for its own name; ``content`` says that the root has no name
    in the archive. Files belong to the caller, modes and times are the archive's. Failure names what does not fit.
    """
    strip = 0 if content or name is None else 1
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _Unpacker(root, [os.fsencode(name)] if name is not None else [], strip).run(tarread.TarReader(read))
    finally:
        os.close(root)


class _Unpacker:
    def __init__(self, root: int, prefix: list[bytes], strip: int) -> None:
        self._root = root
        self._prefix = prefix
        self._strip = strip
        self._folders: list[tuple[list[bytes], Entry]] = []

    def run(self, reader: TarReader) -> int:
        total = 0
        for entry in reader:
            parts = self._parts(entry.name)
            if parts:
                self._entry(reader, entry, parts)
                total += entry.size
        for parts, entry in reversed(self._folders):
            self._finish_folder(parts, entry)
        return total

    def _parts(self, name: bytes) -> list[bytes]:
        parts = [part for part in name.split(b"/") if part not in (b"", b".")]
        if b".." in parts or b"\0" in name:
            raise Failure(f"the container's archive names {os.fsdecode(name)!r}, which leads out of the destination")
        return self._prefix + parts[self._strip :]

    def _parent(self, parts: list[bytes]) -> int:
        """A descriptor of the directory that holds ``parts``, made where it is missing."""
        current = os.dup(self._root)
        for part in parts[:-1]:
            try:
                try:
                    below = os.open(part, _FOLDER, dir_fd=current)
                except FileNotFoundError:
                    os.mkdir(part, 0o755, dir_fd=current)
                    below = os.open(part, _FOLDER, dir_fd=current)
            except OSError as error:
                raise Failure(f"{_shown(parts)}: {error.strerror}") from None
            finally:
                os.close(current)
            current = below
        return current

    def _entry(self, reader: TarReader, entry: Entry, parts: list[bytes]) -> None:
        parent = self._parent(parts)
        try:
            self._make(reader, entry, parts, parent)
        except OSError as error:
            raise Failure(f"{_shown(parts)}: {error.strerror}") from None
        finally:
            os.close(parent)

    def _make(self, reader: TarReader, entry: Entry, parts: list[bytes], parent: int) -> None:
        name = parts[-1]
        if entry.kind == tarread.DIRECTORY:
            self._make_folder(parent, parts)
            self._folders.append((parts, entry))
            return
        _clear(parent, parts)
        if entry.kind == tarread.REGULAR:
            _write_file(reader, entry, parent, name)
        elif entry.kind == tarread.SYMLINK:
            os.symlink(entry.link, name, dir_fd=parent)
            os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)
        elif entry.kind == tarread.HARDLINK:
            self._link(entry, parent, name)
        elif entry.kind == tarread.FIFO:
            os.mkfifo(name, entry.mode & 0o777, dir_fd=parent)
        elif entry.kind in (tarread.CHARACTER, tarread.BLOCK_DEVICE):
            kind = stat.S_IFCHR if entry.kind == tarread.CHARACTER else stat.S_IFBLK
            os.mknod(name, kind | entry.mode & 0o777, os.makedev(entry.major, entry.minor), dir_fd=parent)
        else:
            raise Failure(f"{_shown(parts)}: unknown kind of archive entry")

    @staticmethod
    def _make_folder(parent: int, parts: list[bytes]) -> None:
        try:
            os.mkdir(parts[-1], 0o700, dir_fd=parent)
        except FileExistsError:
            found = os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                raise Failure(f"cannot overwrite non-directory {_shown(parts)!r} with directory") from None

    def _link(self, entry: Entry, parent: int, name: bytes) -> None:
        target = self._parts(entry.link)
        if not target:
            raise Failure(f"the container's archive links to {os.fsdecode(entry.link)!r}")
        source = self._parent(target)
        try:
            os.link(target[-1], name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(source)

    def _finish_folder(self, parts: list[bytes], entry: Entry) -> None:
        """Modes and times of directories come last, or what is written into them would change or forbid it."""
        descriptor = self._parent([*parts, b""])
        try:
            os.fchmod(descriptor, entry.mode & 0o7777)
            os.utime(descriptor, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(descriptor)


def _clear(parent: int, parts: list[bytes]) -> None:
    """Remove what stands at the entry's place; a directory never gives way to something else."""
    try:
        found = os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        raise Failure(f"cannot overwrite directory {_shown(parts)!r} with non-directory")
    os.unlink(parts[-1], dir_fd=parent)


def _write_file(reader: TarReader, entry: Entry, parent: int, name: bytes) -> None:
    descriptor = os.open(name, _CREATE, 0o600, dir_fd=parent)
    try:
        segments = entry.sparse if entry.sparse is not None else [(0, entry.size)]
        _write_segments(reader, descriptor, segments)
        os.ftruncate(descriptor, entry.size)
        os.fchmod(descriptor, entry.mode & 0o7777)
        os.utime(descriptor, ns=(entry.mtime, entry.mtime))
    finally:
        os.close(descriptor)


def _write_segments(reader: TarReader, descriptor: int, segments: list[tuple[int, int]]) -> None:
    waiting = iter(segments)
    offset = left = 0
    for piece in reader.data():
        view = memoryview(piece)
        while view:
            while not left:
                offset, left = next(waiting)
            done = os.pwrite(descriptor, view[:left], offset)
            offset, left, view = offset + done, left - done, view[done:]


def _shown(parts: list[bytes]) -> str:
    return os.fsdecode(b"/".join(parts))
