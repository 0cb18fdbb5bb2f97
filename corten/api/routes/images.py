"""Images: pulling, and what needs no registry."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from corten import errors
from corten.api import filters, imageshape, jsonstream
from corten.api.call import Call
from corten.api.response import Response, json_response
from corten.api.routing import Route
from corten.distribution import credential
from corten.model.image import ImageQuery, Progress
from corten.oci.platform import Platform
from corten.oci.reference import Reference

LIST_FILTERS = ("before", "dangling", "label", "label!", "reference", "since", "until")
PRUNE_FILTERS = ("dangling", "label", "label!", "until")
TAR_TYPE = "application/x-tar"


async def list_images(call: Call) -> Response:
    query = ImageQuery(
        all=call.flag("all"),
        filters=filters.parse(call.text("filters"), LIST_FILTERS),
        shared_size=call.flag("shared-size"),
        manifests=call.flag("manifests") and call.version >= (1, 47),
        containers=call.version >= (1, 51),
    )
    images = await call.backend.images.list(query)
    return json_response([imageshape.summary(image, call.version) for image in images])


async def inspect(call: Call) -> Response:
    manifests = call.flag("manifests") and call.version >= (1, 48)
    platform = _platform(call, "platform") if call.version >= (1, 49) else None
    if manifests and platform is not None:
        raise errors.InvalidArgument("conflicting options: manifests and platform options cannot both be set")
    image = await call.backend.images.inspect(call.params["name"], manifests, platform)
    return json_response(imageshape.inspect(image, call.version))


async def history(call: Call) -> Response:
    items = await call.backend.images.history(call.params["name"], _platform(call, "platform"))
    return json_response([imageshape.history(item) for item in items])


async def attestations(call: Call) -> Response:
    platforms = _platforms(call, "platform")
    if len(platforms) > 1:
        raise errors.InvalidArgument("only one platform can be given")
    found = await call.backend.images.attestations(
        call.params["name"], platforms[0] if platforms else None, call.texts("type"), call.flag("statement")
    )
    return json_response([imageshape.attestation(item) for item in found])


async def tag(call: Call) -> Response:
    await call.backend.images.tag(call.params["name"], call.text("repo"), call.text("tag"))
    return Response(201)


async def remove(call: Call) -> Response:
    name = call.params["name"]
    if not name.strip():
        raise errors.InvalidArgument("image name cannot be blank")
    items = await call.backend.images.remove(name, call.flag("force"), not call.flag("noprune"), _platforms(call))
    return json_response([imageshape.deleted(item) for item in items])


async def prune(call: Call) -> Response:
    pruned = await call.backend.images.prune(filters.parse(call.text("filters"), PRUNE_FILTERS))
    deleted = pruned.images_deleted
    return json_response(
        {
            "ImagesDeleted": None if deleted is None else [imageshape.deleted(item) for item in deleted],
            "SpaceReclaimed": pruned.space_reclaimed,
        }
    )


async def create(call: Call) -> None:
    """Pull (``fromImage``), or import a file system (``fromSrc=-``)."""
    if call.text("fromImage"):
        await _pull(call)
        return
    source = call.text("fromSrc")
    platform = call.text("platform")
    records = call.backend.images.import_(
        call.chunks(),
        repo=call.text("repo"),
        tag=call.text("tag"),
        message=call.text("message"),
        changes=call.texts("changes"),
        platform=Platform.parse(platform) if platform else None,
        url="" if source == "-" else source,
    )
    await jsonstream.send(call, _progress(records))


async def _pull(call: Call) -> None:
    """``tag`` may be a digest; without one every tag of the repository is pulled."""
    reference = Reference.parse(call.text("fromImage").removesuffix(":"))
    tag = call.text("tag")
    if tag:
        reference = reference.with_digest(tag) if ":" in tag else reference.with_tag(tag)
    if reference.familiar_name() == "scratch":
        raise errors.Forbidden("'scratch' is a reserved name")
    try:
        who = credential.decode_header(call.header(b"x-registry-auth"))
    except errors.InvalidArgument:
        who = credential.ANONYMOUS  # a pull needs none, and clients send all kinds of things
    records = call.backend.images.pull(reference, _platform(call, "platform"), who)
    await jsonstream.send(call, _progress(_faults(records)), coded=False)


async def _faults(records: AsyncIterator[Progress]) -> AsyncIterator[Progress]:
    """As dockerd: what a registry refuses or fails at is a 500 here, since a 401 is about the daemon's own door, and
    makes the stock client ask for a password."""
    try:
        async for record in records:
            yield record
    except (errors.Unauthenticated, errors.Unavailable) as error:
        raise errors.System(str(error)) from error


async def load(call: Call) -> None:
    records = call.backend.images.load(call.chunks(), _platforms(call, "platform"), call.flag("quiet", True))
    await jsonstream.send(call, _progress(records), at_once=True)


async def _progress(records: AsyncIterator[Progress]) -> AsyncIterator[dict[str, Any]]:
    async for item in records:
        yield imageshape.progress(item)


async def save_one(call: Call) -> None:
    await _save(call, [call.params["name"]])


async def save(call: Call) -> None:
    names = [name for text in call.texts("names") for name in text.split(",") if name]
    if not names:
        raise errors.InvalidArgument("no image names given")
    await _save(call, names)


async def _save(call: Call, names: list[str]) -> None:
    chunks = await call.backend.images.save(names, _platforms(call, "platform"))
    stream = call.stream(TAR_TYPE)
    async for chunk in chunks:
        stream.write(chunk)
        await stream.drain()


def _platforms(call: Call, name: str = "platforms") -> list[Platform]:
    return [parse_platform(text) for text in call.texts(name) if text]


def _platform(call: Call, name: str) -> Platform | None:
    text = call.text(name)
    return parse_platform(text) if text else None


def parse_platform(text: str) -> Platform:
    """An OCI platform as JSON, or as "os/arch[/variant]"."""
    if not text.startswith("{"):
        return Platform.parse(text)
    try:
        platform = msgspec.json.decode(text, type=Platform)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise errors.InvalidArgument(f"failed to parse platform: {error}") from error
    if not platform.os or not platform.architecture:
        raise errors.InvalidArgument("failed to parse platform: both OS and Architecture must be set")
    return platform


ROUTES = [
    Route("GET", "/images/json", list_images),
    Route("GET", "/images/get", save),
    Route("POST", "/images/create", create),
    Route("POST", "/images/load", load),
    Route("POST", "/images/prune", prune),
    Route("GET", "/images/{name}/json", inspect),
    Route("GET", "/images/{name}/history", history),
    Route("GET", "/images/{name}/attestations", attestations),
    Route("GET", "/images/{name}/get", save_one),
    Route("POST", "/images/{name}/tag", tag),
    Route("DELETE", "/images/{name}", remove),
]
