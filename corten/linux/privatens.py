"""Work in a mount namespace that nobody else sees.

A thread of its own unshares its mounts (unshare(2); the kernel lets a single thread do that), makes them private and
runs a function. Nothing that it mounts shows up on the host, and with the thread the namespace ends. What should
outlive it is returned as a descriptor of a detached mount tree (open_tree(2) with OPEN_TREE_CLONE), whose mounts go
when the descriptor is closed.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from typing import TypeVar

from corten.linux import mount

_CLONE_NEWNS = 0x00020000
_libc = ctypes.CDLL(None, use_errno=True)
T = TypeVar("T")


def run(work: Callable[[], T]) -> T:
    """Call *work* in a thread with private mounts; returns what it returns, raises what it raises."""
    results: list[T] = []
    failures: list[BaseException] = []

    def body() -> None:
        try:
            if _libc.unshare(_CLONE_NEWNS) != 0:
                code = ctypes.get_errno()
                raise OSError(code, f"unshare: {os.strerror(code)}")
            mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failures.append(error)

    thread = threading.Thread(target=body, name="private-mounts")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]
