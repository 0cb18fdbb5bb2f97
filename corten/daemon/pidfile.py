"""The daemon's pid file, which is its lock as well: it stays locked for as long as the process lives."""

import fcntl
import os

from corten import errors


class PidFile:
    """The locked file at *path*. A file that a killed daemon left is taken over, as its lock died with it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = -1

    def acquire(self) -> None:
        """Lock the file and write this process's id; Conflict when a running daemon holds it."""
        try:
            os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise errors.System(f"failed to create pid file {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise errors.Conflict(
                f"failed to start daemon, ensure cortend is not running or delete {self.path}: "
                f"process with PID {holder} is still running"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Remove the file and give the lock back; may be called twice."""
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        try:
            if os.path.samestat(os.fstat(descriptor), os.stat(self.path)):
                os.unlink(self.path)
        except FileNotFoundError:
            return
        finally:
            os.close(descriptor)
