"""The graph that garbage collection walks: images, containers' snapshots and leases, and the content that they need."""

from collections.abc import Collection

from corten.engine.imageindex import ImageIndex
from corten.engine.imagescan import StoredImage
from corten.store import gc
from corten.store.gc import Graph, Node
from corten.store.lease import Leases
from corten.store.snapshot import Snapshots

_Edges = list[tuple[Node, list[Node]]]


class Reach:
    """Make ``graph`` as one step against changes of what it is made of."""

    def __init__(self, index: ImageIndex, snapshots: Snapshots, leases: Leases) -> None:
        self._index = index
        self._snapshots = snapshots
        self._leases = leases
        self._known: dict[str, tuple[StoredImage, _Edges]] = {}
        """What an image needs takes a hash per layer to find out, and every removal asks for all images."""

    def graph(self, without: Collection[str] = ()) -> Graph:
        """Who needs which content: images (but those called *without*), containers and leases are the roots."""
        graph = Graph()
        known: dict[str, tuple[StoredImage, _Edges]] = {}
        for image in self._index.images():
            entry = self._known.get(image.id)
            if entry is None or entry[0] is not image:
                entry = (image, _edges(image))
            known[image.id] = entry
            if image.id not in without:
                graph.root(Node(gc.IMAGE, image.id))
                for source, targets in entry[1]:
                    graph.edge(source, targets)
        self._known = known
        for layer in self._snapshots.layers():
            if layer.parent:
                graph.edge(Node(gc.LAYER, layer.chain_id), [Node(gc.LAYER, layer.parent)])
        for key, chain_id in self._snapshots.active().items():
            root = Node(gc.SNAPSHOT, key)
            graph.root(root)
            if chain_id:
                graph.edge(root, [Node(gc.LAYER, chain_id)])
        for item, lease in self._leases.held().items():
            root = Node(gc.LEASE, lease)
            graph.root(root)
            graph.edge(root, [Node(gc.BLOB, item), Node(gc.LAYER, item)])
        return graph


def _edges(image: StoredImage) -> _Edges:
    root = Node(gc.IMAGE, image.id)
    own = [Node(gc.BLOB, image.id), *(Node(gc.BLOB, index.digest) for index in image.indexes)]
    edges: _Edges = [(root, own)]
    for manifest in image.manifests:
        node = Node(gc.MANIFEST, manifest.descriptor.digest)
        own.append(node)
        parts = [manifest.descriptor, *([manifest.config] if manifest.config else []), *manifest.layers]
        needed = [Node(gc.BLOB, part.digest) for part in parts]
        if manifest.complete:  # each by itself, as the record of one in between may be lost
            needed += [Node(gc.LAYER, chain_id) for chain_id in manifest.chain()]
        edges.append((node, needed))
    return edges
