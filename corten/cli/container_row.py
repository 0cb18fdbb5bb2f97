"""A container as a row of ``corten ps``."""

from __future__ import annotations

import json

from corten.cli import listing, units
from corten.cli.listing import Columns
from corten.cli.ports import published

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DEFAULT = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
_HEADINGS = {
    "ID": "CONTAINER ID",
    "Names": "NAMES",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "Ports": "PORTS",
    "State": "STATE",
    "Status": "STATUS",
    "Size": "SIZE",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Networks": "NETWORKS",
    "Platform": "PLATFORM",
}


_RAW = {
    "container_id": "ID",
    "image": "Image",
    "command": "Command",
    "created_at": "CreatedAt",
    "state": "State",
    "status": "Status",
    "names": "Names",
    "labels": "Labels",
    "ports": "Ports",
}


def columns(size: bool = False) -> Columns:
    """The columns of ``ps``, with or without the size."""
    if size:
        return Columns("ContainerContext", (*_DEFAULT, "Size"), _HEADINGS, {**_RAW, "size": "Size"})
    return Columns("ContainerContext", _DEFAULT, _HEADINGS, _RAW)


def row(container: dict[str, Any], *, full: bool, now: float) -> dict[str, Any]:
    """The fields of one entry of GET /containers/json; ``full`` cuts nothing, ``now`` is in seconds."""
    identifier = container["Id"]
    labels = container.get("Labels") or {}
    mounts = container.get("Mounts") or []
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    return {
        "ID": identifier if full else units.short_id(identifier),
        "Names": _names(container.get("Names") or [], full),
        "Image": _image(container, full),
        "Command": quote(container.get("Command") or "", full),
        "CreatedAt": units.local_time(container["Created"]),
        "RunningFor": units.ago(container["Created"], now),
        "Ports": published(container.get("Ports") or []),
        "State": container.get("State", ""),
        "Status": container.get("Status", ""),
        "Size": _size(container),
        "Labels": listing.labels(labels),
        "Label": lambda name: labels.get(name, ""),
        "Mounts": ",".join(_mount(mount, full) for mount in mounts),
        "LocalVolumes": str(sum(1 for mount in mounts if mount.get("Driver") == "local")),
        "Networks": ",".join(sorted(networks)),
        "Platform": (container.get("ImageManifestDescriptor") or {}).get("platform"),
    }


def _names(names: list[str], full: bool) -> str:
    plain = [name.removeprefix("/") for name in names]
    return ",".join(plain if full else [name for name in plain if "/" not in name])


def _image(container: dict[str, Any], full: bool) -> str:
    image: str = container.get("Image") or ""
    if not image:
        return "<no image>"
    if full:
        return image
    short = units.short_id(container.get("ImageID") or "")
    if short and short == units.short_id(image):
        return short
    name, digest, _ = image.partition("@")
    return name if digest and ":" in name.rpartition("/")[2] else image


def quote(command: str, full: bool = False) -> str:
    """A command in double quotes, cut to 20 characters unless ``full``."""
    return json.dumps(command if full else units.ellipsis(command, 20), ensure_ascii=False)


def _size(container: dict[str, Any]) -> str:
    own = units.decimal_size(container.get("SizeRw") or 0, 3)
    whole = container.get("SizeRootFs") or 0
    return f"{own} (virtual {units.decimal_size(whole, 3)})" if whole > 0 else own


def _mount(mount: dict[str, Any], full: bool) -> str:
    name = mount.get("Name") or mount.get("Source") or ""
    return name if full else units.ellipsis(name, 15)
