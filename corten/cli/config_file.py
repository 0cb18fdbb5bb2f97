"""config.json, docker's file: changed in place, so that what this program does not know stays as it was."""

from __future__ import annotations

import contextlib
import json
import os
import stat

from corten.cli.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


def change(path: str, edit: Callable[[dict[str, Any]], None]) -> None:
    """Let ``edit`` change the document at ``path`` and put it in the file's place, readable by the owner alone.

    A file that is no JSON object is refused, never replaced. Two changes at once wait for each other; a reader sees
    the old file or the new one. Where ``path`` is a symbolic link, the file behind it is changed.
    """
    path = os.path.realpath(path)
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with _locked(folder):
        document = _read(path)
        edit(document)
        _write(path, json.dumps(document, indent="\t", ensure_ascii=False).encode())


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """The directory itself is the lock, so that none is left lying about."""
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            document = json.loads(file.read() or b"{}")
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise Failure(f"{path} is left as it is, for it cannot be understood: {error}") from None
    if not isinstance(document, dict):
        raise Failure(f"{path} is left as it is, for it holds no JSON object")
    return document


def _write(path: str, data: bytes) -> None:
    temporary = f"{path}{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _keep_owner(path, descriptor)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _keep_owner(path: str, descriptor: int) -> None:
    """With sudo, the user's file stays the user's."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return
    if os.geteuid() == 0 and stat.S_ISREG(found.st_mode):
        os.fchown(descriptor, found.st_uid, found.st_gid)
