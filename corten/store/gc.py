"""What is needed and what is garbage: mark by reachability from the roots, sweep the rest.

Nodes have a kind and a key. Images, containers' snapshots and leases are roots; an image reaches its documents, a
manifest its config, its layers' blobs and the unpacked chain, a layer the one below it. What no root reaches may go.
``Marked`` remembers for every node from where it was first reached, so a question "why is this kept" has an answer.
"""

from collections.abc import Iterable
from typing import NamedTuple

IMAGE, MANIFEST, BLOB, LAYER = "image", "manifest", "blob", "layer"
SNAPSHOT, LEASE, PARTIAL = "snapshot", "lease", "partial"


class Node(NamedTuple):
    """``key``: a digest, a chainID, a container's id or a lease's name."""

    kind: str
    key: str


class Graph:
    """Who needs whom. Edges may lead to what is not there."""

    def __init__(self) -> None:
        self.roots: dict[Node, None] = {}
        self._edges: dict[Node, list[Node]] = {}

    def root(self, node: Node) -> None:
        """Keep *node* and all that it reaches."""
        self.roots[node] = None

    def edge(self, source: Node, targets: Iterable[Node]) -> None:
        """*source* needs *targets*."""
        self._edges.setdefault(source, []).extend(targets)

    def mark(self) -> "Marked":
        """Everything that the roots reach."""
        reached: dict[Node, Node | None] = dict.fromkeys(self.roots)
        pending = list(self.roots)
        edges = self._edges
        while pending:
            source = pending.pop()
            for target in edges.get(source, ()):
                if target not in reached:
                    reached[target] = source
                    pending.append(target)
        return Marked(reached)


class Marked:
    """The nodes that are needed."""

    def __init__(self, reached: dict[Node, Node | None]) -> None:
        self._reached = reached

    def __contains__(self, node: object) -> bool:
        return node in self._reached

    def keys(self, kind: str) -> set[str]:
        """The keys of all needed nodes of one *kind*."""
        return {node.key for node in self._reached if node.kind == kind}

    def why(self, node: Node) -> list[Node]:
        """The way from a root to *node*, which comes last; empty when nothing needs it."""
        if node not in self._reached:
            return []
        way = [node]
        while (source := self._reached[way[-1]]) is not None:
            way.append(source)
        return way[::-1]


class Candidate(NamedTuple):
    """Something that might go: *size* in bytes, *used* the nanosecond of its last use."""

    node: Node
    size: int
    used: int
    names: tuple[str, ...] = ()


class Limits(NamedTuple):
    """When things go that nobody needs but somebody might miss; 0 is no limit. ``max_age`` in seconds, ``keep_storage``
    (what may stay) and ``min_free`` (what the file system must have left) in bytes."""

    max_age: float = 0
    keep_storage: int = 0
    min_free: int = 0


class Choice(NamedTuple):
    """A candidate that is to go, and why."""

    candidate: Candidate
    reason: str


def choose(candidates: Iterable[Candidate], limits: Limits, *, now: int, stored: int, free: int) -> list[Choice]:
    """Which candidates the limits condemn, the longest unused first.

    *now* in nanoseconds; *stored* are the bytes that all content takes, *free* those that the file system has left.
    """
    chosen: list[Choice] = []
    for candidate in sorted(candidates, key=lambda each: (each.used, each.node)):
        age = (now - candidate.used) / 1e9
        reason = ""
        if limits.max_age and age > limits.max_age:
            reason = f"unused for {duration(age)}, longer than {duration(limits.max_age)}"
        elif limits.keep_storage and stored > limits.keep_storage:
            reason = f"content takes {stored} bytes, more than {limits.keep_storage}"
        elif limits.min_free and free < limits.min_free:
            reason = f"the file system has {free} bytes left, less than {limits.min_free}"
        if reason:
            chosen.append(Choice(candidate, reason))
            stored -= candidate.size
            free += candidate.size
    return chosen


def duration(seconds: float) -> str:
    """A span of time in its largest fitting unit."""
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} seconds"
