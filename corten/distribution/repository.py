"""One repository of a registry: what can be read from it and written to it (distribution-spec, chapter Endpoints).

Reads go to the mirrors first, then to the registry; writes go to the registry alone.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from corten import errors
from corten.distribution import blob as blobs
from corten.distribution import document, pages, upload
from corten.distribution import url as urls
from corten.distribution.answer import Answer
from corten.distribution.blob import BlobStream
from corten.distribution.document import ACCEPTED, KNOWN, MAX_MANIFEST, Manifest
from corten.distribution.failure import Answered
from corten.distribution.session import Session
from corten.distribution.translate import denied_push, not_found
from corten.oci import digest as digests
from corten.oci import manifest as manifests
from corten.oci.base import MAX_DOCUMENT
from corten.oci.manifest import Descriptor
from corten.oci.reference import Reference

T = TypeVar("T")

MAX_PLACES = 8
"""Of the places that a foreign layer's descriptor names, so many are tried."""


class _Tags(msgspec.Struct):
    tags: list[str] | None = None


class Repository:
    """Made by ``RegistryClient.repository``. Methods block and may be called from several threads.

    Errors of all: NotFound, Unauthenticated, Forbidden, Unavailable (after all attempts), Cancelled.
    """

    def __init__(
        self, reference: Reference, mirrors: Callable[[], Sequence[Session]], own: Callable[[], Session], *, push: bool
    ) -> None:
        """*own* finds the registry itself; called when it is needed, as a mirror may be all that can be reached."""
        self.reference = reference
        self._find_mirrors = mirrors
        self._find = own
        self._mirrors: Sequence[Session] | None = None
        self._found: Session | None = None
        self._lock = threading.Lock()
        self._push = push
        self._path = f"/v2/{reference.path}"
        self.scopes = (f"repository:{reference.path}:{'pull,push' if push else 'pull'}",)

    # reading

    def resolve(self, name: str) -> Descriptor:
        """The descriptor that tag or digest *name* stands for now."""
        return self._read(lambda session: self._resolve(session, name), name)

    def _resolve(self, session: Session, name: str) -> Descriptor:
        try:
            answer = session.request("HEAD", self._manifest_path(name), self.scopes, headers=_accept())
        except Answered as error:
            if error.codes or error.status == 429:
                raise
            return self._fetch(session, name, None).descriptor  # some know no HEAD, and only a body says why
        told, kind, size = answer.header("Docker-Content-Digest"), answer.media_type, answer.length
        answer.discard()
        if kind not in KNOWN or not size or not digests.is_digest(told) or not told.startswith("sha256:"):
            return self._fetch(session, name, None).descriptor
        if digests.is_digest(name) and told != name:
            raise errors.DataLoss(f"manifest verification failed for digest {name}: the registry has {told}")
        return Descriptor(media_type=kind, digest=told, size=size)

    def manifest(self, name: str | Descriptor) -> Manifest:
        """The document of a tag, a digest or a descriptor. DataLoss and InvalidArgument as ``document.verified``."""
        if isinstance(name, str):
            return self._read(lambda session: self._fetch(session, name, None), name)
        digests.check(name.digest)
        if name.size > MAX_MANIFEST:
            raise errors.InvalidArgument(f"manifest {name.digest} has {name.size} bytes; {MAX_MANIFEST} are accepted")
        found = self._read(lambda session: self._fetch(session, name.digest, name.size), name.digest)
        if name.media_type in KNOWN and (name.media_type in manifests.INDEX_TYPES) != found.is_index:
            raise errors.InvalidArgument(
                f"ambiguous document: {name.digest} is described as {name.media_type} and is {found.media_type}"
            )
        return found

    def _fetch(self, session: Session, name: str, size: int | None) -> Manifest:
        answer = session.request("GET", self._manifest_path(name), self.scopes, headers=_accept())
        kind, told = answer.media_type, answer.header("Docker-Content-Digest")
        data = answer.document(MAX_MANIFEST, session.config.document_timeout)
        wanted = name if ":" in name else ""
        return document.verified(data, kind, told, wanted, size, f"{self.reference.name}{'@' if wanted else ':'}{name}")

    def tags(self) -> Iterator[str]:
        """All tags, page by page."""
        session = self._last()
        try:
            for data in pages.read(session, f"{self._path}/tags/list", self.scopes):
                yield from pages.decode(data, _Tags, session).tags or ()
        except Answered as error:
            raise not_found(error, self.reference, "") from error

    def referrers(self, digest: str) -> list[Descriptor]:
        """What refers to manifest *digest*: signatures, attestations and the like. Nothing where nobody knows."""
        digests.check(digest)
        try:
            found = self._read(lambda session: self._referrers(session, digest), digest)
        except errors.NotFound:
            return []
        return found

    def _referrers(self, session: Session, digest: str) -> list[Descriptor]:
        try:
            found: list[Descriptor] = []
            for data in pages.read(session, f"{self._path}/referrers/{digest}", self.scopes):
                found += manifests.decode_index(data).manifests or []
            return found
        except Answered as error:
            if error.status != 404:
                raise
        fallback = self._fetch(session, digest.replace(":", "-"), None)
        return manifests.decode_index(fallback.data).manifests or []

    def blob(self, descriptor: Descriptor, offset: int = 0) -> BlobStream:
        """The bytes of a blob from *offset*; less than that is skipped where the registry knows no ranges."""
        digests.check(descriptor.digest)
        if not 0 <= offset < max(descriptor.size, 1):
            raise ValueError(f"offset {offset} lies outside of {descriptor.size} bytes")
        return self._read(lambda session: self._open(session, descriptor, offset), descriptor.digest)

    def document(self, descriptor: Descriptor) -> bytes:
        """The whole of a small blob, such as a configuration, checked. DataLoss when it is not what it should be."""
        if not 0 <= descriptor.size <= MAX_DOCUMENT:
            raise errors.InvalidArgument(
                f"{descriptor.digest} has {descriptor.size} bytes; {MAX_DOCUMENT} are accepted"
            )
        with self.blob(descriptor) as stream:
            parts = []
            while part := stream.read(MAX_DOCUMENT):
                parts.append(part)
        data = b"".join(parts)
        if digests.of(data) != descriptor.digest:
            raise errors.DataLoss(f"blob verification failed for digest {descriptor.digest}: the content has another")
        return data

    def _open(self, session: Session, descriptor: Descriptor, offset: int) -> BlobStream:
        headers = {"Range": f"bytes={offset}-{descriptor.size - 1}"} if offset else {}
        path = f"{self._path}/blobs/{descriptor.digest}"
        accept = (200, 206) if offset else (200,)
        try:
            answer = session.request("GET", path, self.scopes, headers=headers, accept=accept)
        except Answered as error:
            if error.status != 404 or descriptor.media_type not in manifests.FOREIGN_TYPES or not descriptor.urls:
                raise
            answer = self._elsewhere(session, descriptor.urls, headers, accept)
        return blobs.opened(answer, descriptor, offset)

    def _elsewhere(
        self, session: Session, places: Sequence[str], headers: dict[str, str], accept: tuple[int, ...]
    ) -> Answer:
        """A layer that registries may not pass on, from where its descriptor says. Whoever wrote that may not lead us
        where a redirect of the registry may not, and sees no credentials."""
        failure: errors.CortenError | None = None
        for place in places[:MAX_PLACES]:
            try:
                url = urls.parse(place, "URL", "the manifest")
                return session.request("GET", url, self.scopes, headers=headers, accept=accept)
            except errors.Cancelled:
                raise
            except errors.CortenError as error:
                failure = error
        assert failure is not None
        raise failure

    def has_blob(self, digest: str) -> int | None:
        """The blob's size in the registry itself, None when it is not there."""
        digests.check(digest)
        session = self._last()
        try:
            answer = session.request("HEAD", f"{self._path}/blobs/{digest}", self.scopes)
        except Answered as error:
            if error.status == 404:
                return None
            raise self._refusal(error, digest) from error
        size = answer.length
        answer.discard()
        return size

    # writing

    def mount(self, digest: str, source_repository: str) -> bool:
        """Take a blob over from *source_repository* (a path in the same registry); whether that worked."""
        digests.check(digest)
        session = self._last()
        scopes = (*self.scopes, f"repository:{source_repository}:pull")
        query = urlencode({"mount": digest, "from": source_repository})
        try:
            answer = session.request(
                "POST", f"{self._path}/blobs/uploads/?{query}", scopes, body=b"", accept=(201, 202), follow=False
            )
        except Answered as error:
            if error.status in (400, 401, 403, 404, 405):
                return False  # no right to read there, or nothing of the kind: the blob is uploaded instead
            raise self._refusal(error, digest) from error
        answer.discard()
        if answer.status == 202:
            upload.cancel(session, answer, self.scopes)
            return False
        return True

    def upload(
        self, descriptor: Descriptor, open_chunks: Callable[[], Iterator[bytes]], progress: Callable[[int], None]
    ) -> None:
        """Send a blob; *open_chunks* gives its bytes from the start, once per attempt, *progress* gets the number of
        bytes sent so far, which falls back when an attempt starts again."""
        digests.check(descriptor.digest)
        try:
            upload.send(self._last(), self._path, self.scopes, descriptor, open_chunks, progress)
        except Answered as error:
            raise self._refusal(error, descriptor.digest) from error

    def put_manifest(self, name: str, media_type: str, data: bytes) -> str:
        """Store a document under tag or digest *name*; gives its digest, which the registry has confirmed."""
        digest = digests.of(data)
        headers = {"Content-Type": media_type}
        try:
            answer = self._last().request(
                "PUT", self._manifest_path(name), self.scopes, headers=headers, body=data, accept=(201, 202, 200)
            )
        except Answered as error:
            raise self._refusal(error, name) from error
        told = answer.header("Docker-Content-Digest")
        answer.discard()
        if told.startswith("sha256:") and told != digest:
            raise errors.DataLoss(f"the registry stored {told} where {digest} was sent")
        return digest

    # where

    def _last(self) -> Session:
        """The registry itself."""
        with self._lock:
            if self._found is None:
                self._found = self._find()
            return self._found

    def _read(self, work: Callable[[Session], T], name: str) -> T:
        """*work* at the first server where it succeeds; the error is the last one's, the registry's own."""
        with self._lock:
            if self._mirrors is None:
                self._mirrors = self._find_mirrors()
        for session in self._mirrors:
            try:
                return work(session)
            except errors.Cancelled:
                raise
            except errors.CortenError:
                continue  # a mirror need not have everything, nor be there at all
        try:
            return work(self._last())
        except Answered as error:
            raise self._refusal(error, name) from error

    def _refusal(self, error: Answered, name: str) -> errors.CortenError:
        if self._push:
            return denied_push(error, self.reference)
        return not_found(error, self.reference, name)

    def _manifest_path(self, name: str) -> str:
        return f"{self._path}/manifests/{quote(name, safe=':')}"


def _accept() -> dict[str, str]:
    return {"Accept": ", ".join((*ACCEPTED, "application/json;q=0.5"))}
