"""Names inside a tree that somebody else controls, resolved so that they cannot leave it.

Whatever names a file in an image, a container, a volume or an archive goes through here. Each call takes the root as a
directory descriptor (``O_PATH`` is enough) and lets the kernel resolve the name with ``openat2(2)`` and
``RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS``: absolute links and ``..`` stop at the root, and links like
``/proc/self/fd/3`` are refused (ELOOP), even while another process swaps the components. The kernel answers EAGAIN
when it cannot prove that a ``..`` stayed inside during a rename or mount elsewhere; that is tried again.

Functions raise ``OSError`` with the name as given. Descriptors returned are close-on-exec and belong to the caller.
"""

import contextlib
import ctypes
import errno
import os
import stat as stat_module
from collections.abc import Iterator

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
CONFINED = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
"""The default: links work as after a chroot, magic links do not."""

_SYS_OPENAT2 = 437  # the same number on every architecture (openat2(2), since 5.6)
_MAX_RETRIES = 4096
_MAX_LINKS = 40  # path_resolution(7)
_libc = ctypes.CDLL(None, use_errno=True)

Path = str | bytes


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def openat2(directory: int, path: Path, flags: int, mode: int = 0, resolve: int = CONFINED) -> int:
    """``openat2(2)``, close-on-exec, tried again on EAGAIN and EINTR. *mode* counts only when a file is created."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode if flags & (os.O_CREAT | os.O_TMPFILE & ~os.O_DIRECTORY) else 0, resolve)
    name = os.fsencode(path)
    if b"\0" in name:
        raise OSError(errno.EINVAL, "name contains a NUL byte", os.fsdecode(path))
    for _ in range(_MAX_RETRIES):
        fd: int = _libc.syscall(_SYS_OPENAT2, directory, name, ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            return fd
        code = ctypes.get_errno()
        if code not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(code, os.strerror(code), os.fsdecode(path))


def open_root(path: Path) -> int:
    """Open a trusted directory of the host, by its host name, as a root for the other calls."""
    return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def open_in_root(root_fd: int, path: Path, flags: int, mode: int = 0, resolve: int = CONFINED) -> int:
    """Open *path* as if *root_fd* were "/". An empty path or "/" is the root itself.

    With ``O_CREAT`` the last component may be a link whose target is then created, still inside the root; use
    ``create_file`` where that is not wanted.
    """
    return openat2(root_fd, _relative(path), flags, mode, resolve)


@contextlib.contextmanager
def opened(fd: int) -> Iterator[int]:
    """Close *fd* at the end of the block: ``with opened(open_in_root(...)) as fd``."""
    try:
        yield fd
    finally:
        os.close(fd)


def reopen(fd: int, flags: int) -> int:
    """Turn an ``O_PATH`` descriptor into one with other *flags*: the very same file, whatever its name is by now."""
    return os.open(f"/proc/self/fd/{fd}", flags | os.O_CLOEXEC)


def open_regular(root_fd: int, path: Path, flags: int = os.O_RDONLY) -> int:
    """Open an existing regular file; a FIFO, device or directory is refused (EINVAL) before it is touched."""
    with opened(open_in_root(root_fd, path, os.O_PATH)) as fd:
        if not stat_module.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fsdecode(path))
        return reopen(fd, flags)


def read_file(root_fd: int, path: Path, limit: int) -> bytes:
    """The content of a regular file of at most *limit* bytes (EFBIG above; sparse or growing files cannot fool it)."""
    chunks: list[bytes] = []
    left = limit + 1
    with opened(open_regular(root_fd, path)) as fd:
        while left > 0:
            chunk = os.read(fd, min(left, 1 << 20))
            if not chunk:
                return b"".join(chunks)
            chunks.append(chunk)
            left -= len(chunk)
    raise OSError(errno.EFBIG, f"larger than {limit} bytes", os.fsdecode(path))


def stat(root_fd: int, path: Path) -> os.stat_result:
    """``stat`` inside the root, following links."""
    with opened(open_in_root(root_fd, path, os.O_PATH)) as fd:
        return os.fstat(fd)


def lstat(root_fd: int, path: Path) -> os.stat_result:
    """``lstat`` inside the root: the last component is not followed."""
    with opened(open_in_root(root_fd, path, os.O_PATH | os.O_NOFOLLOW)) as fd:
        return os.fstat(fd)


def exists(root_fd: int, path: Path) -> bool:
    """Whether *path* names something (links followed)."""
    try:
        stat(root_fd, path)
    except FileNotFoundError:
        return False
    return True


def readlink(root_fd: int, path: Path) -> str:
    """The text of the link *path* (EINVAL or ENOENT when it is no link)."""
    with opened(open_in_root(root_fd, path, os.O_PATH | os.O_NOFOLLOW)) as fd:
        return os.readlink("", dir_fd=fd)


def listdir(root_fd: int, path: Path) -> list[str]:
    """The names in a directory, unsorted."""
    with opened(open_in_root(root_fd, path, os.O_RDONLY | os.O_DIRECTORY)) as fd:
        return os.listdir(fd)


def open_parent(root_fd: int, path: Path) -> tuple[int, str]:
    """The directory that holds *path* (``O_PATH``, links in it followed) and the last component.

    For ``*at`` calls that must act on the name itself: unlink, rename, mknod, symlink. "", "/", "." and ".." as last
    component are refused with EINVAL, as they have no name of their own.
    """
    head, _, name = os.fsdecode(path).rstrip("/").rpartition("/")
    if name in ("", ".", ".."):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), os.fsdecode(path))
    return open_in_root(root_fd, head, os.O_PATH | os.O_DIRECTORY), name


def create_file(root_fd: int, path: Path, mode: int = 0o644, *, flags: int = os.O_WRONLY) -> int:
    """Create a new regular file (EEXIST when the name is taken, be it by a dangling link). *mode* ignores the umask."""
    parent, name = open_parent(root_fd, path)
    with opened(parent):
        fd = os.open(name, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=parent)
    try:
        os.fchmod(fd, mode)
    except BaseException:
        os.close(fd)
        raise
    return fd


def mkdir_in_root(root_fd: int, path: Path, mode: int = 0o755, uid: int = -1, gid: int = -1) -> int:
    """``mkdir -p`` inside the root; returns the directory, opened ``O_PATH``.

    Links on the way are followed inside the root, dangling ones too (their target is made). Directories that are made
    get *mode* whatever the umask, and owner *uid*, *gid* unless -1. ENOTDIR where a file is in the way.
    """
    try:
        return open_in_root(root_fd, path, os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        return open_in_root(root_fd, "/".join(_walk(root_fd, path, _Maker(mode, uid, gid))), os.O_PATH | os.O_DIRECTORY)


def resolve(root_fd: int, path: Path) -> str:
    """The link-free absolute name, seen from the root, that *path* leads to; missing tails stay as they are.

    A name is only a hint once others may write in the tree: open it with ``open_in_root`` again, never by the host's
    own path functions.
    """
    return "/" + "/".join(_walk(root_fd, path, None))


class _Maker:
    """What ``_walk`` does about a missing directory."""

    def __init__(self, mode: int, uid: int, gid: int) -> None:
        self.mode, self.uid, self.gid = mode, uid, gid

    def make(self, root_fd: int, parent: list[str], name: str) -> None:
        with opened(open_in_root(root_fd, "/".join(parent), os.O_PATH | os.O_DIRECTORY)) as directory:
            try:
                os.mkdir(name, self.mode, dir_fd=directory)
            except FileExistsError:
                return  # somebody was faster; the walk looks at it again
            with opened(
                openat2(directory, name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, resolve=RESOLVE_BENEATH)
            ) as fd:
                os.fchmod(fd, self.mode)
                if self.uid != -1 or self.gid != -1:
                    os.fchown(fd, self.uid, self.gid)


def _walk(root_fd: int, path: Path, maker: _Maker | None) -> list[str]:
    """Follow *path* component by component; each look-up is confined by itself, so a race only changes the answer."""
    pending = _components(path)[::-1]
    done: list[str] = []
    links = attempts = 0
    while pending:
        name = pending.pop()
        if name == "..":
            done = done[:-1]
            continue
        try:
            fd = open_in_root(root_fd, "/".join([*done, name]), os.O_PATH | os.O_NOFOLLOW)
        except FileNotFoundError:
            if maker is None:
                return _lexical([*done, name, *reversed(pending)])
            attempts += 1
            if attempts > _MAX_RETRIES:
                raise
            maker.make(root_fd, done, name)
            pending.append(name)
            continue
        with opened(fd):
            mode = os.fstat(fd).st_mode
            if stat_module.S_ISLNK(mode):
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fsdecode(path))
                target = os.readlink("", dir_fd=fd)
                done = [] if target.startswith("/") else done
                pending.extend(_components(target)[::-1])
                continue
        if not stat_module.S_ISDIR(mode) and (pending or maker):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fsdecode(path))
        done.append(name)
    return done


def _relative(path: Path) -> str:
    """openat2 takes "" as an error and follows "/x" from the root anyway; keep a trailing slash, it means directory."""
    return os.fsdecode(path) or "."


def _components(path: Path) -> list[str]:
    return [part for part in os.fsdecode(path).split("/") if part not in ("", ".")]


def _lexical(parts: list[str]) -> list[str]:
    result: list[str] = []
    for part in parts:
        if part == "..":
            result = result[:-1]
        else:
            result.append(part)
    return result
