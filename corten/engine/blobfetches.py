"""The fetches under way: equal blobs once for all pulls, a bounded number at a time, each in a thread of its own.

A pull joins a fetch with a ``Ticket`` and leaves it when its image is recorded or the pull has failed. A fetch that
everybody has left stops; its partial file stays. When the source of one pull fails, the next one's is asked.
"""

import logging
import queue
import threading
from collections import deque

from corten import errors
from corten.engine.blobfetch import DOWNLOADED, WAITING, BlobFetch, Moved, Source
from corten.engine.feed import translated
from corten.oci.manifest import Descriptor
from corten.store.content import ContentStore
from corten.store.ingest import LayerStream
from corten.store.partial import Partials
from corten.store.snapshot import Snapshots

log = logging.getLogger(__name__)


class Ticket:
    """One pull's share in a fetch. ``done`` is put into the pull's queue when the fetch has ended for it."""

    def __init__(self, source: Source, moved: Moved, ended: "queue.SimpleQueue[Ticket | None]") -> None:
        self.source = source
        self.moved = moved
        self.error: BaseException | None = None
        self.spent = False
        self._ended = ended
        self.job: _Job | None = None

    def end(self, error: BaseException | None = None) -> None:
        self.error = error
        self._ended.put(self)

    @property
    def digest(self) -> str:
        return self.fetch.descriptor.digest

    @property
    def fetch(self) -> BlobFetch:
        """What comes in; its results are for use after the end."""
        assert self.job is not None
        return self.job.fetch

    def take(self) -> LayerStream | None:
        """The unpacked layer, unless another ticket has taken it."""
        return self.fetch.take()


class _Job:
    """A fetch and its tickets."""

    fetch: BlobFetch

    def __init__(self) -> None:
        self.tickets: list[Ticket] = []
        self.started = self.over = self.closed = False
        self.last = (WAITING, 0, 0)

    def moved(self, status: str, current: int, total: int) -> None:
        """Pass progress on to every pull that takes part."""
        self.last = (status, current, total)
        for ticket in list(self.tickets):
            ticket.moved(status, current, total)


class Fetches:
    """Thread-safe. *limit* fetches run at once, each with up to *attempts* failures in a row."""

    def __init__(
        self, content: ContentStore, partials: Partials, snapshots: Snapshots, limit: int = 3, attempts: int = 5
    ) -> None:
        self._content = content
        self._partials = partials
        self._snapshots = snapshots
        self._limit = limit
        self._attempts = attempts
        self._lock = threading.Lock()
        self._jobs: dict[str, deque[_Job]] = {}  # per digest one at work, others behind it
        self._waiting: deque[_Job] = deque()
        self._active: dict[_Job, threading.Thread] = {}
        self._closed = False

    def configure(self, limit: int, attempts: int) -> None:
        """Take over settings; what runs goes on."""
        with self._lock:
            self._limit, self._attempts = max(1, limit), max(1, attempts)
            self._start()

    def join(
        self,
        descriptor: Descriptor,
        source: Source,
        moved: Moved,
        ended: "queue.SimpleQueue[Ticket | None]",
        *,
        unpack: bool,
    ) -> Ticket:
        """Have the blob fetched, or share a fetch that is under way. Always ``leave`` afterwards."""
        ticket = Ticket(source, moved, ended)
        with self._lock:
            if self._closed:
                raise _closing()
            jobs = self._jobs.setdefault(descriptor.digest, deque())
            job = jobs[-1] if jobs else None
            if job is None or job.closed or job.fetch.unpack != unpack or job.fetch.descriptor.size != descriptor.size:
                job = self._new_job(descriptor, unpack)
                jobs.append(job)
                if len(jobs) == 1:
                    self._waiting.append(job)
            ticket.job = job
            job.tickets.append(ticket)
            over = job.over
            self._start()
            started, last = job.started, job.last
        if over:
            moved(DOWNLOADED, 0, 0)
            ticket.end()
        elif not started or last[0] != WAITING:
            moved(*last)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """The pull needs the fetch no longer. With ``ticket.spent`` the blob is not wanted on disk."""
        job = ticket.job
        assert job is not None
        with self._lock:
            if ticket not in job.tickets:
                return
            job.tickets.remove(ticket)
            job.closed = job.closed or not job.tickets
            last = job.closed and not job.tickets and job not in self._active
            if last and not job.over:
                self._waiting = deque(other for other in self._waiting if other is not job)
        if job.closed:
            job.fetch.cancel()
        if last:
            self._drop(job, keep=not ticket.spent)

    def busy(self) -> list[str]:
        """The digests whose partial files are in use."""
        with self._lock:
            return list(self._jobs)

    def close(self, patience: float = 5.0) -> None:
        """Stop everything; partial files stay. Whoever waits for a fetch is told."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            threads = list(self._active.items())
            idle = [job for jobs in self._jobs.values() for job in jobs if not job.over and job not in self._active]
            tickets = [ticket for job in idle for ticket in job.tickets]
        for ticket in tickets:
            ticket.end(_closing())
        for job, _ in threads:
            job.fetch.cancel()
        for _, thread in threads:
            thread.join(patience)

    # under the lock

    def _new_job(self, descriptor: Descriptor, unpack: bool) -> _Job:
        job = _Job()
        job.fetch = BlobFetch(
            descriptor,
            self._content,
            self._partials,
            self._snapshots,
            unpack=unpack,
            attempts=self._attempts,
            moved=job.moved,
        )
        return job

    def _start(self) -> None:
        while self._waiting and len(self._active) < self._limit and not self._closed:
            job = self._waiting.popleft()
            thread = threading.Thread(target=self._run, args=(job,), name="blob-fetch", daemon=True)
            try:
                thread.start()  # it waits for the lock
            except RuntimeError as error:
                if self._active:  # its turn comes when one of those has ended
                    self._waiting.appendleft(job)
                    return
                job.closed = job.over = True
                for ticket in job.tickets:
                    ticket.end(errors.Exhausted(f"no thread to fetch {job.fetch.descriptor.digest}: {error}"))
            else:
                job.started = True
                self._active[job] = thread

    # the fetch's thread

    def _run(self, job: _Job) -> None:
        while (ticket := self._first(job)) is not None:
            error = self._attempt(job, ticket)
            if error is None:
                break
            with self._lock:
                if ticket in job.tickets:
                    job.tickets.remove(ticket)
            ticket.end(error)
        with self._lock:
            del self._active[job]
            job.closed = not job.tickets
            job.over = not job.closed
            ended = list(job.tickets)
            self._start()
        for ticket in ended:
            ticket.end()
        if not ended:
            self._drop(job, keep=True)

    def _first(self, job: _Job) -> Ticket | None:
        with self._lock:
            job.closed = not job.tickets
            return None if job.closed else job.tickets[0]

    def _attempt(self, job: _Job, ticket: Ticket) -> BaseException | None:
        try:
            with translated():
                job.fetch.run(ticket.source)
        except errors.CortenError as error:
            return error
        except BaseException as error:
            log.exception("fetching %s failed", job.fetch.descriptor.digest)
            return error
        return None

    def _drop(self, job: _Job, *, keep: bool) -> None:
        """Nobody holds the job any more: free its place and let one for the same digest begin."""
        job.fetch.dispose(keep=keep)
        digest = job.fetch.descriptor.digest
        with self._lock:
            jobs = self._jobs[digest]
            first = jobs[0] is job
            jobs.remove(job)
            if not jobs:
                del self._jobs[digest]
            elif first:
                self._waiting.append(jobs[0])
            self._start()


def _closing() -> errors.CortenError:
    return errors.Unavailable("the daemon is shutting down")
