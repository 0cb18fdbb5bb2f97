"""The audit log's file: append, sync, rotate. Plain blocking code; used by one thread.

PATH is the newest, PATH.1 the one before, and so on. Rotation renames from the oldest to the newest, so that a process
which dies between two renames leaves a gap in the numbers and loses nothing; the next rotation fills the gap.
"""

import os
import stat

from corten import errors

MODE = 0o600


class AuditFile:
    """*max_size* in bytes, *max_files* counts the one that is written to; each at least 1."""

    def __init__(self, path: str, max_size: int, max_files: int) -> None:
        self.path, self._max_size, self._max_files = os.path.abspath(path), max_size, max_files
        self._fd = -1
        self._size = 0
        self._identity = (0, 0)

    def open(self) -> None:
        """Open or make the file, and its directory. OSError; errors.System for what is no regular file.

        A last line that a power cut left unfinished is closed by a line end, and stays.
        """
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        fd = os.open(self.path, flags, MODE)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise errors.System(f"audit log {self.path}: not a regular file")
            os.fchmod(fd, MODE)
            self._size = status.st_size
            if self._size and os.pread(fd, 1, self._size - 1) != b"\n":
                self._size += os.write(fd, b"\n")
            os.fsync(fd)
            sync_directory(self.path)
        except BaseException:
            os.close(fd)
            raise
        self.close()
        self._fd, self._identity = fd, (status.st_dev, status.st_ino)

    def append(self, data: bytes) -> None:
        """Write whole lines and sync them. After an OSError nothing of *data* is in the file."""
        if self._fd < 0 or self._moved():
            self.open()
        if self._size and self._size + len(data) > self._max_size:
            self._rotate()
        before, written = self._size, 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
            os.fdatasync(self._fd)
        except OSError:
            os.ftruncate(self._fd, before)
            raise
        self._size = before + written

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _moved(self) -> bool:
        """Whether somebody else (logrotate) has taken the file away."""
        try:
            status = os.lstat(self.path)
        except FileNotFoundError:
            return True
        return (status.st_dev, status.st_ino) != self._identity

    def _rotate(self) -> None:
        free = 1
        while free < self._max_files and os.path.lexists(f"{self.path}.{free}"):
            free += 1
        # all numbers taken: the oldest gives way, under the last rename
        last = min(free, self._max_files - 1)
        for number in range(last, 0, -1):
            source = f"{self.path}.{number - 1}" if number > 1 else self.path
            os.rename(source, f"{self.path}.{number}")
        if last == 0:
            os.unlink(self.path)
        self.close()
        self.open()


def sync_directory(path: str) -> None:
    """Make the name of *path* durable."""
    fd = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
