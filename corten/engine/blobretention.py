"""Whether the compressed blobs of unpacked layers stay, and giving them up when room is needed.

A layer's archive cannot be made again from its files: compressed anew it has another digest. So a blob is given up only
where the registry that it came from can be asked for it once more.

``keep``  as long as an image refers to them
``auto``  as ``keep`` while there is room; below ``LOW`` free bytes, those go that can be fetched again
``drop``  not at all
"""

import logging
import os
from collections.abc import Collection

from corten import errors
from corten.engine.imagescan import IMAGE
from corten.engine.imagestore import ImageStore
from corten.store import space

log = logging.getLogger(__name__)

KEEP, AUTO, DROP = "keep", "auto", "drop"
MODES = (KEEP, AUTO, DROP)

LOW_SHARE = 1 / 20
LOW = 2 << 30
"""Bytes, at most ``LOW_SHARE`` of the file system, that are to stay free beside the reserve."""


def keeps(store: ImageStore, digest: str, retention: str) -> bool:
    """Whether the missing blob of an unpacked layer has to be fetched. One that made room has not."""
    if retention == AUTO:
        return not any(digest in image.blobs() for image in store.index.images())
    return retention == KEEP


def make_room(store: ImageStore, coming: int, retention: str) -> None:
    """Before *coming* bytes are fetched. ``Exhausted`` when they cannot fit."""
    missing = coming + _low(store) - space.free(store.content.root)
    if missing > 0 and retention == AUTO:
        freed = give_up(store, missing)
        log.info("%d bytes of layer blobs that can be fetched again made room", freed)
    space.check_room(store.content.root, coming)


def give_up(store: ImageStore, wanted: int, only: Collection[str] | None = None) -> int:
    """Remove blobs of unpacked layers that came from a registry, until *wanted* bytes are free; returns the bytes.

    *only*: of these digests.
    """
    freed = 0
    with store.exclusive():
        for digest in _spare(store):
            if freed >= wanted:
                break
            if not store.is_pinned(digest) and (only is None or digest in only):
                freed += store.content.remove(digest)
    return freed


def _spare(store: ImageStore) -> list[str]:
    """Blobs that are layers wherever they are used, unpacked there, and known to a registry; oldest first."""
    spare: dict[str, bool] = {}
    for image in store.index.images():
        for manifest in image.manifests:
            layered = manifest.kind == IMAGE and manifest.chain_id != "" and store.runnable(manifest)
            for layer in manifest.layers:
                spare[layer.digest] = spare.get(layer.digest, True) and layered
    found = []
    for digest, layered in spare.items():
        if layered and store.content.has(digest) and store.sources.repositories(digest):
            found.append((os.stat(store.content.path(digest)).st_mtime, digest))
    return [digest for _, digest in sorted(found)]


def _low(store: ImageStore) -> int:
    return min(LOW, int(space.total(store.content.root) * LOW_SHARE))


def check_mode(text: str) -> str:
    """One of ``MODES``. ``InvalidArgument``."""
    if text not in MODES:
        raise errors.InvalidArgument(f'invalid blob-retention "{text}": must be one of keep, auto or drop')
    return text
