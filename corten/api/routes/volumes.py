"""Volumes."""

from typing import Any

from corten import errors
from corten.api import filters
from corten.api.call import Call
from corten.api.decode import decode
from corten.api.response import Response, json_response
from corten.api.routes.unsupported import no_swarm
from corten.api.routing import Route
from corten.api.times import rfc3339
from corten.model.base import Value
from corten.model.volume import Volume


class Create(Value, frozen=True):
    """Body of POST /volumes/create."""

    name: str = ""
    driver: str = ""
    driver_opts: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    cluster_volume_spec: dict[str, Any] | None = None


def volume_document(volume: Volume) -> dict[str, Any]:
    """``Labels`` and ``Options`` are null when never given."""
    document: dict[str, Any] = {
        "CreatedAt": _seconds(volume.created),
        "Driver": volume.driver,
        "Labels": volume.labels,
        "Mountpoint": volume.mountpoint,
        "Name": volume.name,
        "Options": volume.options,
        "Scope": volume.scope,
    }
    if volume.usage is not None:
        document["UsageData"] = {"RefCount": volume.usage.ref_count, "Size": volume.usage.size}
    return document


def _seconds(nanoseconds: int) -> str:
    """RFC 3339 in whole seconds."""
    return rfc3339(nanoseconds - nanoseconds % 1_000_000_000)


async def list_volumes(call: Call) -> Response:
    found = await call.backend.volumes.list(filters.parse(call.text("filters")))
    return json_response({"Volumes": [volume_document(volume) for volume in found], "Warnings": None})


async def inspect(call: Call) -> Response:
    return json_response(volume_document(await call.backend.volumes.get(call.params["name"])))


async def create(call: Call) -> Response:
    request = decode(Create, await call.json() or {}, "VolumeCreateRequest")
    if request.cluster_volume_spec is not None:
        return await no_swarm(call)
    volume = await call.backend.volumes.create(request.name, request.driver, request.driver_opts, request.labels)
    return json_response(volume_document(volume), 201)


async def remove(call: Call) -> Response:
    await call.backend.volumes.remove(call.params["name"], call.flag("force"))
    return Response(204)


async def prune(call: Call) -> Response:
    wanted = filters.parse(call.text("filters"), ("all", "label", "label!"))
    if call.version < (1, 42):
        if "all" in wanted:
            raise errors.InvalidArgument("invalid filter 'all'")
        wanted["all"] = ["true"]
    deleted, reclaimed = await call.backend.volumes.prune(wanted)
    return json_response({"VolumesDeleted": list(deleted) or None, "SpaceReclaimed": reclaimed})


ROUTES = [
    Route("GET", "/volumes", list_volumes),
    Route("POST", "/volumes/create", create),
    Route("POST", "/volumes/prune", prune),
    Route("GET", "/volumes/{name}", inspect),
    Route("PUT", "/volumes/{name}", no_swarm),
    Route("DELETE", "/volumes/{name}", remove),
]
