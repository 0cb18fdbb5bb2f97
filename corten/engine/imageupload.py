"""Blobs on their way to a repository: asked for, mounted, or uploaded, several at once."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait

from corten import errors
from corten.distribution.repository import Repository
from corten.engine.feed import Report
from corten.engine.imageorigin import Origins
from corten.engine.imagestore import ImageStore
from corten.linux.pool import Pool
from corten.model.image import Progress
from corten.oci.manifest import CONFIG_TYPES, Descriptor
from corten.oci.reference import Reference

_CHUNK = 1 << 20
_PERIOD = 0.1
"""Seconds between two records about the same blob."""
_MOUNTS = 2
"""Repositories that are tried as sources of one blob before it is uploaded."""
MOST_AT_ONCE = 64


class Uploads:
    """The blobs of one push. When *stop* is set, every upload ends with ``Cancelled`` at its next piece."""

    def __init__(
        self,
        store: ImageStore,
        repository: Repository,
        target: Reference,
        at_once: int,
        report: Report,
        stop: threading.Event,
        origins: Origins,
    ) -> None:
        self._store = store
        self._origins = origins
        self._repository = repository
        self._target = target
        self._report = report
        self._at_once = min(at_once or MOST_AT_ONCE, MOST_AT_ONCE)
        self._there: set[str] = set()
        self._stop = stop

    def check(self) -> None:
        """``Cancelled`` when the push is to end."""
        if self._stop.is_set():
            raise errors.Cancelled("the push was cancelled")

    def missing(self, blobs: Sequence[Descriptor]) -> list[Descriptor]:
        """Those that are neither here nor in the repository, and that no registry gives that should have them."""
        return self._each([blob for blob in blobs if not self._store.content.has(blob.digest)], self._is_missing)

    def bring(self, blobs: Sequence[Descriptor]) -> None:
        """Make sure that the repository has all of them; raises the first failure when no upload runs any more."""
        for blob in blobs:
            self._say(blob, "Preparing")
        for blob in blobs[self._at_once :]:
            self._say(blob, "Waiting")
        self._each(blobs, self._bring)

    def _each(self, blobs: Sequence[Descriptor], work: Callable[[Descriptor], bool]) -> list[Descriptor]:
        """Run *work* for each blob, several at once; returns those for which it was true."""
        if not blobs:
            return []
        with Pool(min(self._at_once, len(blobs)), "upload") as pool:
            running = [pool.submit(self._unless_stopped, work, blob) for blob in blobs]
            wait(running)
        failures = [error for each in running if (error := each.exception())]
        if failures:
            raise min(failures, key=lambda error: isinstance(error, errors.Cancelled))
        return [blob for blob, each in zip(blobs, running, strict=True) if each.result()]

    def _unless_stopped(self, work: Callable[[Descriptor], bool], blob: Descriptor) -> bool:
        """Nobody needs the rest of a push that has failed: the first failure ends the others."""
        self.check()
        try:
            return work(blob)
        except BaseException:
            self._stop.set()
            raise

    def _is_missing(self, blob: Descriptor) -> bool:
        if blob.digest in self._there or self._repository.has_blob(blob.digest) is not None:
            self._there.add(blob.digest)
            return False
        return not (self._mount(blob) or self._origins.find(blob.digest))

    def _bring(self, blob: Descriptor) -> bool:
        if blob.digest in self._there or self._repository.has_blob(blob.digest) is not None:
            self._say(blob, "Layer already exists")
        elif not self._mount(blob):
            self._upload(blob)
            self._say(blob, "Pushed")
        self._there.add(blob.digest)
        return True

    def _mount(self, blob: Descriptor) -> bool:
        for path in self._store.sources.candidates(self._target, blob.digest)[:_MOUNTS]:
            if self._repository.mount(blob.digest, path):
                self._there.add(blob.digest)
                self._say(blob, f"Mounted from {path}")
                return True
            if self._store.content.has(blob.digest):  # else it is all we know of where the bytes are
                self._store.sources.discard(self._target, path, blob.digest)
        return False

    def _upload(self, blob: Descriptor) -> None:
        here = self._store.content.has(blob.digest)
        told = 0.0

        def progress(sent: int) -> None:
            nonlocal told
            now = time.monotonic()
            if now - told >= _PERIOD:
                told = now
                self._say(blob, "Pushing", sent, blob.size)

        def pieces() -> Iterator[bytes]:
            return self._pieces(blob.digest) if here else self._origins.pieces(blob)

        try:
            self._repository.upload(blob, pieces, progress)
        except (errors.InvalidArgument, errors.DataLoss):
            if here:
                self._blame(blob.digest)
            raise

    def _pieces(self, digest: str) -> Iterator[bytes]:
        for piece in self._store.content.chunks(digest, _CHUNK):
            self.check()
            yield piece

    def _blame(self, digest: str) -> None:
        """The registry refused the bytes: ``DataLoss`` when it is ours that are wrong. Nobody hashes them otherwise."""
        hasher = hashlib.sha256()
        for piece in self._pieces(digest):
            hasher.update(piece)
        if "sha256:" + hasher.hexdigest() != digest:
            raise errors.DataLoss(f"content {digest} is damaged on disk")

    def _say(self, blob: Descriptor, status: str, current: int = 0, total: int = 0) -> None:
        """A record; configs are small and have none."""
        if blob.media_type not in CONFIG_TYPES:
            label = blob.digest.removeprefix("sha256:")[:12]
            self._report(Progress(status=status, id=label, current=current, total=total))
