"""Network namespaces that live as bind mounts, as ip-netns(8) does it: made, entered, removed.

Entering moves the calling thread alone, and it comes back before anything else runs in it. A thread of its own for each
visit would do, too, until the host gives no more threads; then nothing that was entered could be taken down again.
"""

import ctypes
import errno
import logging
import os
import time
from collections.abc import Callable
from typing import TypeVar

from corten import errors

T = TypeVar("T")
log = logging.getLogger(__name__)

RETURN_PAUSE = 0.01
"""Seconds between two attempts to come back; the kernel refuses only while it has no memory."""

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

    return _elsewhere(work)


def enter(path: str, work: Callable[[], T]) -> T:
    """Run *work* inside the namespace at *path* and return its result."""

    def inside() -> T:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.setns(fd, CLONE_NEWNET), f"setns {path}")
        finally:
            os.close(fd)
        return work()

    return _elsewhere(inside)


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


def _elsewhere(work: Callable[[], T]) -> T:
    """Run *work*, which may leave this thread's namespace, and come back."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return work()
    finally:
        # a thread left in a foreign namespace is a trap for whoever uses it next: there is nothing else that it may do
        while _libc.setns(home, CLONE_NEWNET):
            log.error("coming back from a network namespace: %s", os.strerror(ctypes.get_errno()))
            time.sleep(RETURN_PAUSE)
        os.close(home)


def _check(result: int, what: str) -> None:
    if result:
        raise errors.System(f"{what}: {os.strerror(ctypes.get_errno())}")
