"""Pulling as a service: many pulls at once over the same fetches, each stopped when its client goes away."""

import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

from corten import errors
from corten.distribution.client import RegistryClient
from corten.distribution.credential import Credential
from corten.engine.blobfetches import Fetches
from corten.engine.feed import Report, run_stoppable
from corten.engine.imagearrival import Cancellation
from corten.engine.imagepull import ImagePull, Pulled
from corten.engine.imagestore import ImageStore
from corten.engine.settings import Settings
from corten.model.image import Progress
from corten.oci.platform import Platform
from corten.oci.reference import Reference

THREADS = 32
"""Pulls at once; further ones wait."""

OnStop = Callable[[Callable[[], None]], None]


class Pulls:
    """``run`` on the loop; the rest may be called from any thread."""

    def __init__(self, store: ImageStore, registries: RegistryClient, settings: Settings) -> None:
        self._store = store
        self._registries = registries
        self._settings = settings
        self._fetches = Fetches(store.content, store.partials, store.snapshots)
        self.configure()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="pull")
        self._lock = threading.Lock()
        self._running: set[Cancellation] = set()
        self._closed = False

    def configure(self) -> None:
        """Take over the settings."""
        self._fetches.configure(self._settings.max_concurrent_downloads, self._settings.max_download_attempts)

    def busy(self) -> list[str]:
        """The digests that are being fetched."""
        return self._fetches.busy()

    def close(self) -> None:
        """Stop all pulls; what they have so far serves the next ones."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for cancellation in running:
            cancellation.cancel()
        self._fetches.close()
        self._pool.shutdown()

    async def run(
        self, reference: Reference, platform: Platform | None, credential: Credential
    ) -> AsyncIterator[Progress]:
        """``docker pull``: progress records, then one event per name."""
        done: list[Pulled] = []
        async for progress in run_stoppable(
            self._pool,
            lambda report, on_stop: done.extend(self._pull(reference, platform, credential, report, on_stop)),
        ):
            yield progress
        for pulled in done:
            image = self._store.index.get(pulled.image_id)
            if image is not None:
                labels = next((manifest.labels for manifest in image.manifests if manifest.labels), None) or {}
                name = pulled.name
                self._store.emit("pull", name.familiar(), {**labels, "name": name.familiar_name()})

    def _pull(
        self, reference: Reference, platform: Platform | None, credential: Credential, report: Report, on_stop: OnStop
    ) -> list[Pulled]:
        cancellation = Cancellation()
        on_stop(cancellation.cancel)
        with self._lock:
            if self._closed:
                raise errors.Unavailable("the daemon is shutting down")
            self._running.add(cancellation)
        try:
            registry = self._registries.repository(reference, credential, stop=cancellation.event)
            return ImagePull(
                self._store,
                registry,
                self._fetches,
                platform=platform,
                retention=self._settings.blob_retention,
                report=report,
                cancellation=cancellation,
            ).run(reference)
        finally:
            with self._lock:
                self._running.discard(cancellation)
