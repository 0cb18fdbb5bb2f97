"""The directories of a daemon are its own: a second daemon in them would sweep away the first one's containers."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from corten import errors


@contextlib.contextmanager
def locked(*directories: str, doing: str = "start daemon") -> Iterator[None]:
    """Hold the existing *directories* locked (flock(2)); Conflict when another process has one of them.

    A lock ends with the process, so a killed daemon leaves nothing to clear.
    """
    with contextlib.ExitStack() as held:
        for directory in dict.fromkeys(map(os.path.realpath, directories)):
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            held.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise errors.Conflict(f"failed to {doing}: {directory} is used by another cortend") from None
        yield
