"""Answers of one JSON record per line, whose failures travel as a record once the first has gone out."""

import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from corten import errors
from corten.api.call import Call
from corten.api.errors import status_of, text_of
from corten.api.response import JSON_TYPE, to_json

log = logging.getLogger("corten.api")


async def send(
    call: Call, records: AsyncIterator[dict[str, Any]], *, at_once: bool = False, coded: bool = True
) -> None:
    """Stream *records*. A failure before the first has its own HTTP status, unless the head is wanted *at_once*.

    *coded*: the record of a failure carries the status that it would have had.
    """
    async with contextlib.aclosing(_generator(records)) as source:
        stream = call.stream(JSON_TYPE) if at_once else None
        try:
            async for record in source:
                if stream is None:
                    stream = call.stream(JSON_TYPE)
                stream.write(to_json(record))
                await stream.drain()
        except (ConnectionError, errors.Cancelled):
            raise
        except Exception as error:  # answered in-band, as the status has gone out already
            if stream is None:
                raise
            call.connection.failed = status = status_of(error)
            if status == 500:
                expected = isinstance(error, errors.CortenError)
                log.error("%s %s: %s", call.method, call.path, error, exc_info=None if expected else error)
            text = text_of(error)
            detail = {"code": status, "message": text} if coded else {"message": text}
            stream.write(to_json({"errorDetail": detail, "error": text}))
        if stream is None:
            call.stream(JSON_TYPE)


async def _generator(records: AsyncIterator[dict[str, Any]]) -> AsyncGenerator[dict[str, Any], None]:
    """*records* as a generator that can be closed, closing what it iterates."""
    try:
        async for record in records:
            yield record
    finally:
        close = getattr(records, "aclose", None)
        if close is not None:
            await close()
