"""From method and path to a handler.

Patterns are the table's: "/containers/{id}/start". A parameter takes everything, slashes included, as image names have
them; so patterns are tried in the order of their table. Paths are matched without their version.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from corten import errors
from corten.api.call import Call
from corten.api.errors import PageNotFound
from corten.api.response import Response

Handler = Callable[[Call], Awaitable[Response | None]]
_PARAMETER = re.compile(r"\{(\w+)\}")
_NO_PARAMS: dict[str, str] = {}


class Route(NamedTuple):
    method: str
    pattern: str
    handler: Handler


class Router:
    def __init__(self, routes: Iterable[Route]) -> None:
        self._static: dict[tuple[str, str], Handler] = {}
        self._dynamic: dict[tuple[str, str], list[tuple[re.Pattern[str], Handler]]] = {}
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        if "{" not in route.pattern:
            self._static.setdefault((route.method, route.pattern), route.handler)
            return
        source = _PARAMETER.sub(r"(?P<\1>.+)", re.escape(route.pattern).replace(r"\{", "{").replace(r"\}", "}"))
        group = (route.method, route.pattern.split("/", 2)[1])
        self._dynamic.setdefault(group, []).append((re.compile(source, re.DOTALL), route.handler))

    def match(self, method: str, path: str) -> tuple[Handler, dict[str, str]]:
        """The handler and the path's parameters. Raises PageNotFound."""
        handler = self._static.get((method, path))
        if handler is not None:
            return handler, _NO_PARAMS
        end = path.find("/", 1)
        for pattern, handler in self._dynamic.get((method, path[1:end] if end > 0 else path[1:]), ()):
            match = pattern.fullmatch(path)
            if match is not None:
                params = match.groupdict()
                if "\0" in path:
                    raise errors.InvalidArgument("invalid character in the path")
                return handler, params
        if method == "OPTIONS":
            return _options, _NO_PARAMS
        raise PageNotFound


async def _options(call: Call) -> Response:
    """Any path answers OPTIONS with nothing."""
    return Response(200)
