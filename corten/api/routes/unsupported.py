"""What is not built yet, or does not exist here: each answers with a sentence that says so."""

from corten import errors
from corten.api.call import Call
from corten.api.response import Response, json_response
from corten.api.routing import Handler, Route

NO_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
    "and try again."
)


def _not_built(text: str) -> Handler:
    async def handler(call: Call) -> Response:
        raise errors.NotSupported(text)

    return handler


async def no_swarm(call: Call) -> Response:
    raise errors.Unavailable(NO_SWARM)


async def no_member(call: Call) -> Response:
    raise errors.Unavailable("This node is not part of a swarm")


async def no_plugins(call: Call) -> Response:
    return json_response([])


async def no_plugin(call: Call) -> Response:
    raise errors.NotFound(f'plugin "{call.params["name"]}" not found')


async def nothing_cached(call: Call) -> Response:
    """There is no builder yet, so its cache is empty; ``docker system prune`` asks for it."""
    return json_response({"CachesDeleted": None, "SpaceReclaimed": 0})


_checkpoints = _not_built("checkpoints are not supported: they need CRIU, which Corten does not drive")
_build = _not_built("building images is not built yet; bring images in with load or import")
_swarm = _not_built("swarm mode is not supported")
_plugins = _not_built("managed plugins are not supported")

ROUTES = [
    Route("GET", "/containers/{id}/checkpoints", _checkpoints),
    Route("POST", "/containers/{id}/checkpoints", _checkpoints),
    Route("POST", "/build", _build),
    Route("POST", "/build/cancel", _build),
    Route("POST", "/build/prune", nothing_cached),
    Route("POST", "/session", _build),
    Route("POST", "/grpc", _build),
    Route("POST", "/swarm/init", _swarm),
    Route("POST", "/swarm/join", _swarm),
    Route("POST", "/swarm/leave", no_member),
    *(
        Route(method, f"/{group}{rest}", no_swarm)
        for group in ("swarm", "nodes", "services", "tasks", "secrets", "configs")
        for method in ("GET", "POST", "DELETE")
        for rest in ("", "/{rest}")
    ),
    Route("GET", "/plugins", no_plugins),
    Route("GET", "/plugins/{name}/json", no_plugin),
    Route("DELETE", "/plugins/{name}", no_plugin),
    Route("GET", "/plugins/privileges", _plugins),
    Route("POST", "/plugins/{rest}", _plugins),
]
