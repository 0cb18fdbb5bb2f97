"""Pushing as a service: many pushes at once, each stopped when its client goes away, all when the daemon ends."""

import threading
from collections.abc import AsyncIterator, Callable

from corten import errors
from corten.distribution.client import RegistryClient
from corten.distribution.credential import Credential
from corten.engine.feed import Report, run_stoppable
from corten.engine.imageorigin import Origins
from corten.engine.imagepush import push_tags
from corten.engine.imagestore import ImageStore
from corten.engine.settings import Settings
from corten.linux.pool import Pool
from corten.model.image import Progress
from corten.oci.platform import Platform
from corten.oci.reference import Reference

THREADS = 16
"""Pushes at once; further ones wait."""

OnStop = Callable[[Callable[[], None]], None]


class Pushes:
    """``run`` on the loop; ``close`` blocks."""

    def __init__(self, store: ImageStore, registries: RegistryClient, settings: Settings) -> None:
        self._store = store
        self._registries = registries
        self._settings = settings
        self._pool = Pool(THREADS, "push")
        self._lock = threading.Lock()
        self._running: set[threading.Event] = set()
        self._closed = False

    def close(self) -> None:
        """Stop all pushes and wait for their end."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for stop in running:
            stop.set()
        self._pool.shutdown()

    def run(self, reference: Reference, platform: Platform | None, credential: Credential) -> AsyncIterator[Progress]:
        """``docker push``: the records, as they come."""
        return run_stoppable(
            self._pool, lambda report, on_stop: self._push(reference, platform, credential, report, on_stop)
        )

    def _push(
        self, reference: Reference, platform: Platform | None, credential: Credential, report: Report, on_stop: OnStop
    ) -> None:
        stop = threading.Event()
        on_stop(stop.set)
        with self._lock:
            if self._closed:
                raise errors.Unavailable("the daemon is shutting down")
            self._running.add(stop)
        try:
            repository = self._registries.repository(reference, credential, push=True, stop=stop)
            origins = Origins(self._store.sources, self._registries, reference.domain, credential, stop)
            at_once = self._settings.max_concurrent_uploads
            push_tags(self._store, repository, reference, platform, at_once, report, stop, origins)
        finally:
            with self._lock:
                self._running.discard(stop)
