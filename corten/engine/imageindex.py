"""The images that this daemon has, in memory and in the database: targets by digest, names to targets.

Reading takes no lock: what it finds may be gone a moment later, but is never half there. Every change goes through the
database first and takes effect in memory when it is durable. A target without a name is a dangling image.
"""

import re
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence

import msgspec

from corten import errors
from corten.engine.imagescan import StoredImage
from corten.oci import digest as digests
from corten.oci.reference import Reference
from corten.store import quarantine
from corten.store.database import Database

_MIGRATIONS = (
    """
    CREATE TABLE images (digest TEXT PRIMARY KEY, document BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE image_names (name TEXT PRIMARY KEY, digest TEXT NOT NULL, tagged INTEGER NOT NULL) WITHOUT ROWID
    """,
)
_SHORT_ID = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})")
_decoder = msgspec.json.Decoder(StoredImage)
_encoder = msgspec.json.Encoder()


class Name(msgspec.Struct, frozen=True):
    """A name's target, and when it was given (nanoseconds)."""

    reference: Reference
    digest: str
    tagged: int


class ImageIndex:
    """Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("images", _MIGRATIONS)
        reader = database.reader()
        self._images: dict[str, StoredImage] = {}
        for digest, document in reader.execute("SELECT digest, document FROM images").fetchall():
            try:
                self._images[digest] = stored(digest, document)
            except (msgspec.MsgspecError, errors.CortenError, TypeError) as error:
                database.quarantine.take(quarantine.IMAGE, str(digest), error, "images", {"digest": digest})
        self._names: dict[str, Name] = {}
        self._by_image: dict[str, list[str]] = {}
        self._lock = threading.Lock()
        for name, digest, tagged in reader.execute("SELECT name, digest, tagged FROM image_names").fetchall():
            try:
                self._remember(name, named(name, digest, tagged))
            except (errors.CortenError, TypeError) as error:
                database.quarantine.take(quarantine.NAME, str(name), error, "image_names", {"name": name})

    # reading

    def images(self) -> list[StoredImage]:
        """Every target."""
        return list(self._images.values())

    def get(self, digest: str) -> StoredImage | None:
        """The target of that digest."""
        return self._images.get(digest)

    def name(self, canonical: str) -> Name | None:
        """What a canonical name points to."""
        return self._names.get(canonical)

    def names(self) -> dict[str, Name]:
        """Every name, canonical."""
        return dict(self._names)

    def names_of(self, digest: str) -> list[Name]:
        """The names of a target, sorted."""
        found = [self._names.get(name) for name in sorted(self._by_image.get(digest, ()))]
        return [name for name in found if name is not None]

    def find(self, text: str) -> tuple[StoredImage, Reference | None]:
        """The target that *text* means (name, name@digest, id, short id) and the name it was found by.

        ``NotFound`` "No such image: ...", ``InvalidArgument`` for what can be neither name nor id.
        """
        if text.startswith("sha256:") or digests.is_hex64(text):
            return self._by_id(text), None
        reference = Reference.parse(text).tagged()
        found = self._names.get(reference.canonical)
        image = self._images.get(found.digest) if found else None
        if found is not None and image is not None:
            return image, found.reference
        if reference.digest is not None:
            image = self._images.get(reference.digest)
            for name in self.names_of(reference.digest):
                if image and name.reference.name == reference.name and reference.tag in (None, name.reference.tag):
                    return image, msgspec.structs.replace(reference, tag=None)
        elif _SHORT_ID.fullmatch(text):
            matches = self._matching(text)
            if len(matches) == 1:
                return matches[0], None
            if matches:
                raise errors.InvalidArgument(f"ambiguous reference: {text} matches {len(matches)} images")
        raise errors.NotFound(f"No such image: {reference.familiar()}")

    def _by_id(self, text: str) -> StoredImage:
        match = _SHORT_ID.fullmatch(text)
        if match is None:
            raise errors.InvalidArgument("invalid reference format")
        matches = self._matching(text)
        if len(matches) > 1:
            raise errors.InvalidArgument(f"ambiguous reference: {text} matches {len(matches)} images")
        if not matches:
            raise errors.NotFound(f"No such image: {text}")
        return matches[0]

    def _matching(self, text: str) -> list[StoredImage]:
        digits = text.removeprefix("sha256:")
        if len(digits) == 64:
            found = self._images.get("sha256:" + digits)
            return [found] if found else []
        start = "sha256:" + digits
        return [image for digest, image in list(self._images.items()) if digest.startswith(start)]

    # changing

    def add(self, images: Sequence[tuple[StoredImage, Sequence[Reference]]]) -> list[Name]:
        """Record targets and let their names point to them, all in one transaction; returns the names that moved."""
        now = time.time_ns()
        known = {image.id: image for image, _ in images}
        entries = {
            reference.canonical: Name(reference, image.id, now) for image, names in images for reference in names
        }
        documents = [(image.id, _encoder.encode(image)) for image in known.values()]

        def job(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO images VALUES (?, ?)", documents)
            connection.executemany(
                "INSERT OR REPLACE INTO image_names VALUES (?, ?, ?)",
                [(name, entry.digest, entry.tagged) for name, entry in entries.items()],
            )

        with self._lock:
            self._database.write(job)
            self._images.update(known)
            moved = [
                old for name, new in entries.items() if (old := self._names.get(name)) and old.digest != new.digest
            ]
            for name, entry in entries.items():
                self._remember(name, entry)
        return moved

    def drop_names(self, names: Iterable[Name]) -> None:
        """Forget names; their targets stay."""
        texts = [name.reference.canonical for name in names]
        with self._lock:
            self._database.write(
                lambda c: c.executemany("DELETE FROM image_names WHERE name=?", [(text,) for text in texts])
            )
            for text in texts:
                self._forget(text)

    def drop_images(self, targets: Iterable[str]) -> None:
        """Forget targets and every name of theirs, in one transaction."""
        doomed = list(targets)
        rows = [(digest,) for digest in doomed]

        def job(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM image_names WHERE digest=?", rows)
            connection.executemany("DELETE FROM images WHERE digest=?", rows)

        with self._lock:
            self._database.write(job)
            for digest in doomed:
                for name in list(self._by_image.get(digest, ())):
                    self._forget(name)
                self._images.pop(digest, None)

    def _remember(self, name: str, entry: Name) -> None:
        self._forget(name)
        self._names[name] = entry
        self._by_image.setdefault(entry.digest, []).append(name)

    def _forget(self, name: str) -> None:
        old = self._names.pop(name, None)
        if old is not None:
            rest = [other for other in self._by_image.get(old.digest, ()) if other != name]
            if rest:
                self._by_image[old.digest] = rest
            else:
                self._by_image.pop(old.digest, None)


def stored(digest: str, document: bytes) -> StoredImage:
    """A row's value, checked as far as a path on disk depends on it."""
    image = _decoder.decode(document)
    if image.id != digest:
        raise errors.DataLoss(f"it describes {image.id[:100]!r}")
    for blob in image.blobs():
        digests.check(blob)
    return image


def named(name: str, digest: str, tagged: int) -> Name:
    """A row's value, checked. ``InvalidArgument`` or ``TypeError`` when it is damaged."""
    if not (isinstance(name, str) and isinstance(tagged, int)):
        raise TypeError("a value has the wrong type")
    return Name(Reference.parse(name), digests.check(digest), tagged)
