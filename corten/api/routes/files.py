"""A container's files as archives: cp, export."""

import base64

from corten import errors
from corten.api.call import Call
from corten.api.response import Response, to_json
from corten.api.routing import Route
from corten.api.times import moment
from corten.model.archive import PathStat

TAR_TYPE = "application/x-tar"


def _stat_header(found: PathStat) -> dict[str, str]:
    document = {
        "name": found.name,
        "size": found.size,
        "mode": found.mode,
        "mtime": moment(found.mtime),
        "linkTarget": found.link_target,
    }
    return {"X-Docker-Container-Path-Stat": base64.b64encode(to_json(document).rstrip()).decode()}


def _path(call: Call) -> str:
    path = call.text("path")
    if not path:
        raise errors.InvalidArgument("missing parameter in query: path")
    return path


async def stat(call: Call) -> Response:
    return Response(200, headers=_stat_header(await call.backend.archives.stat(call.params["id"], _path(call))))


async def get(call: Call) -> None:
    found, download = await call.backend.archives.get(call.params["id"], _path(call))
    try:
        stream = call.stream(TAR_TYPE, _stat_header(found))
        async for data in download:
            stream.write(data)
            await stream.drain()
    finally:
        await download.aclose()


async def put(call: Call) -> Response:
    await call.backend.archives.put(
        call.params["id"],
        _path(call),
        call.chunks(),
        no_overwrite_dir_non_dir=call.flag("noOverwriteDirNonDir"),
        copy_uid_gid=call.flag("copyUIDGID"),
    )
    return Response(200)


async def export(call: Call) -> None:
    download = await call.backend.exports.export(call.params["id"])
    try:
        stream = call.stream("application/octet-stream")
        async for data in download:
            stream.write(data)
            await stream.drain()
    finally:
        await download.aclose()


ROUTES = [
    Route("GET", "/containers/{id}/archive", get),
    Route("HEAD", "/containers/{id}/archive", stat),
    Route("PUT", "/containers/{id}/archive", put),
    Route("GET", "/containers/{id}/export", export),
]
