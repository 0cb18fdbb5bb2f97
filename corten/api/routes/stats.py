"""Statistics of a container: one sample, or one every second."""

import contextlib
from typing import Any

import msgspec

from corten.api.call import Call
from corten.api.response import JSON_TYPE, Response, json_response, to_json
from corten.api.routing import Route
from corten.api.times import rfc3339
from corten.api.versions import Version
from corten.model.stats import ContainerStats


def stats_document(stats: ContainerStats, version: Version) -> dict[str, Any]:
    """The model has the API's names already; times and the name are written as Docker does."""
    document: dict[str, Any] = msgspec.to_builtins(stats)
    document["name"] = f"/{stats.name}"
    document["read"] = rfc3339(stats.read)
    document["preread"] = rfc3339(stats.preread)
    if version >= (1, 52):
        document["os_type"] = "linux"
    return document


async def stats(call: Call) -> Response | None:
    container = call.backend.containers.get(call.params["id"])
    if not call.flag("stream", True):
        sample = await call.backend.stats.once(container, one_shot=call.flag("one-shot"))
        return json_response(stats_document(sample, call.version))
    stream = call.stream(JSON_TYPE)
    async with contextlib.aclosing(call.backend.stats.stream(container)) as samples:
        async for sample in samples:
            stream.write(to_json(stats_document(sample, call.version)))
            await stream.drain()
    return None


ROUTES = [Route("GET", "/containers/{id}/stats", stats)]
