"""``docker commit``: a container's changes become a layer, its settings the config of a new image."""

import os
import time

import msgspec

from corten import errors
from corten.engine.imagechanges import apply_changes
from corten.engine.imageimport import new_name, publish_image
from corten.engine.imagestore import ImageStore
from corten.model.image import CommitRequest
from corten.oci import timestamp
from corten.oci.image import History, ImageConfig, RootFS, decode_config
from corten.oci.manifest import LAYER, Descriptor, decode_manifest
from corten.oci.platform import Platform
from corten.store.ingest import Ingest, LayerStream
from corten.store.layertar import layer_archive


def commit_container(store: ImageStore, request: CommitRequest) -> str:
    """Make the image; returns its id. The caller has paused the container if that was wanted.

    ``NotFound`` when the base image's content is gone, ``InvalidArgument`` for a bad name or change.
    """
    name = new_name(request.repo, request.tag)
    run = apply_changes(request.config, request.changes)
    base, layers = _base(store, request)
    upper = store.snapshots.upper_dir(request.container_id)
    with store.pinned() as pin, Ingest(store.content, store.snapshots) as ingest:
        for layer in layers:
            pin(layer.digest)
        diff_ids = list(base.diff_ids)
        chain: list[LayerStream | str] = [*diff_ids]
        changed = bool(os.listdir(upper))
        if changed:
            stream = ingest.layer()
            for piece in layer_archive(upper):
                stream.write(piece)
            stream.finish()
            ready = stream.ready()
            layers.append(Descriptor(media_type=LAYER, digest=ready.digest, size=ready.blob_size))
            diff_ids.append(ready.diff_id)
            chain.append(stream)
        created = timestamp.render(time.time_ns())
        step = History(
            created=created,
            created_by=request.created_by,
            author=request.author,
            comment=request.comment,
            empty_layer=not changed,
        )
        config = msgspec.structs.replace(
            base,
            created=created,
            author=request.author,
            comment="",
            config=run,
            rootfs=RootFS(diff_ids=diff_ids),
            history=[*(base.history or ()), step],
        )
        return publish_image(store, ingest, pin, config, layers, chain, name)


def _base(store: ImageStore, request: CommitRequest) -> tuple[ImageConfig, list[Descriptor]]:
    """The config and the layers to build upon; both empty for a container without an image."""
    base = request.base
    if base is None:
        host = Platform.host()
        return ImageConfig(os=host.os, architecture=host.architecture, variant=host.variant), []
    manifest = decode_manifest(store.content.read(base.manifest.digest))
    layers = list(manifest.layers or ())
    for layer in layers:
        if not store.content.has(layer.digest) and not store.sources.repositories(layer.digest):
            raise errors.NotFound(f"content digest {layer.digest}: not found")
    return decode_config(store.content.read(manifest.config.digest)), layers
