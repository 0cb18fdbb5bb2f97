"""What Docker's API has no door for: looking after the store."""

from contextlib import aclosing

from corten.api import findingshape, jsonstream
from corten.api.call import Call
from corten.api.routing import Route
from corten.engine.fsck.subject import Options, discards


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


ROUTES = [Route("POST", "/corten/fsck", fsck)]
