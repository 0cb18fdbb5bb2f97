"""The disk space that a directory tree takes, hard links counted once; links are never followed."""

import os


def tree_size(path: str) -> int:
    """Bytes in blocks of everything below *path*. Names that vanish meanwhile are passed over."""
    total = 0
    seen: set[tuple[int, int]] = set()
    pending = [path]
    while pending:
        try:
            entries = os.scandir(pending.pop())
        except (FileNotFoundError, NotADirectoryError):
            continue
        with entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                    is_directory = entry.is_dir(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if is_directory:
                    pending.append(entry.path)
                elif status.st_nlink > 1:
                    identity = (status.st_dev, status.st_ino)
                    if identity in seen:
                        continue
                    seen.add(identity)
                total += status.st_blocks * 512
    return total
