"""Rotation of a container's log while conmon writes it.

The live file is renamed and conmon is told to open its log again; until it does, it goes on writing to the renamed
file, so no line is lost. Observed with conmon 2.1.6: the control message ``2 0 0\\n`` makes it sync and close the old
file, open a new one under a temporary name and rename that to the log's path. A daemon that dies between the two steps
leaves the path empty; the next check sends the message again.
"""

import fcntl
import logging
import os
import shutil
import sys
import termios
import time

from isal import igzip

from corten.runtime.logdrivers.options import Storage

REOPEN = b"2 0 0\n"
REOPEN_TIMEOUT = 2.0
_PAUSE = 0.002

log = logging.getLogger(__name__)


def rotate_if_due(path: str, control: str, storage: Storage) -> bool:
    """Rotate the log at *path* if it is larger than allowed; *control* is conmon's control fifo.

    True when a rotation was done (or finished). OSError when the host refuses a rename. Blocks for milliseconds, and
    for as long as compressing takes if that is wanted.
    """
    if storage.max_size < 0:
        return False
    try:
        if os.stat(path).st_size <= storage.max_size:
            return False
    except FileNotFoundError:
        if not os.path.exists(f"{path}.1"):
            return False
    else:
        _shift(path, storage.max_file)
    if _reopen(path, control):
        _tidy(path, storage)
    return True


def _shift(path: str, max_file: int) -> None:
    """Move every file to the next number, the oldest ones away."""
    kept = max(max_file - 1, 1)
    for suffix in ("", ".gz"):
        _unlink(f"{path}.{kept}{suffix}")
    for number in range(kept - 1, 0, -1):
        for suffix in ("", ".gz"):
            try:
                os.rename(f"{path}.{number}{suffix}", f"{path}.{number + 1}{suffix}")
            except FileNotFoundError:
                continue
    os.rename(path, f"{path}.1")


def _reopen(path: str, control: str) -> bool:
    """Tell conmon to open its log again and wait until it has; False when there is no conmon any more."""
    try:
        descriptor = os.open(control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # ENXIO, ENOENT: conmon is gone; nothing will be written any more
        return False
    try:
        # a second order would make conmon put a new file over the one that the first has made, with its lines
        if not _unread(descriptor):
            os.write(descriptor, REOPEN)
    except OSError as error:
        log.warning("cannot tell conmon at %s to open its log again: %s", control, error)
        return False
    finally:
        os.close(descriptor)
    deadline = time.monotonic() + REOPEN_TIMEOUT
    while not os.path.exists(path):
        if time.monotonic() > deadline:
            log.warning("conmon at %s has not opened its log again yet", control)
            return False
        time.sleep(_PAUSE)
    return True


def _unread(descriptor: int) -> int:
    """Bytes in a fifo that nobody has read yet (ioctl_pipe(2))."""
    buffer = bytearray(4)
    fcntl.ioctl(descriptor, termios.FIONREAD, buffer)
    return int.from_bytes(buffer, sys.byteorder)


def _tidy(path: str, storage: Storage) -> None:
    """What can be done once nobody writes to the renamed file."""
    rotated = f"{path}.1"
    if storage.max_file == 1:
        _unlink(rotated)
        return
    if _trim(rotated, storage.max_size * (storage.max_file - 1)):
        for number in range(2, storage.max_file):  # a log without its middle would mislead
            for suffix in ("", ".gz"):
                _unlink(f"{path}.{number}{suffix}")
    if storage.compress:
        _compress(rotated)


def _trim(path: str, limit: int) -> bool:
    """Keep the last *limit* bytes of a file that became far too large between two checks, from a line's start on.

    True when something was cut off.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= limit:
            return False
        file.seek(size - limit)
        file.readline()
        offset = file.tell()
        temporary = f"{path}.tmp"
        with open(temporary, "wb", opener=_private) as kept:
            while copied := os.copy_file_range(file.fileno(), kept.fileno(), size - offset, offset_src=offset):
                offset += copied
            os.fsync(kept.fileno())
    os.rename(temporary, path)
    return True


def _compress(path: str) -> None:
    temporary = f"{path}.gz.tmp"
    with open(path, "rb") as plain, open(temporary, "wb", opener=_private) as file:
        with igzip.IGzipFile(fileobj=file, mode="wb", compresslevel=1) as packed:  # type: ignore[no-untyped-call]
            shutil.copyfileobj(plain, packed, 1024 * 1024)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, f"{path}.gz")
    os.unlink(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
