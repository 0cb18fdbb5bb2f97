"""Images: the use cases over names, manifests and layers.

The image id is the digest of the target: of the index where a name points to one, else of the manifest (as Docker 29
with its containerd image store). Values are those of ``corten.model.image``.

Signatures (sync ones answer from memory and may be called on the loop)::

    Images(root, database, snapshots, emit)                 # emit(action, actor_id, attributes)
    images.recover()                                        # once at start, blocking; after snapshots.clean(...)
    images.snapshots -> Snapshots                           # corten.store.snapshot
    images.users: Callable[[str], list[ContainerUse]]       # injected: the containers made from this image id
    images.resolve(ref, platform=None) -> ImageRef          # sync; NotFound "No such image: REF"
    images.rootfs_layers(ref: ImageRef) -> list[str]        # sync; unpacked directories, top first (--mount type=image)

    await images.list(ImageQuery) -> list[ImageSummary]     # newest first
    await images.inspect(ref, manifests=False, platform=None) -> ImageInspect
    await images.history(ref, platform=None) -> list[HistoryItem]
    await images.attestations(ref, platform=None, types=(), statement=False) -> list[AttestationStatement]
    await images.tag(ref, repo, tag) -> None
    await images.remove(ref, force=False, prune=True, platforms=()) -> list[DeletedItem]
    await images.prune(filters: dict[str, list[str]]) -> PrunedImages
    await images.layers_size() -> int                       # bytes on disk, for system df

    images.pull(reference, platform, credential) -> AsyncIterator[Progress]
    images.load(chunks: AsyncIterator[bytes], platforms=(), quiet=True) -> AsyncIterator[Progress]
    await images.save(names: list[str], platforms=()) -> AsyncIterator[bytes]     # errors before the first byte
    images.push(reference, platform, credential) -> AsyncIterator[Progress]    # without a tag all tags
    images.import_(chunks, repo="", tag="", message="", changes=(), platform=None) -> AsyncIterator[Progress]
    await images.commit(CommitRequest) -> str               # the new image id

``platforms`` are ``Platform`` values (``Platform.parse`` or decoded from the API's JSON).
"""

import asyncio
import builtins
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TypeVar

from corten import errors
from corten.distribution.client import RegistryClient
from corten.distribution.credential import Credential
from corten.engine import commit, imageattest, imageimport, imageload, imagepick, imageremove, imagesave, imageviews
from corten.engine.feed import Report, pull_ahead, run_streamed, translated
from corten.engine.imagescan import StoredImage
from corten.engine.imagestore import Emit, ImageStore
from corten.engine.pulls import Pulls
from corten.engine.pushes import Pushes
from corten.engine.settings import Settings
from corten.linux.pool import Pool
from corten.model.image import (
    AttestationStatement,
    CommitRequest,
    ContainerUse,
    DeletedItem,
    HistoryItem,
    ImageInspect,
    ImageQuery,
    ImageRef,
    ImageSummary,
    Progress,
    PrunedImages,
)
from corten.oci.platform import Platform
from corten.oci.reference import Reference
from corten.store.database import Database
from corten.store.snapshot import Snapshots
from corten.wire.compress import ReadChunk

T = TypeVar("T")


def _no_events(action: str, actor: str, attributes: dict[str, str]) -> None:
    """For use without an engine."""


class Images:
    """The facade; see the module's text."""

    def __init__(self, root: str, database: Database, snapshots: Snapshots, emit: Emit = _no_events) -> None:
        self.snapshots = snapshots
        self._store = ImageStore(root, database, snapshots, emit)
        self.registries: RegistryClient | None = None
        self._pushes: Pushes | None = None
        self._pulls: Pulls | None = None
        self._pool = Pool(4, "images")
        self._streams = Pool(max(8, 2 * (os.cpu_count() or 1)), "image-stream")

    @property
    def users(self) -> Callable[[str], list[ContainerUse]]:
        """The containers made from an image id; the engine sets it."""
        return self._store.users

    @users.setter
    def users(self, lookup: Callable[[str], list[ContainerUse]]) -> None:
        self._store.users = lookup

    def connect(self, registries: RegistryClient, settings: Settings) -> None:
        """Let images come from and go to registries; without this they only come and go as archives."""
        self.registries = registries
        self._pushes = Pushes(self._store, registries, settings)
        self._pulls = Pulls(self._store, registries, settings)

    def reconfigure(self) -> None:
        """The settings have changed."""
        if self._pulls is not None:
            self._pulls.configure()

    @property
    def store(self) -> ImageStore:
        """What the use cases stand on, for checks and garbage collection."""
        return self._store

    def recover(self) -> None:
        """Remove what an interrupted use case left behind. Blocking; call before the first request."""
        self._store.recover()

    def close(self) -> None:
        """Stop pulls and pushes, wait for what else is running."""
        if self._pushes is not None:
            self._pushes.close()
        if self._pulls is not None:
            self._pulls.close()
        self._streams.shutdown()
        self._pool.shutdown()

    def resolve(self, ref: str, platform: Platform | None = None) -> ImageRef:
        """What a container needs of the image called *ref*. ``NotFound`` in Docker's words."""
        image, name = self._store.index.find(ref)
        manifest = imagepick.pick(self._store, image, platform, name.familiar() if name else ref)
        if not self._store.runnable(manifest):
            system = manifest.platform.os if manifest.platform else "unknown"
            if manifest.kind == "image" and system == "linux":
                raise errors.DataLoss(f"image {ref} lacks layers: `corten fsck --repair` or a pull brings them back")
            raise errors.InvalidArgument(f'image operating system "{system}" cannot be used on this platform')
        return ImageRef(
            id=image.id,
            manifest=manifest.descriptor,
            platform=manifest.platform or Platform(),
            config=self._store.config(manifest),
            chain_id=manifest.chain_id,
            name=name.familiar() if name else image.id,
        )

    def rootfs_layers(self, ref: ImageRef) -> list[str]:
        """The unpacked directories, top first."""
        return self.snapshots.lower_dirs(ref.chain_id)

    def push(self, reference: Reference, platform: Platform | None, credential: Credential) -> AsyncIterator[Progress]:
        """``docker push``: of a tag, or without one of all tags of the repository."""
        return _connected(self._pushes).run(reference, platform, credential)

    def pull(self, reference: Reference, platform: Platform | None, credential: Credential) -> AsyncIterator[Progress]:
        """``docker pull``: of a tag, a digest, or with neither of every tag."""
        return _connected(self._pulls).run(reference, platform, credential)

    async def import_(
        self,
        chunks: AsyncIterator[bytes],
        repo: str = "",
        tag: str = "",
        message: str = "",
        changes: Sequence[str] = (),
        platform: Platform | None = None,
        url: str = "",
    ) -> AsyncIterator[Progress]:
        """``docker import``, of *chunks* or of the file at *url*; the last record's ``status`` is the image id."""
        name = imageimport.new_name(repo, tag)
        made: list[str] = []

        def make(read: ReadChunk, report: Report) -> None:
            image_id = imageimport.import_image(
                self._store,
                read,
                name=name,
                message=message or f"Imported from {url or '-'}",
                changes=changes,
                platform=platform,
                report=report,
            )
            made.append(image_id)

        if url:
            records = imageimport.download(_connected(self.registries), self._streams, url, make)
        else:
            records = run_streamed(self._streams, chunks, lambda feed, report: make(feed.read, report))
        async for progress in records:
            yield progress
        image = self._store.index.get(made[0])
        if image is not None:
            self._store.event("import", image, name.familiar() if name else "")

    async def load(
        self, chunks: AsyncIterator[bytes], platforms: Sequence[Platform] = (), quiet: bool = True
    ) -> AsyncIterator[Progress]:
        """``docker load``; a record per name, or per image without one. *quiet* is taken for the API's sake."""
        loaded: list[tuple[StoredImage, list[Reference]]] = []
        async for progress in run_streamed(
            self._streams,
            chunks,
            lambda feed, report: loaded.extend(imageload.load_images(self._store, feed.read, platforms, report)),
        ):
            yield progress
        for image, names in loaded:
            for text in [name.familiar() for name in names] or [""]:
                self._store.event("load", image, text)

    async def save(self, names: Sequence[str], platforms: Sequence[Platform] = ()) -> AsyncIterator[bytes]:
        """``docker save``. What is asked for is looked up before this returns; iterating then gives the archive."""
        if not names:
            raise errors.InvalidArgument("no images given to save")
        chosen = await self._run(lambda: imagesave.choose_images(self._store, names, platforms))
        for item in chosen:
            for text in [name.familiar() for name in item.names] or [""]:
                self._store.event("save", item.image, text)
        brought = await self._stream(lambda: imagesave.bring_back(self._store, chosen))
        return pull_ahead(self._streams, imagesave.write_archive(self._store, chosen, brought))

    async def list(self, query: ImageQuery) -> list[ImageSummary]:
        """Newest first."""
        return await self._run(lambda: imageviews.list_images(self._store, query))

    async def inspect(self, ref: str, manifests: bool = False, platform: Platform | None = None) -> ImageInspect:
        """Everything about one image."""
        return imageviews.inspect_image(self._store, ref, manifests=manifests, platform=platform)

    async def history(self, ref: str, platform: Platform | None = None) -> "builtins.list[HistoryItem]":
        """Newest first."""
        return imageviews.image_history(self._store, ref, platform)

    def count(self) -> int:
        """How many images there are."""
        return len(self._store.index.images())

    async def attestations(
        self, ref: str, platform: Platform | None = None, types: Sequence[str] = (), statement: bool = False
    ) -> "builtins.list[AttestationStatement]":
        """The in-toto statements about one platform's manifest."""
        return await self._run(
            lambda: imageattest.attestations(self._store, ref, platform, types, with_statement=statement)
        )

    async def layers_size(self) -> int:
        """Bytes of all content and layers, each once."""
        return await self._run(lambda: imageviews.layers_size(self._store))

    async def tag(self, ref: str, repo: str, tag: str = "") -> None:
        """Give an image another name; a name that exists moves silently."""
        image, _ = self._store.index.find(ref)
        reference = Reference.parse(repo)
        if reference.digest is not None:
            raise errors.InvalidArgument("refusing to create a tag with a digest reference")
        if tag:
            reference = reference.with_tag(tag)
        reference = reference.tagged()
        await self._run(lambda: self._tag(image, reference))
        self._store.event("tag", image, reference.familiar())

    def _tag(self, image: StoredImage, reference: Reference) -> None:
        with self._store.exclusive():
            if self._store.index.get(image.id) is None:  # removed since it was found
                raise errors.NotFound(f"No such image: {image.id}")
            self._store.register(image.descriptor, [reference])

    async def remove(
        self, ref: str, force: bool = False, prune: bool = True, platforms: Sequence[Platform] = ()
    ) -> "builtins.list[DeletedItem]":
        """Untag or delete. *prune* is taken for the API's sake: images have no untagged parents of their own here."""
        return await self._run(lambda: imageremove.remove_image(self._store, ref, force=force, platforms=platforms))

    def container_removed(self, image_id: str) -> None:
        """Remove the layers of an image that was removed by force and has lost a container just now. Blocking."""
        if self._store.index.get(image_id) is None:
            self._store.sweep_tolerant(())

    async def prune(self, filters: Mapping[str, Sequence[str]]) -> PrunedImages:
        """Remove unused images: the dangling ones, with dangling=false all."""
        return await self._run(lambda: imageremove.prune_images(self._store, filters))

    async def commit(self, request: CommitRequest) -> str:
        """Make an image of a container; returns the image id."""
        image_id = await self._stream(lambda: commit.commit_container(self._store, request))
        image = self._store.index.get(image_id)
        if image is not None:
            self._store.event("create", image)
        return image_id

    async def _stream(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._streams, _guarded, work)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, _guarded, work)


def _connected(part: T | None) -> T:
    """What ``connect`` has made."""
    if part is None:
        raise errors.Unavailable("no registries are set up")
    return part


def _guarded(work: Callable[[], T]) -> T:
    with translated():
        return work()
