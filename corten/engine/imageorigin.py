"""Blobs that were given up here because a registry has them: taken from there when a push needs their bytes.

The credential of a push is for one registry. Others are asked as anybody, since a credential may not say which
registry it was made for.
"""

import threading
from collections.abc import Iterator

from corten import errors
from corten.distribution.client import RegistryClient
from corten.distribution.credential import ANONYMOUS, Credential
from corten.distribution.repository import Repository
from corten.engine.imagesources import BlobSources
from corten.oci.manifest import Descriptor

_CHUNK = 1 << 20


class Origins:
    """Thread-safe. *domain* is the registry that *credential* is for."""

    def __init__(
        self,
        sources: BlobSources,
        registries: RegistryClient,
        domain: str,
        credential: Credential,
        stop: threading.Event,
    ) -> None:
        self._sources = sources
        self._registries = registries
        self._domain = domain
        self._credential = credential
        self._stop = stop

    def find(self, digest: str) -> Repository | None:
        """A repository that has the blob and shows it to us, None without one."""
        for source in self._sources.repositories(digest):
            credential = self._credential if source.domain == self._domain else ANONYMOUS
            repository = self._registries.repository(source, credential, stop=self._stop)
            try:
                if repository.has_blob(digest) is not None:
                    return repository
            except errors.Cancelled:
                raise
            except errors.CortenError:
                continue
        return None

    def pieces(self, blob: Descriptor) -> Iterator[bytes]:
        """The blob from its first byte, unchecked: whoever receives it knows its digest. ``NotFound``."""
        repository = self.find(blob.digest)
        if repository is None:
            raise errors.NotFound(f"content digest {blob.digest}: not found")
        with repository.blob(blob) as body:
            while piece := body.read(_CHUNK):
                yield piece
