"""What goes: what nothing needs, and what a policy says has been kept long enough.

Pulls, loads, commits and creates go on meanwhile. Marking, and the removal of a handful of objects, happen as one step
against them; then others get their turn, and before the next handful it is marked again. What they count on is leased.
"""

import logging
import time
from collections import Counter
from collections.abc import Collection as Names
from collections.abc import Iterator

from corten import faultpoint
from corten.engine.imagescan import StoredImage
from corten.engine.imagestore import ImageStore
from corten.model import gc as model
from corten.model.gc import Collection, GcPolicy
from corten.store import gc, space
from corten.store.gc import Candidate, Choice, Limits, Marked, Node, choose, duration

log = logging.getLogger("corten.gc")

BATCH = 32
"""Objects that are removed before others get their turn."""

UNNEEDED = "no image, container or lease needs it"
HELD = "records in quarantine may need what nothing else refers to; see `corten fsck`"


class Garbage:
    """Of one store. ``collect`` blocks, and is called by one thread at a time; ``stopped`` ends it early."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        self.stopped = False

    def collect(self, policy: GcPolicy, dry: bool = False, every: bool = False) -> Collection:
        """One run, or with *dry* what it would do. With *every*, what stays is told too."""
        store = self._store
        removed: list[model.Garbage] = []
        if not dry:
            removed += [_lease(lease.name) for lease in store.leases.expire()]
        with store.exclusive():
            doomed = self._condemned(policy)
        removed += [_image(choice) for choice in doomed if dry or self._remove_image(choice.candidate)]
        removed += self._partials(policy, dry)
        held = HELD if store.quarantine.holds_content else ""
        gone = {choice.candidate.node.key for choice in doomed} if dry else set()
        with store.exclusive():
            marked = store.graph(without=gone).mark()
            unneeded = [] if held else self._unneeded(marked)
        removed += unneeded if dry else self._sweep(unneeded)
        for each in removed if not dry else ():
            log.info(
                "removed %s %s (%d bytes): %s", each.kind, " ".join([each.id, *each.names]), each.size, each.reason
            )
        reclaimed = sum(each.size for each in removed if each.kind != gc.IMAGE)
        return Collection(
            removed=removed, reclaimed=reclaimed, kept=self._kept(marked, held) if every else [], held=held
        )

    # images, by the policy

    def _condemned(self, policy: GcPolicy) -> list[Choice]:
        if not (policy.max_age or policy.keep_storage or policy.min_free_space):
            return []
        store, leased = self._store, self._store.leases.held().keys()
        users = Counter(node for image in store.index.images() for node in _nodes(image))
        candidates = [
            self._candidate(image, users)
            for image in store.index.images()
            if (policy.tagged or not store.index.names_of(image.id)) and self._free(image, leased)
        ]
        limits = Limits(policy.max_age, policy.keep_storage, policy.min_free_space)
        left = space.free(store.content.root)
        return choose(candidates, limits, now=time.time_ns(), stored=self.stored(), free=left)

    def _free(self, image: StoredImage, leased: Names[str]) -> bool:
        """Whether no container uses it and no lease holds any of it."""
        return not self._store.users(image.id) and not any(node.key in leased for node in _nodes(image))

    def _candidate(self, image: StoredImage, users: Counter[Node]) -> Candidate:
        """Its size is that of what no other image has."""
        own = [node for node in _nodes(image) if users[node] == 1]
        names = self._store.index.names_of(image.id)
        used = max([image.stored_at, *(name.tagged for name in names)])
        shown = tuple(name.reference.familiar() for name in names)
        return Candidate(Node(gc.IMAGE, image.id), sum(map(self._size, own)), used, shown)

    def _remove_image(self, candidate: Candidate) -> bool:
        """Forget it, unless somebody has named, used or removed it since it was chosen; its content is swept later."""
        store, key = self._store, candidate.node.key
        with store.exclusive():
            image, names = store.index.get(key), store.index.names_of(key)
            if image is None or not self._free(image, store.leases.held().keys()):
                return False
            if tuple(name.reference.familiar() for name in names) != candidate.names:
                return False
            store.index.drop_images([key])
            faultpoint.reach("gc.image-forgotten")
        for name in names:
            store.named_event("untag", image, name)
        store.event("delete", image)
        return True

    # downloads that broke off

    def _partials(self, policy: GcPolicy, dry: bool) -> list[model.Garbage]:
        store = self._store
        busy = set(store.fetching())
        found = [
            Candidate(Node(gc.PARTIAL, digest), size, changed)
            for digest, (size, changed) in store.partials.found().items()
            if digest not in busy
        ]
        limits = Limits(policy.partial_max_age, 0, policy.min_free_space)
        chosen = choose(found, limits, now=time.time_ns(), stored=0, free=space.free(store.content.root))
        removed = []
        for candidate, reason in chosen:
            digest = candidate.node.key
            if not dry and (digest in store.fetching() or not store.partials.remove(digest)):
                continue  # taken up again meanwhile
            removed.append(model.Garbage(kind=gc.PARTIAL, id=digest, size=candidate.size, reason=reason))
        return removed

    # what nothing needs

    def _unneeded(self, marked: Marked) -> list[model.Garbage]:
        store = self._store
        nodes = [Node(gc.BLOB, digest) for digest in sorted(store.content.digests())]
        nodes += [Node(gc.LAYER, layer.chain_id) for layer in store.snapshots.layers()]
        return [
            model.Garbage(kind=node.kind, id=node.key, size=self._size(node), reason=UNNEEDED)
            for node in nodes
            if node not in marked
        ]

    def _sweep(self, unneeded: list[model.Garbage]) -> Iterator[model.Garbage]:
        """Remove them a few at a time, and each only if it is still unneeded."""
        for start in range(0, len(unneeded), BATCH):
            if self.stopped:
                return
            batch = unneeded[start : start + BATCH]
            blobs = [each.id for each in batch if each.kind == gc.BLOB]
            self._store.sweep(blobs)
            for each in batch:
                if not self._present(each):
                    yield each

    def _present(self, each: model.Garbage) -> bool:
        if each.kind == gc.BLOB:
            return self._store.content.has(each.id)
        return self._store.snapshots.layer(each.id) is not None

    # telling

    def _kept(self, marked: Marked, held: str) -> list[model.Garbage]:
        """What stays, and who needs it."""
        store = self._store
        nodes = [Node(gc.BLOB, digest) for digest in sorted(store.content.digests())]
        nodes += [Node(gc.LAYER, layer.chain_id) for layer in store.snapshots.layers()]
        found = []
        for node in nodes:
            way = marked.why(node)
            if way or held:
                reason = f"needed by {self._shown(way[0])}" if way else held
                found.append(model.Garbage(kind=node.kind, id=node.key, size=self._size(node), reason=reason))
        for digest, (size, changed) in store.partials.found().items():
            age = duration((time.time_ns() - changed) / 1e9)
            reason = f"a download that broke off {age} ago"
            found.append(model.Garbage(kind=gc.PARTIAL, id=digest, size=size, reason=reason))
        return found

    def _shown(self, root: Node) -> str:
        if root.kind == gc.IMAGE:
            names = self._store.index.names_of(root.key)
            return f"image {names[0].reference.familiar() if names else root.key[:19]}"
        return f"container {root.key[:12]}" if root.kind == gc.SNAPSHOT else f"lease {root.key}"

    def stored(self) -> int:
        """Bytes of all blobs, layers and unfinished downloads."""
        store = self._store
        blobs = sum(max(store.content.size(digest), 0) for digest in store.content.digests())
        layers = sum(layer.size for layer in store.snapshots.layers())
        return blobs + layers + sum(store.partials.sizes().values())

    def _size(self, node: Node) -> int:
        if node.kind == gc.BLOB:
            return max(self._store.content.size(node.key), 0)
        layer = self._store.snapshots.layer(node.key)
        return layer.size if layer else 0


def _nodes(image: StoredImage) -> set[Node]:
    """The blobs and layers of an image."""
    chains = {chain for manifest in image.manifests if manifest.complete for chain in manifest.chain()}
    return {*(Node(gc.BLOB, digest) for digest in image.blobs()), *(Node(gc.LAYER, chain) for chain in chains)}


def _image(choice: Choice) -> model.Garbage:
    candidate = choice.candidate
    return model.Garbage(
        kind=gc.IMAGE,
        id=candidate.node.key,
        size=candidate.size,
        reason=choice.reason,
        names=list(candidate.names),
    )


def _lease(name: str) -> model.Garbage:
    return model.Garbage(kind=gc.LEASE, id=name, size=0, reason="its time is over")
