"""Network namespaces that live as bind mounts, as ip-netns(8) does it: made, entered, removed.

Entering happens in a thread of its own that ends afterwards: a thread that is left in a foreign namespace would be a
trap for whoever uses it next.
"""

import ctypes
import errno
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from corten import errors

T = TypeVar("T")
CLONE_NEWNET = 0x40000000
MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 0x1000, 0x4000, 0x40000, 2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_void_p)


def create(path: str, setup: Callable[[int], T]) -> T:
    """Make a namespace bound at *path* and return ``setup(fd)``, run inside it; *fd* is valid during that call.

    Nothing is left when anything fails. Raises ``errors.System``.
    """

    def work() -> T:
        _check(_libc.unshare(CLONE_NEWNET), "unshare(CLONE_NEWNET)")
        fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDONLY | os.O_CLOEXEC, 0o444))
            try:
                source = f"/proc/self/fd/{fd}".encode()
                _check(_libc.mount(source, os.fsencode(path), None, MS_BIND, None), f"mount {path}")
                return setup(fd)
            except BaseException:
                remove(path)
                raise
        finally:
            os.close(fd)

    return _in_thread(work)


def enter(path: str, work: Callable[[], T]) -> T:
    """Run *work* inside the namespace at *path* and return its result."""

    def inside() -> T:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.setns(fd, CLONE_NEWNET), f"setns {path}")
        finally:
            os.close(fd)
        return work()

    return _in_thread(inside)


def remove(path: str) -> None:
    """Let go of the namespace at *path*; it dies with its last process. One that is gone is no failure."""
    if _libc.umount2(os.fsencode(path), MNT_DETACH):
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOENT):
            raise errors.System(f"umount {path}: {os.strerror(code)}")
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def is_bound(path: str) -> bool:
    """Whether *path* is a live namespace file and not the empty file under a lost mount."""
    try:
        here, proc = os.stat(path), os.stat("/proc/self/ns/net")
    except OSError:
        return False
    return here.st_dev == proc.st_dev


def _in_thread(work: Callable[[], T]) -> T:
    box: list[Any] = []

    def run() -> None:
        try:
            box.append((work(), None))
        except BaseException as error:  # noqa: BLE001 - carried to the caller
            box.append((None, error))

    thread = threading.Thread(target=run, name="netns")
    thread.start()
    thread.join()
    value, error = box[0]
    if error is not None:
        raise error
    return value  # type: ignore[no-any-return]


def _check(result: int, what: str) -> None:
    if result:
        raise errors.System(f"{what}: {os.strerror(ctypes.get_errno())}")
