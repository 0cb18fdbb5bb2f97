"""``POST /images/{name}/push``."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from corten import errors
from corten.api import imageshape, jsonstream
from corten.api.call import Call
from corten.api.routes.images import parse_platform
from corten.api.routing import Route
from corten.distribution import credential
from corten.distribution.credential import Credential
from corten.model.image import Progress
from corten.oci.reference import Reference

MAX_CREDENTIAL = 64 << 10


async def push(call: Call) -> None:
    reference = Reference.parse(call.params["name"])
    tag = call.text("tag")
    if tag:
        reference = reference.with_tag(tag)
    platform = call.text("platform") if call.version >= (1, 46) else ""
    records = call.backend.images.push(
        reference, parse_platform(platform) if platform else None, await _credential(call)
    )
    await jsonstream.send(call, _shown(records), coded=False)


async def _credential(call: Call) -> Credential:
    """From the header, or as the oldest clients send it, in the body. One of the two must be there.

    A header that cannot be understood counts as no credentials, as with dockerd: clients exist that send such.
    """
    header = call.header(b"x-registry-auth")
    if header:
        try:
            return credential.decode_header(header)
        except errors.InvalidArgument:
            return credential.ANONYMOUS
    body = await call.body(MAX_CREDENTIAL)
    try:
        return credential.from_document(msgspec.json.decode(body), "credential")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = "EOF" if not body else str(error)
        raise errors.InvalidArgument(f"bad parameters and missing X-Registry-Auth: {reason}") from error


async def _shown(records: AsyncIterator[Progress]) -> AsyncIterator[dict[str, Any]]:
    async for item in records:
        yield imageshape.progress(item)


ROUTES = [Route("POST", "/images/{name}/push", push)]
