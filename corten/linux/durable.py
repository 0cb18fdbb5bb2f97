"""What it takes that a change of the file system outlives a power cut (fsync(2), syncfs(2))."""

import os


def sync_directory(path: str) -> None:
    """Names that were made, renamed or removed in the directory *path* are on disk when this returns."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
