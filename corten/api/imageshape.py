"""Images as the API shows them, and what older versions saw."""

from typing import Any

import msgspec

from corten.api import progressbar
from corten.api.times import rfc3339
from corten.api.versions import Version
from corten.model.image import (
    AttestationStatement,
    DeletedItem,
    HistoryItem,
    ImageInspect,
    ImageSummary,
    ManifestSummary,
    Progress,
)
from corten.oci.image import RunConfig

_CONTAINER_KEYS: dict[str, Any] = {
    "Hostname": "",
    "Domainname": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Image": "",
}
_ALWAYS: dict[str, Any] = {
    "User": "",
    "Env": None,
    "Cmd": None,
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": None,
}
"""Keys of an image's config that were there, empty or not, below 1.52."""


def summary(image: ImageSummary, version: Version) -> dict[str, Any]:
    """One row of ``GET /images/json``."""
    tags, digests = image.repo_tags, image.repo_digests
    if version < (1, 43) and not tags and not digests:
        tags, digests = ["<none>:<none>"], ["<none>@<none>"]
    document: dict[str, Any] = {
        "Containers": image.containers if version >= (1, 51) else -1,
        "Created": image.created // 1_000_000_000,
        "Id": image.id,
        "Labels": image.labels,
        "ParentId": image.parent_id,
    }
    if version >= (1, 48):
        document["Descriptor"] = msgspec.to_builtins(image.descriptor)
    if image.manifests is not None:
        document["Manifests"] = [manifest(item) for item in image.manifests]
    document |= {"RepoDigests": digests, "RepoTags": tags, "SharedSize": image.shared_size, "Size": image.size}
    if version < (1, 44):
        document["VirtualSize"] = image.size
    return document


def manifest(item: ManifestSummary) -> dict[str, Any]:
    """One entry of ``Manifests``."""
    document: dict[str, Any] = {
        "ID": item.id,
        "Descriptor": msgspec.to_builtins(item.descriptor),
        "Available": item.available,
        "Size": {"Content": item.size.content, "Total": item.size.total},
        "Kind": item.kind,
    }
    if item.image_data is not None:
        document["ImageData"] = {
            "Platform": msgspec.to_builtins(item.image_data.platform),
            "Size": {"Unpacked": item.image_data.size.unpacked},
            "Containers": item.image_data.containers,
        }
    if item.attestation_data is not None:
        document["AttestationData"] = {"For": item.attestation_data.for_}
    return document


def inspect(image: ImageInspect, version: Version) -> dict[str, Any]:
    """``GET /images/{name}/json``."""
    old = version < (1, 52)
    document: dict[str, Any] = {"Id": image.id, "RepoTags": image.repo_tags, "RepoDigests": image.repo_digests}
    if old:
        document |= {"Parent": image.parent, "DockerVersion": ""}
    _put(document, "Comment", image.comment, old)
    if image.created or old:
        document["Created"] = rfc3339(image.created)
    if version < (1, 45):
        document |= {"Container": "", "ContainerConfig": config(RunConfig(), (1, 45))}
    _put(document, "Author", image.author, old)
    document["Config"] = None if image.config is None else config(image.config, version)
    document["Architecture"] = image.architecture
    _put(document, "Variant", image.variant, False)
    document["Os"] = image.os
    _put(document, "OsVersion", image.os_version, False)
    document["Size"] = image.size
    if version < (1, 44):
        document["VirtualSize"] = image.size
    if old:
        document["GraphDriver"] = {"Data": None, "Name": "overlayfs"}
    document["RootFS"] = {"Type": image.root_fs.type}
    if image.root_fs.layers:
        document["RootFS"]["Layers"] = image.root_fs.layers
    document["Metadata"] = {"LastTagTime": rfc3339(image.metadata.last_tag_time)}
    if version >= (1, 48):
        document["Descriptor"] = msgspec.to_builtins(image.descriptor)
    if image.manifests is not None:
        document["Manifests"] = [manifest(item) for item in image.manifests]
    return document


def _put(document: dict[str, Any], key: str, value: str, always: bool) -> None:
    if value or always:
        document[key] = value


def config(run: RunConfig, version: Version) -> dict[str, Any]:
    """``Config`` of an image: only what is set from 1.52, with container keys at zero below 1.50."""
    found: dict[str, Any] = msgspec.to_builtins(run)
    if version < (1, 50):
        return {**_CONTAINER_KEYS, **_ALWAYS, **found}
    return {**_ALWAYS, **found} if version < (1, 52) else found


def history(item: HistoryItem) -> dict[str, Any]:
    return {
        "Comment": item.comment,
        "Created": item.created // 1_000_000_000,
        "CreatedBy": item.created_by,
        "Id": item.id,
        "Size": item.size,
        "Tags": item.tags,
    }


def deleted(item: DeletedItem) -> dict[str, str]:
    return {"Untagged": item.untagged} if item.untagged else {"Deleted": item.deleted}


def progress(item: Progress) -> dict[str, Any]:
    """One record of a streamed answer."""
    document: dict[str, Any] = {}
    if item.stream:
        document["stream"] = item.stream
    if item.status:
        document["status"] = item.status
        if (item.id or item.current) and not item.headline:
            document["progressDetail"] = progressbar.detail(item.current, item.total)
            if item.current or item.total:
                document["progress"] = progressbar.text(item.current, item.total)
    if item.id:
        document["id"] = item.id
    if item.aux_id:
        document["aux"] = {"ID": item.aux_id}
    if item.aux:
        document["progressDetail"] = {}
        document["aux"] = item.aux
    return document


def attestation(item: AttestationStatement) -> dict[str, Any]:
    """One entry of ``GET /images/{name}/attestations``."""
    shown: dict[str, Any] = {
        "Descriptor": msgspec.to_builtins(item.descriptor),
        "PredicateType": item.predicate_type,
    }
    if item.statement is not None:
        shown["Statement"] = item.statement
    return shown
