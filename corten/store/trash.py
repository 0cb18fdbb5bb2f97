"""Where trees go that nobody needs any more: out of the way at once, deleted by a thread in the background."""

import contextlib
import logging
import os
import secrets
from concurrent.futures import Future

from corten import errors
from corten.linux import tree
from corten.linux.pool import Pool

log = logging.getLogger(__name__)


class Trash:
    """A directory on the file system of what is thrown into it. Thread-safe."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._reaper = Pool(1, "snapshot-reaper")
        self._reaping: Future[None] | None = None
        os.makedirs(directory, mode=0o700, exist_ok=True)

    def throw(self, path: str) -> None:
        """Move *path* in here; one that is missing is no error. Takes no inode, since there may be none left.

        What cannot be deleted is tried again with whatever is thrown next, and at the next start.
        """
        try:
            os.rename(path, os.path.join(self._directory, secrets.token_hex(8)))
        except FileNotFoundError:
            return
        except OSError as error:
            raise errors.System(f"cannot remove {path}: {(error.strerror or '').lower()}") from error
        with contextlib.suppress(RuntimeError):  # closed: the next start empties the trash
            self.empty()

    def empty(self) -> None:
        """Delete what is here, in the background."""
        self._reaping = self._reaper.submit(self._empty)

    def drain(self) -> None:
        """Wait until the background removal has caught up."""
        if self._reaping is not None:
            self._reaping.result()

    def close(self) -> None:
        """Stop the background removal; what is left goes at the next start."""
        self._reaper.shutdown(wait=True, cancel_futures=True)

    def _empty(self) -> None:
        for name in os.listdir(self._directory):
            _remove_tree(os.path.join(self._directory, name))


def _remove_tree(path: str) -> None:
    """Whatever a container has left, however deep."""
    parent = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        tree.remove(parent, os.path.basename(path))
    except OSError as error:
        log.warning("cannot delete %s: %s", path, error)
    finally:
        os.close(parent)
