"""Where trees go that nobody needs any more: out of the way at once, deleted by a thread in the background."""

import logging
import os
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor

from corten import errors
from corten.linux import tree

log = logging.getLogger(__name__)


class Trash:
    """A directory on the file system of what is thrown into it. Thread-safe."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._reaper = ThreadPoolExecutor(1, thread_name_prefix="snapshot-reaper")
        self._reaping: Future[None] | None = None
        os.makedirs(directory, mode=0o700, exist_ok=True)

    def throw(self, path: str) -> None:
        """Move *path* in here; one that is missing is no error. What cannot be deleted stays for ``empty``."""
        bin_path = tempfile.mkdtemp(dir=self._directory)
        try:
            os.rename(path, os.path.join(bin_path, "x"))
        except FileNotFoundError:
            os.rmdir(bin_path)
            return
        except OSError as error:
            os.rmdir(bin_path)
            raise errors.System(f"cannot remove {path}: {error}") from error
        try:
            self._reaping = self._reaper.submit(_remove_tree, bin_path)
        except RuntimeError:
            return  # closed: the next start empties the trash

    def empty(self) -> None:
        """Delete what is here, in the background: at start."""
        left = os.listdir(self._directory)  # now: what is thrown later must not vanish between its two steps
        self._reaping = self._reaper.submit(self._empty, left)

    def drain(self) -> None:
        """Wait until the background removal has caught up."""
        if self._reaping is not None:
            self._reaping.result()

    def close(self) -> None:
        """Stop the background removal; what is left goes at the next start."""
        self._reaper.shutdown(wait=True, cancel_futures=True)

    def _empty(self, names: list[str]) -> None:
        for name in names:
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
