"""Pulling as a service: many pulls at once over the same fetches, each stopped when its client goes away."""

import queue
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence

from corten import errors
from corten.distribution.client import RegistryClient
from corten.distribution.credential import ANONYMOUS, Credential
from corten.engine.blobfetch import Source
from corten.engine.blobfetches import Fetches, Ticket
from corten.engine.blobretention import DROP, give_up
from corten.engine.feed import Report, run_stoppable
from corten.engine.imagearrival import Cancellation
from corten.engine.imagepull import ImagePull, Pulled
from corten.engine.imagestore import ImageStore
from corten.engine.settings import Settings
from corten.linux.pool import Pool
from corten.model.image import Progress
from corten.oci.manifest import Descriptor
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
        store.fetching = self._fetches.busy
        store.fetch_again = self.fetch_again
        store.hand_back = self._hand_back
        self.configure()
        self._pool = Pool(THREADS, "pull")
        self._lock = threading.Lock()
        self._running: set[Cancellation] = set()
        self._closed = False

    def configure(self) -> None:
        """Take over the settings."""
        self._fetches.configure(self._settings.max_concurrent_downloads, self._settings.max_download_attempts)

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

    def fetch_again(self, blob: Descriptor) -> None:
        """Bring back a blob that was given up, from a repository that shows it to anybody. Blocking.

        ``NotFound`` says what to do when nobody gives it.
        """
        failure = "no registry is known to have it"
        for origin in self._store.sources.repositories(blob.digest):
            try:
                self._bring_back(blob, self._registries.repository(origin, ANONYMOUS))
            except errors.CortenError as error:
                failure = f"{origin.familiar_name()} does not give it: {error}"
            else:
                return
        raise errors.NotFound(
            f"layer {blob.digest} is not kept here and cannot be fetched again: {failure}; "
            "pull its image with the daemon's blob-retention set to keep"
        )

    def _hand_back(self, digests: Sequence[str]) -> None:
        if digests and self._settings.blob_retention == DROP:
            give_up(self._store, sys.maxsize, only=digests)

    def _bring_back(self, blob: Descriptor, source: Source) -> None:
        ended: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        ticket = self._fetches.join(blob, source, lambda status, current, total: None, ended, unpack=False)
        try:
            ended.get()
            if ticket.error is not None:
                raise ticket.error
            writer = ticket.fetch.writer
            with self._store.exclusive():
                if writer is not None and not self._store.content.has(blob.digest):
                    self._store.content.publish([writer])
        finally:
            self._fetches.leave(ticket)

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
