"""``docker import``: a root file system's tar archive becomes an image of one layer."""

import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor

from corten import errors
from corten.distribution.client import RegistryClient
from corten.engine.feed import Report, run_stoppable
from corten.engine.imagechanges import apply_changes
from corten.engine.imagestore import ImageStore
from corten.model.image import Progress
from corten.oci import timestamp
from corten.oci.image import History, ImageConfig, RootFS, RunConfig, encode_config
from corten.oci.manifest import CONFIG, MANIFEST, MAX_LAYERS, Descriptor
from corten.oci.platform import Platform
from corten.oci.reference import Reference
from corten.oci.write import encode_manifest
from corten.store.ingest import Ingest, LayerStream
from corten.wire import compress

_PIECE = 1 << 20


def new_name(repo: str, tag: str) -> Reference | None:
    """The name to give to a new image; None when *repo* is empty. ``InvalidArgument``."""
    if not repo:
        return None
    reference = Reference.parse(repo)
    if reference.digest is not None:
        raise errors.InvalidArgument("cannot import digest reference")
    if tag:
        reference = reference.with_tag(tag)
    return reference.tagged()


def import_image(
    store: ImageStore,
    read: compress.ReadChunk,
    *,
    name: Reference | None,
    message: str,
    changes: Sequence[str],
    platform: Platform | None,
    report: Report,
) -> str:
    """Make the image; returns its id. Compressed archives of every kind are taken; xz and bzip2 are stored plain."""
    run = apply_changes(RunConfig(), changes)
    with store.pinned() as pin, Ingest(store.content, store.snapshots) as ingest:
        layer = ingest.layer()
        source = compress.Prefixed(read)
        kind = compress.detect(source.peek(compress.MAGIC_LENGTH))
        keeps = kind in (compress.NONE, compress.GZIP, compress.ZSTD)
        pour(source.read if keeps else compress.decompressed(source.read, kind), layer)
        ready = layer.ready()
        created = timestamp.render(time.time_ns())
        wanted = platform or Platform.host()
        config = ImageConfig(
            created=created,
            architecture=wanted.architecture,
            variant=wanted.variant,
            os=wanted.os,
            config=run,
            rootfs=RootFS(diff_ids=[ready.diff_id]),
            history=[History(created=created, comment=message)],
        )
        descriptor = Descriptor(media_type=ready.media_type, digest=ready.digest, size=ready.blob_size)
        target = publish_image(store, ingest, pin, config, [descriptor], [layer], name)
    report(Progress(status=target))
    return target


def download(
    registries: RegistryClient, pool: Executor, url: str, make: Callable[[compress.ReadChunk, Report], None]
) -> AsyncIterator[Progress]:
    """Call *make* with what *url* leads to, and tell how far it has come."""

    def work(report: Report, on_stop: Callable[[Callable[[], None]], None]) -> None:
        stop = threading.Event()
        on_stop(stop.set)
        answer = registries.download(url, stop)
        on_stop(answer.abort)
        try:
            report(Progress(status=f"Downloading from {url}"))
            done = 0

            def read() -> bytes:
                nonlocal done
                piece = answer.read(_PIECE)
                done += len(piece)
                report(Progress(status="Importing", current=done, total=answer.length or 0))
                return piece

            make(read, report)
        finally:
            answer.close()

    return run_stoppable(pool, work)


def pour(read: compress.ReadChunk, layer: LayerStream) -> None:
    """All of *read* into *layer*."""
    while chunk := read():
        layer.write(chunk)
    layer.finish()


def publish_image(
    store: ImageStore,
    ingest: Ingest,
    pin: Callable[[str], None],
    config: ImageConfig,
    layers: list[Descriptor],
    chain: Sequence[LayerStream | str],
    name: Reference | None,
) -> str:
    """Write config and manifest for *layers*, commit everything and register it; returns the image id.

    *chain* holds, bottom first, each layer's stream, or its diffID when it is unpacked already.
    """
    if len(layers) > MAX_LAYERS:
        raise errors.InvalidArgument(f"max depth exceeded: an image has at most {MAX_LAYERS} layers")
    raw_config = encode_config(config)
    config_digest = ingest.document(raw_config)
    manifest = encode_manifest(Descriptor(media_type=CONFIG, digest=config_digest, size=len(raw_config)), layers)
    manifest_digest = ingest.document(manifest)
    target = Descriptor(media_type=MANIFEST, digest=manifest_digest, size=len(manifest))
    blobs = {config_digest, manifest_digest, *(layer.digest for layer in layers)}
    for digest in blobs:
        pin(digest)
    ingest.sync()
    with store.exclusive():
        ingest.publish(blobs)
        gone = [digest for digest in blobs if not store.content.has(digest)]
        missing = [digest for digest in gone if not store.sources.repositories(digest)]
        if missing:
            raise errors.Unavailable(f"blob {missing[0]} was removed meanwhile; try again")
        ingest.commit_chain(chain)
        ingest.record()
        image = store.register(target, [name] if name else [])
    return image.id
