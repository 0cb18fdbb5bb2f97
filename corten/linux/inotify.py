"""inotify(7) by hand: which directories changed.

One instance watches many directories, as a user may have only 128 instances (fs.inotify.max_user_instances).
"""

import ctypes
import os
import struct

IN_MODIFY = 0x2
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_Q_OVERFLOW = 0x4000
IN_ONLYDIR = 0x01000000

_EVENT = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)
    return result


class Inotify:
    """An inotify instance; ``descriptor`` becomes readable when something happened."""

    def __init__(self) -> None:
        self.descriptor = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")

    def add(self, directory: str, mask: int = IN_MODIFY | IN_CREATE | IN_MOVED_TO) -> int:
        """Watch *directory*; returns the watch. The same directory gives the same watch. OSError as the kernel says."""
        path = os.fsencode(directory)
        return _checked(_libc.inotify_add_watch(self.descriptor, path, ctypes.c_uint32(mask | IN_ONLYDIR)), directory)

    def remove(self, watch: int) -> None:
        """End a watch; one that ended with its directory is no error."""
        _libc.inotify_rm_watch(self.descriptor, watch)

    def changed(self) -> set[int] | None:
        """The watches where something happened since the last call; None when the kernel lost count (all may have)."""
        result: set[int] = set()
        overflow = False
        while True:
            try:
                data = os.read(self.descriptor, 64 * 1024)
            except BlockingIOError:
                return None if overflow else result
            offset = 0
            while offset < len(data):
                watch, mask, _, length = _EVENT.unpack_from(data, offset)
                offset += _EVENT.size + length
                if mask & IN_Q_OVERFLOW:
                    overflow = True
                else:
                    result.add(watch)

    def close(self) -> None:
        os.close(self.descriptor)
