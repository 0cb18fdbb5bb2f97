"""Archives that go to a file or to standard output."""

from __future__ import annotations

import os
import stat

from corten.cli import progress
from corten.cli.failure import Failure
from corten.cli.pump import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def check(path: str, verb: str, what: str) -> None:
    """Failure when an archive would go to a terminal, or to a place that is no file.

    ``verb`` and ``what`` are for the messages: "save" and "image".
    """
    if not path:
        if os.isatty(1):
            raise Failure(f"cowardly refusing to {verb} to a terminal. Use the -o flag or redirect")
        return
    problem = _problem(path)
    if problem:
        raise Failure(f"failed to {verb} {what}: {problem}")


def _problem(path: str) -> str:
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        return f"invalid output path: stat {folder}: no such file or directory"
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return ""
    if stat.S_ISDIR(mode):
        return "cannot write to a directory"
    if stat.S_ISCHR(mode):
        return "cannot write to a character device file"
    return "" if stat.S_ISREG(mode) else "cannot write to what is no regular file"


def save(path: str, data: Iterable[bytes]) -> None:
    """Write ``data`` to standard output, or to ``path``, which appears only when it is complete."""
    if not path:
        for part in data:
            write(1, part)
        return
    data = progress.counted(data, f"Writing {os.path.basename(path)}")
    temporary = f"{path}.{os.getpid()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            for part in data:
                write(descriptor, part)
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
