"""What lies in a ``docker load`` archive, taken in as it streams by.

Archives name their layers only at the end, so every member that looks like a layer (a tar, compressed or not) is
unpacked while it is stored; members that nothing refers to are dropped with the ingest. Names are keys of a table here
and never files on the host.
"""

from collections.abc import Callable

import msgspec

from corten import errors
from corten.engine.imagestore import ImageStore
from corten.oci import digest as digests
from corten.oci.base import MAX_DOCUMENT
from corten.store.content import BlobWriter
from corten.store.ingest import LAYER_MEDIA_TYPES, Ingest, LayerStream
from corten.wire import compress, tarread

MANIFEST_FILE, INDEX_FILE, LAYOUT_FILE = "manifest.json", "index.json", "oci-layout"
_BLOBS = "blobs/sha256/"
_KEPT_DOCUMENTS = frozenset({MANIFEST_FILE, INDEX_FILE, LAYOUT_FILE})
_SKIPPED = ("repositories", "VERSION")
_MAX_MEMBERS = 100_000
_MAX_LAYERS = 4096
_MAX_LINKS = 16


class ArchiveItem(msgspec.Struct, frozen=True):
    """The archive's list in ``manifest.json`` (Docker image specification v1.2, "Combined Image JSON")."""

    config: str = msgspec.field(name="Config", default="")
    repo_tags: list[str] | None = msgspec.field(name="RepoTags", default=None)
    layers: list[str] | None = msgspec.field(name="Layers", default=None)


class Member(msgspec.Struct, frozen=True):
    """A stored member. ``stream`` is set for what may be a layer; ``size`` in bytes."""

    digest: str
    size: int
    stream: LayerStream | None = None
    writer: BlobWriter | None = None


class Archive:
    """Members by name and by digest, and the documents at the archive's root."""

    def __init__(self, store: ImageStore, ingest: Ingest, pin: Callable[[str], None]) -> None:
        """*pin* keeps what the store has already and the archive need not bring."""
        self._store = store
        self._pin = pin
        self._ingest = ingest
        self._layers = 0
        self._links: dict[str, str] = {}
        self.documents: dict[str, bytes] = {}
        self.members: dict[str, Member] = {}
        self.by_digest: dict[str, Member] = {}

    def read(self, source: compress.ReadChunk) -> None:
        """Take in the whole archive."""
        reader = tarread.TarReader(compress.auto(source))
        count = 0
        for entry in reader:
            count += 1
            if count > _MAX_MEMBERS:
                raise errors.InvalidArgument(f"archive has more than {_MAX_MEMBERS} members")
            name = _clean(entry.name)
            if entry.kind == tarread.REGULAR:
                self._file(reader, entry, name)
            elif entry.kind in (tarread.SYMLINK, tarread.HARDLINK):
                self._link(entry, name)
        if count == 0:
            raise errors.InvalidArgument("the archive is empty")
        reader.drain()

    def member(self, name: str) -> Member:
        """The member called *name*, links followed. ``InvalidArgument`` when it is missing."""
        wanted = _clean(name.encode())
        for _ in range(_MAX_LINKS):
            found = self.members.get(wanted)
            if found is not None:
                return found
            if wanted not in self._links:
                break
            wanted = self._links[wanted]
        raise errors.InvalidArgument(f"invalid archive: it has no {name[:200]!r}")

    def document(self, digest: str) -> bytes | None:
        """A small blob from the archive or the store; None when neither has it."""
        member = self.by_digest.get(digest)
        if member is None or member.writer is None:
            return self._store.content.read(digest) if self._store.content.has(digest) else None
        if member.size > MAX_DOCUMENT:
            raise errors.InvalidArgument(f"blob {digest} has {member.size} bytes; too large for a document")
        return member.writer.head(member.size)

    def has(self, digest: str) -> bool:
        """Whether the archive or the store has the blob."""
        return digest in self.by_digest or self._store.content.has(digest)

    def size(self, digest: str) -> int:
        """Bytes of the blob, -1 when nobody has it."""
        member = self.by_digest.get(digest)
        return member.size if member is not None else self._store.content.size(digest)

    def add_document(self, ingest: Ingest, data: bytes) -> str:
        """A document that the archive lacks, made for it; returns its digest."""
        digest = digests.of(data)
        if digest not in self.by_digest and not self._store.hold(self._pin, digest):
            writer = ingest.blob()
            writer.write(data)
            writer.finish()
            self.by_digest[digest] = Member(digest, len(data), None, writer)
        return digest

    def layer_media_type(self, member: Member, name: str) -> str:
        """The OCI media type of a member that manifest.json calls a layer."""
        if member.stream is not None:
            kind = member.stream.ready().media_type
        else:
            head = next(self._store.content.chunks(member.digest, tarread.BLOCK), b"")
            kind = LAYER_MEDIA_TYPES.get(compress.detect(head), "") if _may_be_layer(head) else ""
        if not kind:
            raise errors.InvalidArgument(f"invalid archive: {name[:200]!r} is no layer that can be stored")
        return kind

    def _file(self, reader: tarread.TarReader, entry: tarread.Entry, name: str) -> None:
        if entry.sparse is not None:
            raise errors.InvalidArgument(f"invalid archive: {name!r} is a sparse file")
        if name in _KEPT_DOCUMENTS:
            if entry.size > MAX_DOCUMENT:
                raise errors.InvalidArgument(f"{name} has {entry.size} bytes; more than {MAX_DOCUMENT} are not read")
            self.documents[name] = b"".join(bytes(piece) for piece in reader.data())
            return
        if name.rpartition("/")[2] in _SKIPPED or (name.endswith("/json") and not name.startswith(_BLOBS)):
            return
        expected = _expected_digest(name)
        if expected and self._store.hold(self._pin, expected):
            self._remember(name, Member(expected, entry.size))  # its bytes need not be looked at
            return
        self._remember(name, self._blob(reader, name, expected))

    def _blob(self, reader: tarread.TarReader, name: str, expected: str) -> Member:
        pieces = reader.data()
        first = next(pieces, memoryview(b""))
        while len(first) < tarread.BLOCK and (more := next(pieces, None)) is not None:
            first = memoryview(bytes(first) + bytes(more))
        sink: LayerStream | BlobWriter
        stream = self._layer() if _may_be_layer(bytes(first[: tarread.BLOCK])) else None
        sink = stream or self._ingest.blob()
        size = len(first)
        sink.write(first)
        for piece in pieces:
            sink.write(piece)
            size += len(piece)
        sink.finish()
        if expected and sink.digest != expected:
            raise errors.InvalidArgument(f"invalid archive: {name} has the digest {sink.digest}")
        writer = stream.writer if stream is not None else sink
        assert isinstance(writer, BlobWriter)
        return Member(sink.digest, size, stream, writer)

    def _layer(self) -> LayerStream:
        self._layers += 1
        if self._layers > _MAX_LAYERS:
            raise errors.InvalidArgument(f"archive has more than {_MAX_LAYERS} layers")
        return self._ingest.layer()

    def _remember(self, name: str, member: Member) -> None:
        self.members[name] = member
        self.by_digest.setdefault(member.digest, member)

    def _link(self, entry: tarread.Entry, name: str) -> None:
        target = entry.link
        if entry.kind == tarread.SYMLINK:
            if target.startswith(b"/"):
                raise errors.InvalidArgument(f"invalid archive: {name!r} is a link out of it")
            target = name.rpartition("/")[0].encode() + b"/" + target
        self._links[name] = _clean(target, relative=True)


def _may_be_layer(head: bytes) -> bool:
    return compress.detect(head) != compress.NONE or tarread.is_header(head)


def _expected_digest(name: str) -> str:
    """The digest that a member's name promises, "" when it promises none."""
    base = name[len(_BLOBS) :] if name.startswith(_BLOBS) else name.removesuffix(".json") if "/" not in name else ""
    if digests.is_hex64(base) and (name.startswith(_BLOBS) or name.endswith(".json")):
        return "sha256:" + base
    if name.startswith(_BLOBS):
        raise errors.InvalidArgument(f"invalid archive: {name[:200]!r} is not named by a digest")
    return ""


def _clean(name: bytes, *, relative: bool = False) -> str:
    """A member's name without "." components. ".." is refused unless *relative* and inside the archive."""
    done: list[bytes] = []
    for part in name.split(b"/"):
        if part in (b"", b"."):
            continue
        if part == b"..":
            if not relative or not done:
                raise errors.InvalidArgument(f"invalid archive: bad name {name[:200].decode('utf-8', 'replace')!r}")
            done.pop()
            continue
        done.append(part)
    return b"/".join(done).decode("utf-8", "surrogateescape")
