"""What is checked: the parts of a store, of a running daemon or opened for the check alone."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from corten import errors
from corten.engine.imagescan import StoredManifest
from corten.engine.imagestore import ImageStore
from corten.engine.paths import Paths
from corten.model.finding import FAILED, REPAIRED, Finding, Progress
from corten.model.record import Record
from corten.oci.manifest import Descriptor
from corten.store.database import Database
from corten.store.quarantine import Quarantine

Findings = Iterator[Finding | Progress]
"""What is found, as it is found, and how far the check is."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """``repair``: change what is wrong. ``quick``: hash no blobs. ``deep``: compare layers with their archives.

    ``discard``: (kind, key) of what is in quarantine and shall be kept no longer.
    """

    repair: bool = False
    quick: bool = False
    deep: bool = False
    discard: tuple[tuple[str, str], ...] = ()


@dataclass(kw_only=True)
class Subject:
    """``records`` gives the containers that can be read, ``running`` the ids of those that run, ``volumes`` the names
    of the recorded volumes. ``online`` when a daemon serves from these parts."""

    paths: Paths
    database: Database
    store: ImageStore
    records: Callable[[], list[Record]]
    running: Callable[[], Collection[str]]
    volumes: Callable[[], Collection[str]]
    rewrite: Callable[[str, str], bool]
    """Write the record of (kind, key) anew from what the daemon remembers; False when it remembers nothing."""
    options: Options = field(default_factory=Options)
    online: bool = False

    @property
    def quarantine(self) -> Quarantine:
        return self.database.quarantine

    def settle(self, finding: Finding, repair: Callable[[], Any] | None = None) -> Finding:
        """*finding* as it stands when its *repair* was tried, if repairs are wanted and there is one."""
        if repair is None or not self.options.repair:
            return finding
        try:
            repair()
        except (errors.CortenError, OSError) as error:
            return replace(finding, state=FAILED, action=f"{finding.action}; that failed: {error}")
        return replace(finding, state=REPAIRED)

    def layers_of_images(self) -> dict[str, tuple[str, Descriptor, str]]:
        """chainID -> (the chainID below, the blob, the diffID) of every layer that an image names, the lowest first."""
        found: dict[str, tuple[str, Descriptor, str]] = {}
        for manifest in self.manifests():
            parent = ""
            for chain_id, layer, diff_id in zip(manifest.chain(), manifest.layers, manifest.diff_ids, strict=True):
                found.setdefault(chain_id, (parent, layer, diff_id))
                parent = chain_id
        return found

    def manifests(self) -> list[StoredManifest]:
        """Those manifests of all images that describe an image and whose documents are here."""
        return [
            manifest
            for image in self.store.index.images()
            for manifest in image.manifests
            if manifest.kind == "image" and manifest.complete
        ]


def discards(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """``Options.discard`` from "KIND:ID". ``InvalidArgument``."""
    found = []
    for text in texts:
        kind, colon, key = text.partition(":")
        if not (colon and kind and key):
            raise errors.InvalidArgument(f"invalid --discard {text!r}: expected KIND:ID")
        found.append((kind, key))
    return tuple(found)
