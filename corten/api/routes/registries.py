"""What is asked of registries directly: login, search, and what stands behind a name."""

import logging
from typing import Any

from corten import errors
from corten.api import filters
from corten.api.call import Call
from corten.api.response import Response, json_response
from corten.api.routing import Route
from corten.distribution.credential import ANONYMOUS, Credential, decode_header, from_document
from corten.oci.platform import Platform

log = logging.getLogger("corten.api")

SEARCH_FILTERS = ("is-automated", "is-official", "stars")


def credential_of(call: Call) -> Credential:
    """The ``X-Registry-Auth`` header. As in Docker one that cannot be read counts as none."""
    try:
        return decode_header(call.header(b"x-registry-auth"))
    except errors.InvalidArgument as error:
        log.debug("%s %s: %s", call.method, call.path, error)
        return ANONYMOUS


async def login(call: Call) -> Response:
    document = await call.json()
    if document is None:
        raise errors.InvalidArgument("got EOF while reading request body")
    credential = from_document(document, "request")
    status, token = await call.backend.registries.login(credential)
    return json_response({"Status": status, "IdentityToken": token})


async def search(call: Call) -> Response:
    term = call.text("term")
    if not term.strip():
        raise errors.InvalidArgument("term is required")
    wanted = filters.parse(call.text("filters"), SEARCH_FILTERS)
    limit = call.number("limit", 0) or 0
    found = await call.backend.registries.search(term, limit, wanted, credential_of(call))
    return json_response(
        [
            {
                "star_count": each.star_count,
                "is_official": each.is_official,
                "name": each.name,
                "is_automated": each.is_automated,
                "description": each.description,
            }
            for each in found
        ]
    )


async def distribution(call: Call) -> Response:
    descriptor, platforms = await call.backend.registries.inspect(call.params["name"], credential_of(call))
    return json_response(
        {
            "Descriptor": {
                "mediaType": descriptor.media_type,
                "digest": descriptor.digest,
                "size": descriptor.size,
            },
            "Platforms": [_platform(each) for each in platforms],
        }
    )


def _platform(value: Platform) -> dict[str, Any]:
    shape: dict[str, Any] = {"architecture": value.architecture, "os": value.os}
    if value.os_version:
        shape["os.version"] = value.os_version
    if value.os_features:
        shape["os.features"] = value.os_features
    if value.variant:
        shape["variant"] = value.variant
    return shape


ROUTES = [
    Route("POST", "/auth", login),
    Route("GET", "/images/search", search),
    Route("GET", "/distribution/{name}/json", distribution),
]
