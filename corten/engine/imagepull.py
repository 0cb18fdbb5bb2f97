"""``docker pull``: what a reference means at its registry is brought here, whole or not at all.

The documents come first, then all blobs at once, each layer unpacked while it arrives. When the last one is here and
every diffID is what the config says, one sync, then the blobs get their names, the layers are committed in the chain's
order and the image is recorded. Until then nothing of the image can be seen, and what a failure leaves are partial
files that the next pull goes on with.
"""

from collections.abc import Iterator
from typing import Protocol

import msgspec

from corten import errors, faultpoint
from corten.engine.blobfetches import Fetches
from corten.engine.feed import Report
from corten.engine.imagearrival import Arrival, Cancellation
from corten.engine.imagestore import ImageStore
from corten.engine.pullplan import Documents, Registry, make_plan
from corten.model.image import Progress
from corten.oci.manifest import Descriptor
from corten.oci.platform import Platform
from corten.oci.reference import Reference


class TaggedRegistry(Registry, Protocol):
    """A repository that can also list its tags."""

    def tags(self) -> Iterator[str]: ...


class Pulled(msgspec.Struct, frozen=True):
    """What a pull has done. ``name`` is the reference that points to ``image_id`` now; ``fresh``: it did not before."""

    name: Reference
    image_id: str
    fresh: bool


class ImagePull:
    """One request: a tag, a digest, or every tag of a repository. Used by one thread."""

    def __init__(
        self,
        store: ImageStore,
        registry: TaggedRegistry,
        fetches: Fetches,
        *,
        platform: Platform | None,
        retention: str,
        report: Report,
        cancellation: Cancellation,
    ) -> None:
        self._store = store
        self._registry = registry
        self._fetches = fetches
        self._platform = platform
        self._retention = retention
        self._report = report
        self._cancellation = cancellation

    def run(self, reference: Reference) -> list[Pulled]:
        """Pull *reference*; one with neither tag nor digest means all tags of its repository."""
        if reference.tag or reference.digest:
            names = [reference]
        else:
            names = [reference.with_tag(tag) for tag in self._registry.tags()]
            if not names:
                raise errors.NotFound(f"repository {reference.familiar()} not found: it has no tags")
        done = [self._one(name) for name in names]
        fresh = any(item.fresh for item in done)
        text = "Downloaded newer image for" if fresh else "Image is up to date for"
        self._report(Progress(status=f"Status: {text} {reference.familiar()}"))
        return done

    def _one(self, name: Reference) -> Pulled:
        self._cancellation.check()
        wanted = name.digest or name.tag or ""
        with self._store.pinned() as pin:
            target = _bare(self._registry.resolve(wanted))
            documents = Documents(self._store, self._registry, pin)
            documents.manifest(target)
            self._report(Progress(status=f"Pulling from {_shown(name)}", id=wanted, headline=True))
            plan = make_plan(documents, target, name, self._platform)
            faultpoint.reach("pull.resolved")
            arrival = Arrival(self._store, self._fetches, self._retention, self._report, self._cancellation)
            image_id, fresh = arrival.bring(plan, documents, name, self._registry, pin)
        self._report(Progress(status=f"Digest: {target.digest}"))
        return Pulled(name, image_id, fresh)


def _shown(name: Reference) -> str:
    """The repository as the first record has it: without the registry, "library/busybox"."""
    return name.path


def _bare(target: Descriptor) -> Descriptor:
    return Descriptor(media_type=target.media_type, digest=target.digest, size=target.size)
