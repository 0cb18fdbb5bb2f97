"""The daemon itself: ping, version, info, events."""

from typing import Any

import msgspec

from corten.api import filters, systemshape, times
from corten.api.call import Call
from corten.api.response import JSON_TYPE, Response, json_response, to_json
from corten.api.routes.containers import render_rows
from corten.api.routing import Route
from corten.api.versions import Version
from corten.engine.events import Event

BUILDER_VERSION = "1"
"""2 would tell the CLI to build through BuildKit's gRPC, which is not there yet."""

_PING = Response(
    200,
    b"OK",
    "text/plain; charset=utf-8",
    {
        "Builder-Version": BUILDER_VERSION,
        "Cache-Control": "no-cache, no-store, must-revalidate",
        "Pragma": "no-cache",
        "Swarm": "inactive",
    },
)
_PING_HEAD = Response(200, b"", _PING.content_type, _PING.headers)


async def ping(call: Call) -> Response:
    """A command line's first words: what it really wants follows within a millisecond or two."""
    call.backend.greet()
    return _PING_HEAD if call.method == "HEAD" else _PING


async def version(call: Call) -> Response:
    return json_response(systemshape.version(await call.backend.system.version()))


async def info(call: Call) -> Response:
    return json_response(systemshape.info(await call.backend.system.info(), call.version))


async def disk_usage(call: Call) -> Response:
    """What takes space; ``type`` chooses kinds, ``verbose`` (from 1.52) the items instead of the old lists."""
    usage = await call.backend.system.disk_usage(call.texts("type") or systemshape.DISK_USAGE_TYPES)
    sizes = {each.id: (each.own, each.whole) for each in usage.containers or ()}
    found = [each for each in call.backend.containers.list() if each.record.id in sizes]
    rows = msgspec.json.decode(render_rows(call, found, sizes))
    return json_response(systemshape.disk_usage(usage, rows, call.version, call.flag("verbose")))


async def events(call: Call) -> None:
    """The head goes out at once; then one event per line as it happens."""
    wanted = filters.parse(call.text("filters"))
    since = times.parse(call.text("since"), "since")
    until = times.parse(call.text("until"), "until")
    async with call.backend.events.subscribe(wanted, since, until) as subscription:
        sequence = "application/json-seq" in call.header(b"accept")
        content_type = "application/json-seq" if sequence else _lines_type(call.version)
        stream = call.stream(content_type)
        async for event in subscription:
            line = to_json(event_document(event, call.version))
            stream.write(b"\x1e" + line if sequence else line)
            await stream.drain()


def _lines_type(version: Version) -> str:
    return "application/jsonl" if version >= (1, 52) else JSON_TYPE


def event_document(event: Event, version: Version) -> dict[str, Any]:
    """One event; below 1.52 with the fields of the very first API (``status``, ``id``, ``from``)."""
    document: dict[str, Any] = {}
    if version < (1, 52) and event.type in ("container", "image"):
        document = {"status": event.action, "id": event.actor_id}
        if event.type == "container":
            document["from"] = event.attributes.get("image", "")
    document |= {
        "Type": event.type,
        "Action": event.action,
        "Actor": {"ID": event.actor_id, "Attributes": event.attributes},
        "scope": event.scope,
        "time": event.time // 1_000_000_000,
        "timeNano": event.time,
    }
    return document


ROUTES = [
    Route("GET", "/_ping", ping),
    Route("HEAD", "/_ping", ping),
    Route("GET", "/version", version),
    Route("GET", "/info", info),
    Route("GET", "/events", events),
    Route("GET", "/system/df", disk_usage),
]
