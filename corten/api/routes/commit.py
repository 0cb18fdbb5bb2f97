"""A container's changes as a new image."""

from corten import errors
from corten.api.call import Call
from corten.api.decode import decode
from corten.api.response import Response, json_response
from corten.api.routing import Route
from corten.model.container import ContainerConfig


async def commit(call: Call) -> Response:
    document = await call.json()
    container = call.text("container")
    if not container:
        raise errors.InvalidArgument("missing parameter in query: container")
    image_id = await call.backend.commits.commit(
        container,
        decode(ContainerConfig, document, "Config") if document else None,
        repo=call.text("repo"),
        tag=call.text("tag"),
        comment=call.text("comment"),
        author=call.text("author"),
        pause=call.flag("pause", True),
        changes=[line for text in call.texts("changes") for line in text.splitlines() if line.strip()],
    )
    return json_response({"Id": image_id}, 201)


ROUTES = [Route("POST", "/commit", commit)]
