"""Networks."""

from typing import Any

from corten.api import filters
from corten.api.call import Call
from corten.api.decode import decode
from corten.api.networkshape import inspect_document, network_document, request_of
from corten.api.response import Response, json_response
from corten.api.routing import Route
from corten.model.base import Value
from corten.model.container import EndpointSettings


class Disconnect(Value, frozen=True):
    """Body of POST /networks/{id}/disconnect."""

    container: str = ""
    force: bool = False


class Connect(Value, frozen=True):
    """Body of POST /networks/{id}/connect."""

    container: str = ""
    endpoint_config: EndpointSettings | None = None


async def list_networks(call: Call) -> Response:
    found = call.backend.networks.list(filters.parse(call.text("filters")))
    documents = [network_document(network) for network in found]
    if call.version < (1, 56):
        for document in documents:
            document["Containers"] = {}
    return json_response(documents)


async def inspect(call: Call) -> Response:
    networks = call.backend.networks
    network = networks.get(call.params["id"])
    return json_response(inspect_document(network, networks.members(network)))


async def create(call: Call) -> Response:
    document: dict[str, Any] = await call.json() or {}
    network_id, warning = await call.backend.networks.create(request_of(document))
    return json_response({"Id": network_id, "Warning": warning}, 201)


async def remove(call: Call) -> Response:
    await call.backend.networks.remove(call.params["id"])
    return Response(204)


async def connect(call: Call) -> Response:
    request = decode(Connect, await call.json() or {}, "ConnectRequest")
    settings = request.endpoint_config or EndpointSettings()
    await call.backend.networks.connect(call.params["id"], request.container, settings)
    return Response(200)


async def disconnect(call: Call) -> Response:
    request = decode(Disconnect, await call.json() or {}, "DisconnectRequest")
    await call.backend.networks.disconnect(call.params["id"], request.container, request.force)
    return Response(200)


async def prune(call: Call) -> Response:
    deleted = await call.backend.networks.prune(filters.parse(call.text("filters"), ("label", "label!", "until")))
    return json_response({"NetworksDeleted": list(deleted) or None})


ROUTES = [
    Route("GET", "/networks", list_networks),
    Route("GET", "/networks/", list_networks),
    Route("POST", "/networks/create", create),
    Route("POST", "/networks/prune", prune),
    Route("POST", "/networks/{id}/connect", connect),
    Route("POST", "/networks/{id}/disconnect", disconnect),
    Route("GET", "/networks/{id}", inspect),
    Route("DELETE", "/networks/{id}", remove),
]
