"""Filling an empty volume with what the image has at its destination.

Owners, modes, times, extended attributes, links and hard links are kept. Both trees are walked by descriptor and no
link in them is ever followed.
"""

import os
import stat

from corten.linux import path, xattr

_INSIDE = path.RESOLVE_BENEATH | path.RESOLVE_NO_SYMLINKS
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def copy_tree(source: int, target: int) -> None:
    """Copy the content of directory *source* into the empty directory *target*, then the directory's own attributes.

    A failure leaves what was copied so far; the caller clears it. Raises ``OSError``.
    """
    links: dict[tuple[int, int], str] = {}
    pending = [""]
    seen: list[str] = []
    while pending:
        directory = pending.pop()
        seen.append(directory)
        with path.opened(_open(source, directory)) as here, path.opened(_open(target, directory)) as there:
            for entry in os.scandir(here):
                name = f"{directory}/{entry.name}" if directory else entry.name
                if _copy_entry(here, there, target, entry.name, name, links):
                    pending.append(name)
    for directory in reversed(seen):  # last, as filling a directory changes its times
        with path.opened(_open(source, directory)) as here, path.opened(_open(target, directory)) as there:
            _copy_attributes(here, there, os.fstat(here))


def _open(root: int, directory: str) -> int:
    return path.openat2(root, directory or ".", _DIRECTORY, resolve=_INSIDE)


def _copy_entry(here: int, there: int, target: int, name: str, full: str, links: dict[tuple[int, int], str]) -> bool:
    """Copy one entry; True for a directory, which is made but not yet filled."""
    status = os.stat(name, dir_fd=here, follow_symlinks=False)
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        os.mkdir(name, 0o700, dir_fd=there)
        return True
    first = links.setdefault((status.st_dev, status.st_ino), full) if status.st_nlink > 1 else full
    if first != full:
        os.link(first, name, src_dir_fd=target, dst_dir_fd=there, follow_symlinks=False)
        return False
    if kind == stat.S_IFREG:
        _copy_file(here, there, name)
    elif kind == stat.S_IFLNK:
        os.symlink(os.readlink(name, dir_fd=here), name, dir_fd=there)
    else:
        os.mknod(name, kind | 0o600, status.st_rdev, dir_fd=there)
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    with path.opened(os.open(name, flags, dir_fd=here)) as old, path.opened(os.open(name, flags, dir_fd=there)) as new:
        _copy_attributes(old, new, status)
    return False


def _copy_file(here: int, there: int, name: str) -> None:
    create = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with (
        path.opened(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)) as reader,
        path.opened(os.open(name, create, 0o600, dir_fd=there)) as writer,
    ):
        offset = 0
        while sent := os.sendfile(writer, reader, offset, 1 << 30):
            offset += sent


def _copy_attributes(old: int, new: int, status: os.stat_result) -> None:
    name = f"/proc/self/fd/{new}"  # leads to the file itself, a link's too
    os.chown(name, status.st_uid, status.st_gid)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(name, stat.S_IMODE(status.st_mode))
    xattr.write(new, xattr.read(old))
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns))
