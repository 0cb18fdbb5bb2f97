"""The blobs of one pull on their way: joined, waited for, committed in one step with the image."""

import os
import queue
import threading
from collections.abc import Callable, Iterator

from corten import errors, faultpoint
from corten.engine.blobfetch import Moved
from corten.engine.blobfetches import Fetches, Ticket
from corten.engine.blobretention import DROP, keeps, make_room
from corten.engine.feed import Report
from corten.engine.imagestore import ImageStore
from corten.engine.pullplan import Documents, Part, Plan, Registry
from corten.model.image import Progress
from corten.oci.reference import Reference
from corten.store.content import CHUNK
from corten.store.ingest import Ingest, LayerStream


class Cancellation:
    """Set once, from any thread; wakes the pull that waits."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._queues: list[queue.SimpleQueue[Ticket | None]] = []

    def cancel(self) -> None:
        self.event.set()
        for waiting in list(self._queues):
            waiting.put(None)

    def watch(self, waiting: "queue.SimpleQueue[Ticket | None]") -> None:
        """Put None into the queue when it happens."""
        self._queues.append(waiting)
        if self.event.is_set():
            waiting.put(None)

    def check(self) -> None:
        """Raise ``Cancelled`` when it has happened."""
        if self.event.is_set():
            raise errors.Cancelled("the pull was cancelled")


class Arrival:
    """Used once, by one thread."""

    def __init__(
        self, store: ImageStore, fetches: Fetches, retention: str, report: Report, cancellation: Cancellation
    ) -> None:
        self._store = store
        self._fetches = fetches
        self._retention = retention
        self._report = report
        self._cancellation = cancellation
        self._ended: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._tickets: dict[str, Ticket] = {}
        self._streams: dict[str, LayerStream] = {}

    def bring(
        self, plan: Plan, documents: Documents, name: Reference, registry: Registry, pin: Callable[[str], None]
    ) -> tuple[str, bool]:
        """Fetch what is missing, commit and record: the image id, and whether anything was new.

        On any failure everything is let go, and only partial files stay.
        """
        for part in plan.parts:
            pin(part.descriptor.digest)
            if part.chain_id:
                pin(part.chain_id)
        needed = {part.descriptor.digest: part.descriptor.size for part in plan.parts if self._needs(part)}
        make_room(self._store, sum(needed.values()), self._retention)
        with Ingest(self._store.content, self._store.snapshots) as ingest:
            try:
                self._cancellation.watch(self._ended)
                self._join(plan, set(needed), registry)
                self._wait(plan)
                for data in documents.fetched.values():
                    ingest.document(data)
                return self._commit(plan, documents, ingest, name)
            finally:
                for ticket in self._tickets.values():
                    self._fetches.leave(ticket)

    # what has to come

    def _needs(self, part: Part) -> bool:
        """Layers that are not unpacked, and blobs that are to be kept and are not here."""
        if part.chain_id and not self._placed(part):
            return True
        digest = part.descriptor.digest
        if self._store.content.has(digest):
            return False
        return not part.chain_id or keeps(self._store, digest, self._retention)

    def _placed(self, part: Part) -> bool:
        return self._store.snapshots.layer(part.chain_id) is not None

    def _join(self, plan: Plan, needed: set[str], registry: Registry) -> None:
        if not needed and self._store.index.get(plan.target.digest) is not None:
            return
        for part in plan.layers:
            self._say(part, "Pulling fs layer" if part.descriptor.digest in needed else "Already exists")
        unpacked = {part.descriptor.digest for part in plan.layers if not self._placed(part)}
        for part in plan.parts:
            digest = part.descriptor.digest
            if digest in needed and digest not in self._tickets:
                self._tickets[digest] = self._fetches.join(
                    part.descriptor, registry, self._mover(part), self._ended, unpack=digest in unpacked
                )

    def _mover(self, part: Part) -> Moved:
        name = _short(part)
        return lambda status, current, total: self._report(
            Progress(status=status, id=name, current=current, total=total)
        )

    def _say(self, part: Part, status: str) -> None:
        self._report(Progress(status=status, id=_short(part)))

    # waiting

    def _wait(self, plan: Plan) -> None:
        """Until every ticket has ended; layers are complete in the chain's order."""
        left = set(self._tickets)
        order = [part for part in plan.layers if part.descriptor.digest in self._tickets]
        while True:
            while order and order[0].descriptor.digest not in left:
                part = order.pop(0)
                _check_diff_id(part, self._tickets[part.descriptor.digest].fetch.diff_id)
                self._say(part, "Pull complete")
            if not left:
                return
            ticket = self._ended.get()
            self._cancellation.check()
            assert ticket is not None
            if ticket.error is not None:
                raise ticket.error
            left.discard(ticket.digest)

    # the end

    def _commit(self, plan: Plan, documents: Documents, ingest: Ingest, name: Reference) -> tuple[str, bool]:
        faultpoint.reach("pull.complete")
        while True:
            ingest.sync()
            faultpoint.reach("pull.synced")
            with self._store.exclusive():
                lacking = [part for part in plan.layers if not self._placed(part) and not self._take(part)]
                if not lacking:
                    return self._record(plan, documents, ingest, name)
            for part in lacking:
                self._unpack_again(part, ingest)

    def _take(self, part: Part) -> bool:
        """Whether we have the layer unpacked: an equal one elsewhere in the chain, or another pull, was faster."""
        if part.chain_id not in self._streams:
            ticket = self._tickets.get(part.descriptor.digest)
            if ticket is None:  # it was unpacked when the pull began
                raise errors.Unavailable(f"layer {part.chain_id} was removed during the pull; pull again")
            stream = ticket.take()
            if stream is None:
                return False
            self._streams[part.chain_id] = stream
        return True

    def _unpack_again(self, part: Part, ingest: Ingest) -> None:
        stream = self._streams[part.chain_id] = ingest.layer_from(self._pieces(part.descriptor.digest))
        if stream.digest != part.descriptor.digest:
            raise errors.DataLoss(f"content {part.descriptor.digest} is damaged on disk")
        _check_diff_id(part, stream.ready().diff_id)

    def _pieces(self, digest: str) -> Iterator[bytes]:
        writer = self._tickets[digest].fetch.writer
        try:
            fd = os.open(writer.path if writer is not None else "", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            fd = self._store.content.open(digest)
        with os.fdopen(fd, "rb", buffering=0) as file:
            while piece := file.read(CHUNK):
                yield piece

    def _record(self, plan: Plan, documents: Documents, ingest: Ingest, name: Reference) -> tuple[str, bool]:
        """Under the store's lock."""
        store, content = self._store, self._store.content
        wanted = set(documents.fetched)
        for digest, ticket in self._tickets.items():
            ticket.spent = not self._kept(plan, digest)
            writer = ticket.fetch.writer
            if writer is not None and not ticket.spent and not content.has(digest):
                ingest.take(writer)
                wanted.add(digest)
        ingest.publish({digest for digest in wanted if not content.has(digest)})
        faultpoint.reach("pull.blobs-published")
        for digest in plan.documents:
            if not content.has(digest):
                raise errors.Unavailable(f"content {digest} was removed during the pull; pull again")
        parent = ""
        for part in plan.layers:
            if not self._placed(part):
                ingest.commit_chain([self._streams[part.chain_id]], parent)
            parent = part.chain_id
        faultpoint.reach("pull.layers-placed")
        ingest.record()
        faultpoint.reach("pull.layers-recorded")
        store.sources.record(name, list(dict.fromkeys(part.descriptor.digest for part in plan.parts)))
        before = store.index.name(name.canonical)
        image = store.register(plan.target, [name])
        faultpoint.reach("pull.recorded")
        return image.id, before is None or before.digest != image.id or bool(self._streams)

    def _kept(self, plan: Plan, digest: str) -> bool:
        return self._retention != DROP or any(part.descriptor.digest == digest for part in plan.others)


def _check_diff_id(part: Part, found: str) -> None:
    if found and found != part.diff_id:
        raise errors.DataLoss("layers from manifest don't match image configuration")


def _short(part: Part) -> str:
    """The twelve digits that name a layer in progress records."""
    return part.descriptor.digest.removeprefix("sha256:")[:12]
