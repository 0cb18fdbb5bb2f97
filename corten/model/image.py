"""What the image use cases take and give. Names are the API's in snake case; times are nanoseconds since the epoch.

``Descriptor``, ``Platform`` and ``RunConfig`` come from ``corten.oci`` and carry their own key names: hand them to
``msgspec.to_builtins`` and not to the snake-to-Pascal rule.
"""

from typing import Any

from corten.model.base import Value
from corten.oci.image import ImageConfig, RunConfig
from corten.oci.manifest import Descriptor
from corten.oci.platform import Platform


class ImageRef(Value, frozen=True):
    """What a container needs of an image. ``id`` names the target (index or manifest), ``manifest`` the one chosen.

    ``name`` is the familiar reference that was found ("busybox:latest"), or the id when it was asked for by id.
    ``chain_id`` is "" for an image without layers.
    """

    id: str
    manifest: Descriptor
    platform: Platform
    config: ImageConfig
    chain_id: str = ""
    name: str = ""


class ContainerUse(Value, frozen=True):
    """A container that was made from an image. ``image`` is the text the user gave at create."""

    container_id: str
    running: bool
    image: str = ""


class ImageQuery(Value, frozen=True):
    """``filters`` as the API sends them, already a map of lists: before, since, dangling, label, label!, reference,
    until. ``containers`` asks for the count of containers per image."""

    all: bool = False
    filters: dict[str, list[str]] = {}
    shared_size: bool = False
    manifests: bool = False
    containers: bool = False


class ManifestSize(Value, frozen=True):
    """Bytes: ``content`` of the blobs that are present, ``total`` with the unpacked ones."""

    content: int
    total: int


class UnpackedSize(Value, frozen=True):
    unpacked: int


class ImageData(Value, frozen=True):
    """Of a manifest that is an image. ``containers`` are ids."""

    platform: Platform
    size: UnpackedSize
    containers: list[str]


class AttestationData(Value, frozen=True):
    for_: str
    """Key ``For``: digest of the manifest that the attestation describes."""


class ManifestSummary(Value, frozen=True):
    """One entry of ``Manifests``. ``id`` prints as ``ID``. ``kind``: image, attestation or unknown."""

    id: str
    descriptor: Descriptor
    available: bool
    size: ManifestSize
    kind: str
    image_data: ImageData | None = None
    attestation_data: AttestationData | None = None


class AttestationStatement(Value, frozen=True):
    """An in-toto statement of an image; ``statement`` is its JSON, None unless asked for."""

    descriptor: Descriptor
    predicate_type: str
    statement: dict[str, Any] | None = None


class ImageSummary(Value, frozen=True):
    """One row of the list. ``created`` in nanoseconds (the API sends seconds); ``containers``, ``shared_size`` -1 when
    not asked for; ``manifests`` None unless asked for."""

    containers: int
    created: int
    id: str
    labels: dict[str, str] | None
    parent_id: str
    descriptor: Descriptor
    repo_digests: list[str]
    repo_tags: list[str]
    shared_size: int
    size: int
    manifests: list[ManifestSummary] | None = None


class ImageRootFS(Value, frozen=True):
    type: str
    layers: list[str]


class ImageMetadata(Value, frozen=True):
    last_tag_time: int


class ImageInspect(Value, frozen=True):
    """``GET /images/{name}/json``. ``manifests`` None unless asked for; ``created`` 0 when unknown."""

    id: str
    repo_tags: list[str]
    repo_digests: list[str]
    comment: str
    created: int
    author: str
    config: RunConfig | None
    architecture: str
    variant: str
    os: str
    os_version: str
    size: int
    root_fs: ImageRootFS
    metadata: ImageMetadata
    descriptor: Descriptor
    manifests: list[ManifestSummary] | None = None
    parent: str = ""


class HistoryItem(Value, frozen=True):
    """One row of the history, newest first. ``created`` in nanoseconds (the API sends seconds)."""

    comment: str
    created: int
    created_by: str
    id: str
    size: int
    tags: list[str] | None


class DeletedItem(Value, frozen=True):
    """Exactly one of the two is set; the API sends only that one."""

    untagged: str = ""
    deleted: str = ""


class PrunedImages(Value, frozen=True):
    """``images_deleted`` is None when nothing was (as Docker's null)."""

    images_deleted: list[DeletedItem] | None
    space_reclaimed: int


class Progress(Value, frozen=True):
    """One record of a streamed answer. ``stream`` is text for the terminal; ``status`` with ``id`` and ``current`` /
    ``total`` (bytes) a step; ``aux_id`` goes out as ``{"aux":{"ID":...}}``, ``aux`` as it is. Failures are raised,
    never sent as this."""

    stream: str = ""
    status: str = ""
    id: str = ""
    current: int = 0
    total: int = 0
    aux_id: str = ""
    aux: dict[str, Any] = {}
    headline: bool = False
    """The record has an id, but no progress can follow it."""


class CommitRequest(Value, frozen=True):
    """``POST /commit``. ``config`` is the container's config after the body's overrides, as a RunConfig; ``changes``
    are Dockerfile instructions. The caller has paused the container if that was wanted."""

    container_id: str
    base: ImageRef | None
    config: RunConfig
    repo: str = ""
    tag: str = ""
    comment: str = ""
    author: str = ""
    changes: list[str] = []
    created_by: str = ""
    """Text for the new history row: the container's command line."""
