"""Use cases that ask a registry and change nothing here: login, search, what stands behind a name."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec

from corten import errors
from corten.distribution.client import RegistryClient
from corten.distribution.credential import Credential
from corten.distribution.failure import Answered
from corten.distribution.repository import Repository
from corten.distribution.search import SearchResult
from corten.distribution.translate import plain
from corten.oci import manifest as manifests
from corten.oci.base import OciValue, decode
from corten.oci.manifest import Descriptor
from corten.oci.platform import Platform
from corten.oci.reference import Reference

T = TypeVar("T")

THREADS = 8


class _ImagePlatform(OciValue, frozen=True):
    """Of an image's configuration what says where it runs."""

    architecture: str = ""
    os: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: list[str] | None = msgspec.field(default=None, name="os.features")
    variant: str = ""


class Registries:
    """The client's blocking calls in threads of their own: a registry that does not answer holds up nothing else."""

    def __init__(self, client: RegistryClient) -> None:
        self._client = client
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="registry")

    async def login(self, credential: Credential) -> tuple[str, str]:
        """(status, identity token); Unauthenticated when the registry says no."""
        return await self._run(lambda: self._client.login(credential))

    async def search(
        self, term: str, limit: int, filters: dict[str, list[str]], credential: Credential
    ) -> list[SearchResult]:
        return await self._run(lambda: self._client.search(term, limit, filters, credential))

    async def inspect(self, name: str, credential: Credential) -> tuple[Descriptor, list[Platform]]:
        """The descriptor that *name* has in its registry, and the platforms behind it."""
        reference = Reference.parse(name).tagged()
        repository = self._client.repository(reference, credential)
        try:
            return await self._run(lambda: _inspect(repository, reference))
        except errors.CortenError as error:
            if isinstance(error.__cause__, Answered):
                raise plain(error.__cause__) from error
            raise

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def _inspect(repository: Repository, reference: Reference) -> tuple[Descriptor, list[Platform]]:
    found = repository.manifest(reference.digest or reference.tag or "")
    if found.is_index:
        entries = manifests.decode_index(found.data).manifests or []
        return found.descriptor, [entry.platform for entry in entries if entry.platform is not None]
    config = manifests.decode_manifest(found.data).config
    if config.media_type not in manifests.CONFIG_TYPES:
        return found.descriptor, []  # no image: an artifact runs nowhere
    platform = decode(repository.document(config), _ImagePlatform, "image configuration")
    return found.descriptor, [
        Platform(
            architecture=platform.architecture,
            os=platform.os,
            os_version=platform.os_version,
            os_features=platform.os_features or [],
            variant=platform.variant,
        )
    ]
