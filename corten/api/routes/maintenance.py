"""What Docker's API has no door for: looking after the store."""

from contextlib import aclosing
from typing import Any

from corten import errors
from corten.api import findingshape, jsonstream
from corten.api.call import Call
from corten.api.response import Response, json_response
from corten.api.routing import Route
from corten.engine.fsck.subject import Options, discards
from corten.model.gc import Garbage, policy_from


async def fsck(call: Call) -> None:
    """``POST /corten/fsck``: a record per finding as it is found, a summary at the end."""
    options = Options(
        repair=call.flag("repair"),
        quick=call.flag("quick"),
        deep=call.flag("deep"),
        discard=discards(call.texts("discard")),
    )
    async with aclosing(call.backend.checks.run(options)) as findings:
        await jsonstream.send(call, findingshape.records_of(findings))


_LIMITS = ("max-age", "keep-storage", "min-free-space", "partial-max-age")


async def collect(call: Call) -> Response:
    """``POST /corten/gc``: the limits are the daemon's, where the query names no others."""
    words: dict[str, object] = {name: text for name in _LIMITS if (text := call.text(name))}
    if "tagged" in call.query:
        words["tagged"] = call.flag("tagged")
    try:
        policy = policy_from(words, call.backend.collector.policy)
    except ValueError as error:
        raise errors.InvalidArgument(str(error)) from error
    result = await call.backend.collector.run(policy, dry=call.flag("dry-run"), every=call.flag("all"))
    return json_response(
        {
            "Removed": [_garbage(each) for each in result.removed],
            "Kept": [_garbage(each) for each in result.kept],
            "SpaceReclaimed": result.reclaimed,
            "Held": result.held,
        }
    )


def _garbage(each: Garbage) -> dict[str, Any]:
    return {"Kind": each.kind, "ID": each.id, "Size": each.size, "Names": each.names, "Reason": each.reason}


ROUTES = [Route("POST", "/corten/fsck", fsck), Route("POST", "/corten/gc", collect)]
