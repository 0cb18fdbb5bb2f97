"""An image as rows of ``corten images``: one for every name."""

from __future__ import annotations

from corten.cli import units
from corten.cli.listing import Columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HEADINGS = {
    "ID": "IMAGE ID",
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "Containers": "CONTAINERS",
    "VirtualSize": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
}


def columns(digests: bool = False) -> Columns:
    """The columns of ``images``, with or without the digest."""
    digest = ("Digest",) if digests else ()
    raw = {"repository": "Repository", "tag": "Tag", **({"digest": "Digest"} if digests else {}), "image_id": "ID"}
    raw |= {"created_at": "CreatedAt", "virtual_size": "Size"}
    return Columns("ImageContext", ("Repository", "Tag", *digest, "ID", "CreatedSince", "Size"), _HEADINGS, raw)


def rows(image: dict[str, Any], *, full: bool, digests: bool, now: float) -> list[dict[str, Any]]:
    """The rows of one entry of GET /images/json, one for every tag, or digest without a tag."""
    common = fields(image, full=full, now=now)
    return [
        {**common, "Repository": repository, "Tag": tag, "Digest": digest}
        for repository, tag, digest in _names(image, digests)
    ]


def fields(image: dict[str, Any], *, full: bool, now: float) -> dict[str, Any]:
    """What all rows of an image share."""
    size = image.get("Size") or 0
    shared = image.get("SharedSize", -1)
    containers = image.get("Containers", -1)
    return {
        "ID": image["Id"] if full else units.short_id(image["Id"]),
        "CreatedSince": units.ago(image["Created"], now) if image["Created"] > 0 else "N/A",
        "CreatedAt": units.local_time(image["Created"]),
        "Size": units.decimal_size(size, 3),
        "Containers": "N/A" if containers == -1 else str(containers),
        "VirtualSize": units.decimal_size(size),
        "SharedSize": "N/A" if shared == -1 else units.decimal_size(shared),
        "UniqueSize": "N/A" if shared == -1 else units.decimal_size(size - shared),
    }


def split(reference: str) -> tuple[str, str]:
    """A name and its tag: ``localhost:5000/app:1`` gives ``localhost:5000/app`` and ``1``."""
    name, colon, tag = reference.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (reference, "")


def _names(image: dict[str, Any], digests: bool) -> list[tuple[str, str, str]]:
    """(repository, tag, digest) for every row, ``<none>`` where there is none."""
    by_repository: dict[str, list[str]] = {}
    for reference in image.get("RepoDigests") or []:
        repository, _, digest = reference.partition("@")
        if repository != "<none>":
            by_repository.setdefault(repository, []).append(digest)
    tags = [split(tag) for tag in image.get("RepoTags") or [] if tag != "<none>:<none>"]
    result: list[tuple[str, str, str]] = []
    for repository, tag in tags:
        own = by_repository.get(repository, [])
        result.extend((repository, tag, digest) for digest in (own if digests and own else ["<none>"]))
    tagged = {repository for repository, _ in tags}
    for repository, found in by_repository.items():
        if repository not in tagged:
            result.extend((repository, "<none>", digest) for digest in (found if digests else ["<none>"]))
    return result or [("<none>", "<none>", "<none>")]
