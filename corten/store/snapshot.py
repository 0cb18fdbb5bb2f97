"""Layers on disk and the writable directories of containers, joined by overlayfs.

A *layer* is the unpacked content of one image layer, named by its chainID, read-only from its commit on. An *active*
snapshot belongs to one container and sits on the chain of its image. Nothing is mounted until ``mount``.

    <root>/layers/<chain hex>/         a committed layer
    <root>/layers/new-*                a layer being unpacked
    <root>/base/                       below every container (``corten.store.baselayer``)
    <root>/empty/                      an image without layers
    <root>/active/<key>/{fs,work}      a container's upper and work directory
    <root>/trash/                      on its way out

What the database does not know, or knows no longer, is garbage: ``clean`` removes it at start, and a crash at any time
leaves nothing else behind.
"""

import contextlib
import errno
import logging
import os
import tempfile
import threading
from collections.abc import Iterable, Sequence

from corten import errors, faultpoint
from corten.linux import durable
from corten.oci import digest as digests
from corten.store import changes as layer_changes
from corten.store import layerrecord, overlay, quarantine
from corten.store.baselayer import make_base
from corten.store.database import Database, Job
from corten.store.layerrecord import Layer, checked_layer
from corten.store.trash import Trash
from corten.store.treesize import tree_size
from corten.store.treesum import TreeSum

log = logging.getLogger(__name__)


class Snapshots:
    """Thread-safe and blocking. Keys are container ids."""

    def __init__(self, root: str, database: Database) -> None:
        self.root = root
        self._database = database
        self._layers_dir = os.path.join(root, "layers")
        self._active_dir = os.path.join(root, "active")
        self._trash = Trash(os.path.join(root, "trash"))
        self._empty = os.path.join(root, "empty")
        for directory in (self._layers_dir, self._active_dir, self._empty):
            os.makedirs(directory, mode=0o700, exist_ok=True)
        os.chmod(self._empty, 0o755)
        self._base = os.path.join(root, "base")
        make_base(self._base)
        database.migrate("snapshots", layerrecord.MIGRATIONS)
        self._lock = threading.Lock()
        self._layers: dict[str, Layer] = {}
        self._active: dict[str, str] = {}
        self._sums: dict[str, TreeSum] = {}
        """Of placed layers that are not recorded yet."""
        self._placed: set[str] = set()
        """Layers whose first record is not written yet."""
        self._load()

    def _load(self) -> None:
        reader, quarantined = self._database.reader(), self._database.quarantine
        for row in reader.execute("SELECT chain_id, parent, diff_id, size FROM layers").fetchall():
            try:
                layer = checked_layer(*row)
            except (errors.CortenError, TypeError) as error:
                quarantined.take(quarantine.LAYER, str(row[0]), error, "layers", {"chain_id": row[0]})
            else:
                self._layers[layer.chain_id] = layer
        for key, chain_id in reader.execute("SELECT key, chain_id FROM snapshots").fetchall():
            try:
                if chain_id:
                    digests.check(chain_id)
                self.upper_dir(key)
            except (errors.CortenError, TypeError) as error:
                quarantined.take(quarantine.SNAPSHOT, str(key), error, "snapshots", {"key": key})
            else:
                self._active[key] = chain_id

    # layers

    def layer(self, chain_id: str) -> Layer | None:
        """The committed layer or None."""
        return self._layers.get(chain_id)

    def layers(self) -> list[Layer]:
        """Every committed layer."""
        return list(self._layers.values())

    def chain(self, chain_id: str) -> list[Layer]:
        """The layers from *chain_id* down to the lowest. ``NotFound`` when one is not unpacked."""
        found: list[Layer] = []
        while chain_id:
            layer = self._layers.get(chain_id)
            if layer is None:
                raise errors.NotFound(f"layer {chain_id} is not unpacked")
            found.append(layer)
            chain_id = layer.parent
        return found

    def lower_dirs(self, chain_id: str) -> list[str]:
        """The directories of a chain, top first; never empty."""
        return [self.layer_dir(layer.chain_id) for layer in self.chain(chain_id)] or [self._empty]

    def _container_dirs(self, chain_id: str) -> list[str]:
        """What lies below a container, top first."""
        return [*(self.layer_dir(layer.chain_id) for layer in self.chain(chain_id)), self._base]

    def new_layer_dir(self) -> str:
        """A fresh directory to unpack into; give it to ``commit_layer`` or ``discard``."""
        path = tempfile.mkdtemp(prefix="new-", dir=self._layers_dir)
        try:
            os.chmod(path, 0o755)
            faultpoint.reach("layer.made")
        except BaseException:
            os.rmdir(path)
            raise
        return path

    def commit_layer(self, path: str, parent: str, diff_id: str, size: int) -> Layer:
        """Make the unpacked and synced directory *path* the layer above *parent*, durably.

        When the same layer was committed meanwhile, *path* is discarded.
        """
        layer = self.place_layer(path, parent, diff_id, size)
        self.record_layers([layer])
        return layer

    def place_layer(self, path: str, parent: str, diff_id: str, size: int, tree: TreeSum | None = None) -> Layer:
        """The first half of ``commit_layer``, for several layers in a row; finish with ``record_layers``.

        *tree* is the sum over the directory, by which ``corten fsck`` finds damage later.
        """
        chain_id = digests.of(f"{parent} {diff_id}".encode()) if parent else digests.check(diff_id)
        layer = Layer(chain_id, parent, diff_id, size)
        with self._lock:
            known = self._layers.get(chain_id)
            if known is None:
                self._move_in_place(path, chain_id)
                self._layers[chain_id] = layer
                self._placed.add(chain_id)
                if tree is not None:
                    self._sums[chain_id] = tree
                faultpoint.reach("layer.renamed")
        if known is not None:
            self.discard(path)
        return known or layer

    def record_layers(self, layers: Sequence[Layer]) -> None:
        """Make placed layers durable: their names first, then their records.

        When it fails they are gone again: whoever came next would build on what the next start does not find.
        """
        if not layers:
            return
        sums = {layer.chain_id: self._sums.pop(layer.chain_id, None) for layer in layers}
        try:
            durable.sync_directory(self._layers_dir)
            faultpoint.reach("layers.synced")
            self._database.write(lambda connection: layerrecord.insert(connection, layers, sums))
        except BaseException:
            for chain_id in self._placed.intersection(layer.chain_id for layer in layers):
                self._placed.discard(chain_id)
                self._layers.pop(chain_id, None)
                with contextlib.suppress(errors.CortenError):  # the next start tries again
                    self.drop_orphan(chain_id)
            raise
        self._placed.difference_update(layer.chain_id for layer in layers)
        faultpoint.reach("layers.recorded")
        known_again = self._database.quarantine.keys(quarantine.LAYER) & {layer.chain_id for layer in layers}
        for chain_id in known_again:
            self._database.quarantine.discard(quarantine.LAYER, chain_id)

    def replace_layer(self, path: str, layer: Layer, tree: TreeSum) -> None:
        """Put the unpacked and synced directory *path* in the place of a damaged or missing one, durably.

        No container may stand on the layer at that moment.
        """
        with self._lock:
            self._trash.throw(self.layer_dir(layer.chain_id))
            faultpoint.reach("layer.old-trashed")
            self._move_in_place(path, layer.chain_id)
            self._layers[layer.chain_id] = layer
            self._sums[layer.chain_id] = tree
        self.record_layers([layer])

    def adopt_layer(self, layer: Layer) -> None:
        """Record a layer whose directory is there already. ``NotFound`` when it is not."""
        if not os.path.isdir(self.layer_dir(layer.chain_id)):
            raise errors.NotFound(f"layer {layer.chain_id} is not unpacked")
        with self._lock:
            self._layers[layer.chain_id] = layer
        self.record_layers([layer])

    def layer_dir(self, chain_id: str) -> str:
        """Where a layer is or would be."""
        return os.path.join(self._layers_dir, digests.encoded(chain_id))

    def layer_dirs(self) -> list[str]:
        """The chainIDs that have a directory, recorded or not."""
        return ["sha256:" + name for name in sorted(os.listdir(self._layers_dir)) if digests.is_hex64(name)]

    def active_dirs(self) -> list[str]:
        """The containers that have a directory, recorded or not."""
        return sorted(os.listdir(self._active_dir))

    def tree_sum(self, chain_id: str) -> TreeSum | None:
        """The sum that was recorded with a layer; None for one of an older version."""
        return layerrecord.read_sum(self._database.reader(), chain_id)

    def note_sum(self, chain_id: str, tree: TreeSum) -> None:
        """Record the sum of a layer that was found to be good."""
        self._database.write(lambda connection: layerrecord.insert_sums(connection, {chain_id: tree}))

    def drop_orphan(self, chain_id: str) -> None:
        """Throw away a layer's directory without a record."""
        with self._lock:
            if chain_id not in self._layers:
                self._trash.throw(self.layer_dir(chain_id))

    def discard(self, path: str) -> None:
        """Throw away a directory of ``new_layer_dir``."""
        self._trash.throw(path)

    def collect(self, keep: Iterable[str]) -> int:
        """Remove the layers that neither a chain of *keep* nor a container needs; returns their bytes."""
        with self._lock:
            needed: set[str] = set()
            for chain_id in [*keep, *self._active.values()]:
                while chain_id and chain_id not in needed:
                    needed.add(chain_id)
                    layer = self._layers.get(chain_id)
                    chain_id = layer.parent if layer else ""
            doomed = [layer for chain_id, layer in self._layers.items() if chain_id not in needed]
            for layer in doomed:
                del self._layers[layer.chain_id]
                self._placed.discard(layer.chain_id)
        if not doomed:
            return 0
        names = [(layer.chain_id,) for layer in doomed]
        try:
            self._database.write(lambda connection: layerrecord.delete(connection, names))
        except BaseException:
            self._layers.update((layer.chain_id, layer) for layer in doomed)
            raise
        try:
            faultpoint.reach("layers.forgotten")
        finally:  # nobody knows them any more, whatever happens
            for layer in doomed:
                self._throw_layer(layer)
        return sum(layer.size for layer in doomed)

    def _throw_layer(self, layer: Layer) -> None:
        """A failure is logged: the others can go all the same, and the next start finds what is left."""
        try:
            self._trash.throw(self.layer_dir(layer.chain_id))
            faultpoint.reach("layer.trashed")
        except (errors.CortenError, OSError) as error:
            log.error("layer %s could not be removed: %s", layer.chain_id, error)

    # containers

    def adopt(self, key: str, chain_id: str) -> None:
        """Record which chain the files of container *key*, which are there, stand on."""
        self.chain(chain_id)
        self._active[key] = chain_id
        self._database.write(self.recording(key))
        self._database.quarantine.discard(quarantine.SNAPSHOT, key)

    def prepare(self, key: str, chain_id: str) -> Job:
        """Make the directories of container *key* above *chain_id* ("" for an empty image). No mount.

        Returns the job that records it, for the transaction that records the container. ``NotFound`` when the chain is
        not unpacked, ``AlreadyExists`` when the key is taken.
        """
        with self._lock:
            lowers = self._container_dirs(chain_id)
            if key in self._active:
                raise errors.AlreadyExists(f"snapshot {key} exists already")
            self._active[key] = chain_id
        try:
            overlay.make_directories(self.upper_dir(key), lowers)
            faultpoint.reach("snapshot.made")
        except BaseException:
            del self._active[key]
            if os.path.isdir(os.path.join(self._active_dir, key)):
                self._trash.throw(os.path.join(self._active_dir, key))
            raise
        return self.recording(key)

    def sync(self, key: str) -> None:
        """Bring the directories of container *key* to the disk."""
        durable.sync_directory(os.path.join(self._active_dir, key))
        durable.sync_directory(self._active_dir)

    def recording(self, key: str) -> Job:
        """The job that records what is there of container *key*."""
        chain_id = self.chain_of(key)
        return lambda c: c.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?)", (key, chain_id))

    def mount(self, key: str, target: str, readonly: bool = False) -> None:
        """Mount the container's file system on the directory *target*."""
        chain_id = self.chain_of(key)
        lowers = self._container_dirs(chain_id)
        upper, work = self.upper_dir(key), os.path.join(self._active_dir, key, "work")
        if not os.path.isdir(upper):
            overlay.make_directories(self.upper_dir(key), lowers)
        overlay.mount_container(key, target, lowers, upper, work, readonly=readonly)

    def unmount(self, target: str) -> None:
        """Unmount lazily; nothing happens when *target* is no mount."""
        overlay.unmount(target)

    def remove(self, key: str) -> None:
        """Forget the container's files; the bytes go in the background. Nothing happens when the key is unknown."""
        if key in self._database.quarantine.keys(quarantine.SNAPSHOT):
            self._database.quarantine.discard(quarantine.SNAPSHOT, key)
        if key not in self._active and not os.path.isdir(os.path.join(self._active_dir, key)):
            return
        self._trash.throw(os.path.join(self._active_dir, key))
        self._active.pop(key, None)
        self._database.defer(self.forgetting(key))
        faultpoint.reach("snapshot.trashed")

    @staticmethod
    def forgetting(key: str) -> Job:
        """The job that deletes the record of *key*: for the transaction that deletes the container's."""
        return lambda c: c.execute("DELETE FROM snapshots WHERE key=?", (key,))

    def keys(self) -> list[str]:
        """The containers that have files."""
        return list(self._active)

    def active(self) -> dict[str, str]:
        """The chainID below each container that has files."""
        return dict(self._active)

    def chain_of(self, key: str) -> str:
        """The chainID below the container. ``NotFound``."""
        try:
            return self._active[key]
        except KeyError:
            raise errors.NotFound(f"snapshot {key} does not exist") from None

    def upper_dir(self, key: str) -> str:
        """The container's writable directory."""
        if "/" in key or key in ("", ".", ".."):
            raise errors.InvalidArgument(f"bad snapshot key {key!r}")
        return os.path.join(self._active_dir, key, "fs")

    def usage(self, key: str) -> int:
        """Bytes that the container has written, as they lie on disk."""
        self.chain_of(key)
        return tree_size(self.upper_dir(key))

    def changes(self, key: str) -> list[tuple[str, int]]:
        """What the container changed: (absolute path, kind), kinds 0 modified, 1 added, 2 deleted; sorted by path."""
        return layer_changes.changes(self.upper_dir(key), self._container_dirs(self.chain_of(key)))

    # housekeeping

    def clean(self, known: Iterable[str]) -> None:
        """At start, before anything is mounted: drop the files of containers that do not exist.

        *known* are the ids of those that do, a damaged record's included; whatever lies there for them stays.
        """
        keep = set(known)
        for key in [key for key in self._active if key not in keep]:
            self.remove(key)
        for name in os.listdir(self._active_dir):
            if name not in self._active and name not in keep:
                self._trash.throw(os.path.join(self._active_dir, name))
        self._trash.empty()

    def clean_layers(self, needed: Iterable[str]) -> None:
        """At start: drop half unpacked layers, and those that neither the database knows nor an image needs.

        *needed* are chainIDs. A layer of theirs without a record stays for ``corten fsck``.
        """
        hold = self._database.quarantine.holds_content
        keep = {*self._layers, *needed}
        for name in os.listdir(self._layers_dir):
            if f"sha256:{name}" not in keep and not (hold and digests.is_hex64(name)):
                self._trash.throw(os.path.join(self._layers_dir, name))

    def drain(self) -> None:
        """Wait until the background removal has caught up."""
        self._trash.drain()

    def close(self) -> None:
        """Stop the background removal; what is left goes at the next start."""
        self._trash.close()

    def _move_in_place(self, path: str, chain_id: str) -> None:
        target = self.layer_dir(chain_id)
        try:
            os.rename(path, target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            self._trash.throw(target)  # left by a crash between rename and record
            os.rename(path, target)
