"""Containers: life, list, inspect."""

import time
from collections.abc import Iterable

from corten import errors
from corten.api import createrequest, filters, listfilter
from corten.api.backend import ContainerView
from corten.api.call import Call
from corten.api.decode import decode, sent_fields
from corten.api.inspect import inspect
from corten.api.response import JSON_TYPE, Response, json_response, to_json
from corten.api.routing import Route
from corten.api.summary import Summaries
from corten.model.container import HostConfig
from corten.model.record import Record
from corten.oci.platform import Platform

CONDITIONS = ("not-running", "next-exit", "removed")
MAX_UINT32 = (1 << 32) - 1

_summaries = Summaries()


async def list_containers(call: Call) -> Response:
    wanted = filters.parse(call.text("filters"), listfilter.KEYS)
    containers = call.backend.containers
    limit = call.number("limit", 0) or 0
    everything = containers.list()
    found = listfilter.select(
        everything,
        _with_legacy(call, wanted),
        everything=call.flag("all"),
        limit=limit,
        lookup=containers.get,
        resolve_image=lambda ref: _image_id(call, ref),
    )
    sizes = await _sizes(call, found) if call.flag("size") else {}
    body = render_rows(call, found, sizes)
    if len(everything) != len(found):
        known = {container.record.id for container in everything}
        _summaries.trim(len(everything), known.__contains__)
    return Response(200, body, JSON_TYPE)


def render_rows(call: Call, found: Iterable[ContainerView], sizes: dict[str, tuple[int, int]]) -> bytes:
    """The JSON list of the containers *found*, with *sizes* (writable, whole) by id where they are known."""
    names: dict[tuple[str, str], str] = {}

    def image_name(record: Record) -> str:
        key = (record.config.image, record.image)
        name = names.get(key)
        if name is None:
            name = names[key] = record.config.image if _image_id(call, key[0]) == record.image else record.image
        return name

    return _summaries.render(found, call.version, time.time_ns(), image_name, sizes)


def _with_legacy(call: Call, wanted: filters.Filters) -> filters.Filters:
    """``before`` and ``since`` were parameters of their own once."""
    extra = {key: [call.text(key)] for key in ("before", "since") if call.text(key) and key not in wanted}
    return {**wanted, **extra} if extra else wanted


def _image_id(call: Call, ref: str) -> str | None:
    try:
        return call.backend.images.resolve(ref).id
    except errors.CortenError:
        return None


async def _sizes(call: Call, containers: list[ContainerView]) -> dict[str, tuple[int, int]]:
    return {item.record.id: await call.backend.views.sizes(item.record.id) for item in containers}


async def create(call: Call) -> Response:
    document = await call.json()
    if document is None:
        raise errors.InvalidArgument("invalid JSON: got EOF while reading request body")
    request = createrequest.CreateRequest(document, call.version)
    platform = call.text("platform")
    container_id, warnings = await call.backend.containers.create(
        call.text("name").removeprefix("/") or None,
        request.config,
        request.host,
        request.endpoints,
        Platform.parse(platform) if platform else None,
    )
    return json_response({"Id": container_id, "Warnings": [*request.warnings, *warnings]}, 201)


async def inspect_container(call: Call) -> Response:
    containers = call.backend.containers
    container = containers.get(call.params["id"])
    sizes = await call.backend.views.sizes(container.record.id) if call.flag("size") else None
    return json_response(inspect(container, call.backend.views.places(container.record.id), call.version, sizes))


async def start(call: Call) -> Response:
    if len(await call.body(1 << 16)) > 7:
        raise errors.InvalidArgument(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24"
        )
    if call.text("checkpoint"):
        raise errors.NotSupported("checkpoints are not supported: restoring needs CRIU")
    await call.backend.containers.start(call.params["id"])
    return Response(204)


async def stop(call: Call) -> Response:
    await call.backend.containers.stop(call.params["id"], call.number("t"), _signal(call))
    return Response(204)


async def restart(call: Call) -> Response:
    await call.backend.containers.restart(call.params["id"], call.number("t"), _signal(call))
    return Response(204)


def _signal(call: Call) -> str | None:
    return (call.text("signal") or None) if call.version >= (1, 42) else None


async def kill(call: Call) -> Response:
    await call.backend.containers.kill(call.params["id"], call.text("signal") or None)
    return Response(204)


async def pause(call: Call) -> Response:
    await call.backend.containers.pause(call.params["id"])
    return Response(204)


async def unpause(call: Call) -> Response:
    await call.backend.containers.unpause(call.params["id"])
    return Response(204)


async def rename(call: Call) -> Response:
    await call.backend.containers.rename(call.params["id"], call.text("name"))
    return Response(204)


async def update(call: Call) -> Response:
    document = await call.json() or {}
    host = decode(HostConfig, document, "UpdateConfig")
    warnings = await call.backend.containers.update(call.params["id"], host, sent_fields(HostConfig, document))
    return json_response({"Warnings": list(warnings) or None})


async def remove(call: Call) -> Response:
    await call.backend.containers.remove(call.params["id"], call.flag("force"), call.flag("v"), call.flag("link"))
    return Response(204)


async def prune(call: Call) -> Response:
    wanted = filters.parse(call.text("filters"), ("label", "label!", "until"))
    deleted, reclaimed = await call.backend.containers.prune(wanted)
    return json_response({"ContainersDeleted": list(deleted) or None, "SpaceReclaimed": reclaimed})


async def wait(call: Call) -> None:
    """The head goes out at once, so that a client can be sure to wait before it starts the container."""
    condition = call.text("condition") or "not-running"
    if condition not in CONDITIONS:
        raise errors.InvalidArgument(f"invalid condition: {condition!r}".replace("'", '"'))
    waiter = call.backend.containers.wait(call.params["id"], condition)
    stream = call.stream(JSON_TYPE)
    code, error = await waiter
    document: dict[str, object] = {"StatusCode": code}
    if error:
        document["Error"] = {"Message": error}
    stream.write(to_json(document))


async def resize(call: Call) -> Response:
    height, width = window_size(call)
    await call.backend.attachments.resize(call.params["id"], height, width)
    return Response(200)


def window_size(call: Call) -> tuple[int, int]:
    """Rows and columns out of ``h`` and ``w``. Raises InvalidArgument when missing or no unsigned 32-bit number."""
    sizes = []
    for name in ("h", "w"):
        text = call.text(name)
        if not text.isascii() or not text.isdigit() or int(text[:12]) > MAX_UINT32:
            raise errors.InvalidArgument(f'invalid resize {"height" if name == "h" else "width"} "{text}"')
        sizes.append(int(text))
    return sizes[0], sizes[1]


async def top(call: Call) -> Response:
    titles, processes = await call.backend.views.top(call.params["id"], call.text("ps_args") or "-ef")
    return json_response({"Titles": titles, "Processes": processes})


async def changes(call: Call) -> Response:
    found = await call.backend.views.changes(call.params["id"])
    return json_response([{"Path": path, "Kind": kind} for path, kind in found])


ROUTES = [
    Route("GET", "/containers/json", list_containers),
    Route("POST", "/containers/create", create),
    Route("POST", "/containers/prune", prune),
    Route("GET", "/containers/{id}/json", inspect_container),
    Route("POST", "/containers/{id}/start", start),
    Route("POST", "/containers/{id}/wait", wait),
    Route("POST", "/containers/{id}/resize", resize),
    Route("POST", "/containers/{id}/stop", stop),
    Route("POST", "/containers/{id}/kill", kill),
    Route("POST", "/containers/{id}/restart", restart),
    Route("POST", "/containers/{id}/pause", pause),
    Route("POST", "/containers/{id}/unpause", unpause),
    Route("POST", "/containers/{id}/rename", rename),
    Route("POST", "/containers/{id}/update", update),
    Route("GET", "/containers/{id}/top", top),
    Route("GET", "/containers/{id}/changes", changes),
    Route("DELETE", "/containers/{id}", remove),
]
