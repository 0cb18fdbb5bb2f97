"""What kind of file system an open file lies on: fstatfs(2)."""

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
_ROOM = 256  # struct statfs is at most 120 bytes; its first word is the type

VIEWS = frozenset(
    (
        0x9FA0,  # proc
        0x62656572,  # sysfs
        0x27E0EB,  # cgroup
        0x63677270,  # cgroup2
        0x1CD1,  # devpts
        0x19800202,  # mqueue
        0x64626720,  # debugfs
        0x74726163,  # tracefs
        0x73636673,  # securityfs
        0xCAFE4A11,  # bpf
    )
)
"""File systems whose files are the kernel's own state in the form of names, not data of anybody (statfs(2))."""


def is_view(fd: int) -> bool:
    """Whether *fd*, ``O_PATH`` or not, lies on one of ``VIEWS``."""
    buffer = ctypes.create_string_buffer(_ROOM)
    if _libc.fstatfs(fd, buffer):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return ctypes.c_ulong.from_buffer(buffer).value & 0xFFFFFFFF in VIEWS
