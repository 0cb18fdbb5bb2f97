"""Mount system calls: mount(2), umount2(2) and the descriptor-based ones (fsopen, fsconfig, fsmount, open_tree,
move_mount, mount_setattr; since Linux 5.2 and 5.12).

Every function raises ``OSError`` with errno and a name. Descriptors are close-on-exec and belong to the caller.
"""

import contextlib
import ctypes
import errno
import functools
import os

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_NOATIME = 1024
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21

MNT_FORCE = 1
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
AT_SYMLINK_NOFOLLOW = 0x100
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x04
MOVE_MOUNT_T_EMPTY_PATH = 0x40
FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_SET_FD = 5
FSCONFIG_CMD_CREATE = 6

MOUNT_ATTR_RDONLY = 0x01
MOUNT_ATTR_NOSUID = 0x02
MOUNT_ATTR_NODEV = 0x04
MOUNT_ATTR_NOEXEC = 0x08
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_NOSYMFOLLOW = 0x200000
MOUNT_ATTR_IDMAP = 0x100000

# The same numbers on every architecture (the unified table since Linux 5.1).
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT, _MOUNT_SETATTR = 428, 429, 430, 431, 432, 442
_AT_FDCWD = -100
_PAGE = 4096
# An upper directory has to mean the same without its mount: no renamed directories by reference, no data elsewhere.
_OVERLAY_OPTIONS = (("index", "off"), ("redirect_dir", "nofollow"), ("metacopy", "off"))

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_libc.umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]
_libc.syncfs.argtypes = [ctypes.c_int]
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long

Path = str | bytes


class _MountAttr(ctypes.Structure):
    _fields_ = [
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    ]


def _failed(name: Path) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code), os.fsdecode(name))


def _bytes(value: Path | None) -> bytes | None:
    return None if value is None else os.fsencode(value)


def mount(source: Path | None, target: Path, kind: str | None, flags: int = 0, data: str | None = None) -> None:
    """``mount(2)``. *data* longer than a page is refused here (E2BIG), since the kernel would cut it."""
    options = _bytes(data)
    if options is not None and len(options) >= _PAGE:
        raise OSError(errno.E2BIG, "mount options longer than a page", os.fsdecode(target))
    if _libc.mount(_bytes(source), os.fsencode(target), _bytes(kind), flags, options) != 0:
        raise _failed(target)


def umount(target: Path, flags: int = MNT_DETACH | UMOUNT_NOFOLLOW) -> None:
    """``umount2(2)``; lazy by default, and never through a link."""
    if _libc.umount2(os.fsencode(target), flags) != 0:
        raise _failed(target)


def umount_if_mounted(target: Path) -> bool:
    """As ``umount``; False when nothing is mounted there or the name is gone."""
    try:
        umount(target)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return False
        raise
    return True


def bind(source: Path, target: Path, *, recursive: bool = False, readonly: bool = False) -> None:
    """Bind *source* on *target*; both are trusted host paths (use ``open_tree``/``move_mount`` for others)."""
    fd = open_tree(_AT_FDCWD, source, clone=True, recursive=recursive)
    try:
        if readonly:
            mount_setattr(fd, attr_set=MOUNT_ATTR_RDONLY, recursive=recursive)
        move_mount(fd, target)
    finally:
        os.close(fd)


def open_tree(directory: int, path: Path, *, clone: bool = True, recursive: bool = False, follow: bool = True) -> int:
    """``open_tree(2)``: a detached copy of the mount at *path* (or a plain descriptor). "" means *directory* itself."""
    flags = OPEN_TREE_CLOEXEC | (OPEN_TREE_CLONE if clone else 0)
    flags |= (AT_RECURSIVE if recursive else 0) | (0 if follow else AT_SYMLINK_NOFOLLOW)
    flags |= AT_EMPTY_PATH if not path else 0
    fd: int = _syscall(_OPEN_TREE, directory, os.fsencode(path), ctypes.c_uint(flags))
    if fd < 0:
        raise _failed(path)
    return fd


def move_mount(tree: int, target: Path = b"", *, target_fd: int = _AT_FDCWD) -> None:
    """``move_mount(2)``: attach the detached *tree* at a path, or on the directory *target_fd* itself (path "")."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | (0 if target else MOVE_MOUNT_T_EMPTY_PATH)
    if _syscall(_MOVE_MOUNT, tree, b"", target_fd, os.fsencode(target), flags) != 0:
        raise _failed(target)


def fsopen(kind: str) -> int:
    """``fsopen(2)``: a configuration context for a file system type."""
    fd: int = _syscall(_FSOPEN, kind.encode(), FSOPEN_CLOEXEC)
    if fd < 0:
        raise _failed(kind)
    return fd


def fsconfig_string(fd: int, key: str, value: Path) -> None:
    """Set one option; the kernel takes at most 255 bytes."""
    if _syscall(_FSCONFIG, fd, FSCONFIG_SET_STRING, key.encode(), os.fsencode(value), 0) != 0:
        raise _failed(key)


def fsconfig_flag(fd: int, key: str) -> None:
    """Set an option without value."""
    if _syscall(_FSCONFIG, fd, FSCONFIG_SET_FLAG, key.encode(), None, 0) != 0:
        raise _failed(key)


def fsconfig_create(fd: int) -> None:
    """Make the superblock. The error text holds what the kernel logged into the context."""
    if _syscall(_FSCONFIG, fd, FSCONFIG_CMD_CREATE, None, None, 0) != 0:
        error = _failed("")
        raise OSError(error.errno, f"{error.strerror}: {_context_log(fd)}")


def fsmount(fd: int, attributes: int = 0) -> int:
    """``fsmount(2)``: a detached mount of a created superblock."""
    tree: int = _syscall(_FSMOUNT, fd, FSMOUNT_CLOEXEC, attributes)
    if tree < 0:
        raise _failed("")
    return tree


def mount_setattr(
    directory: int,
    path: Path = b"",
    *,
    attr_set: int = 0,
    attr_clear: int = 0,
    propagation: int = 0,
    userns_fd: int = 0,
    recursive: bool = False,
) -> None:
    """``mount_setattr(2)`` on a mount; "" means the mount *directory* itself."""
    attributes = _MountAttr(attr_set, attr_clear, propagation, userns_fd)
    flags = (AT_EMPTY_PATH if not path else 0) | (AT_RECURSIVE if recursive else 0)
    size = ctypes.sizeof(attributes)
    if _syscall(_MOUNT_SETATTR, directory, os.fsencode(path), flags, ctypes.byref(attributes), size) != 0:
        raise _failed(path)


def overlay(lowers: list[str], upper: str = "", work: str = "", *, attributes: int = 0, volatile: bool = False) -> int:
    """A detached overlay mount of *lowers* (top first), writable when *upper* and *work* are given.

    Each directory goes in by its own call (``lowerdir+``), so their number and the length of their names do not
    matter. ``EOPNOTSUPP`` before Linux 6.7. Trusted host paths.
    """
    if not takes_single_lowers():
        raise OSError(errno.EOPNOTSUPP, "the kernel's overlayfs has no lowerdir+ (Linux 6.7)")
    context = fsopen("overlay")
    try:
        fsconfig_string(context, "source", "overlay")
        for lower in lowers:
            fsconfig_string(context, "lowerdir+", lower)
        if upper:
            fsconfig_string(context, "upperdir", upper)
            fsconfig_string(context, "workdir", work)
            if volatile:
                fsconfig_flag(context, "volatile")
        for key, value in _OVERLAY_OPTIONS:
            fsconfig_string(context, key, value)
        fsconfig_create(context)
        return fsmount(context, attributes)
    finally:
        os.close(context)


@functools.cache
def takes_single_lowers() -> bool:
    """Whether overlayfs knows ``lowerdir+``.

    Before Linux 6.5 overlayfs collects whatever it is told and refuses it as late as the mount is made, with an EINVAL
    that may mean anything; so it is asked with a name that no kernel knows.
    """
    context = fsopen("overlay")
    try:
        try:
            fsconfig_string(context, "corten-asks", "")
        except OSError:
            fsconfig_string(context, "lowerdir+", "/")
            return True
        return False
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    finally:
        os.close(context)


def mount_overlay(target: str, lowers: list[str], upper: str = "", work: str = "", *, readonly: bool = False) -> None:
    """Mount an overlay on *target*, by whichever interface this kernel has."""
    try:
        tree = overlay(lowers, upper, work, attributes=MOUNT_ATTR_RDONLY if readonly else 0)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        _mount_joined(target, lowers, upper, work, MS_RDONLY if readonly else 0)
        return
    try:
        move_mount(tree, target)
    finally:
        os.close(tree)


def _mount_joined(target: str, lowers: list[str], upper: str, work: str, flags: int) -> None:
    """All directories in one option of at most a page, by short descriptor names where the real ones are too long."""
    fixed = "".join(f"{key}={value}," for key, value in _OVERLAY_OPTIONS)
    if upper:
        fixed += f"upperdir={_escaped(upper)},workdir={_escaped(work)},"
    names = [_escaped(lower) for lower in lowers]
    with contextlib.ExitStack() as stack:
        if len(fixed) + len(":".join(names)) >= _PAGE - 16:
            fds = [os.open(lower, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for lower in lowers]
            for fd in fds:
                stack.callback(os.close, fd)
            names = [f"/proc/self/fd/{fd}" for fd in fds]
        mount("overlay", target, "overlay", flags, f"{fixed}lowerdir={':'.join(names)}")


def syncfs(fd: int) -> None:
    """``syncfs(2)``: everything of the file system that holds *fd* is on disk when this returns."""
    if _libc.syncfs(fd) != 0:
        raise _failed("")


def sync_directory_tree(path: str) -> None:
    """``syncfs`` of the file system that holds *path*."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syncfs(fd)
    finally:
        os.close(fd)


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _context_log(fd: int) -> str:
    messages: list[str] = []
    try:
        while len(messages) < 8:
            messages.append(os.read(fd, 1024).decode("utf-8", "replace").strip())
    except OSError as error:
        if error.errno != errno.ENODATA:
            messages.append(os.strerror(error.errno or 0))
    return "; ".join(messages) or "no further words from the kernel"
