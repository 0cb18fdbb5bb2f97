"""``corten search``."""

from __future__ import annotations

from corten.cli import listing, registry_auth
from corten.cli.command import Command
from corten.cli.commands.ps import FORMAT_HELP
from corten.cli.credentials import INDEX_SERVER
from corten.cli.flags import Flag
from corten.cli.listing import Columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corten.cli.app import App
    from corten.cli.flags import Options

FLAGS = (
    Flag("filter", "filter", "Show only what fits, as in stars=3 or is-official=true", short="f"),
    Flag("format", "string", FORMAT_HELP),
    Flag("limit", "int", "Show at most this many"),
    Flag("no-trunc", help="Show descriptions in full"),
)

_HEADINGS = {"Name": "NAME", "Description": "DESCRIPTION", "StarCount": "STARS", "IsOfficial": "OFFICIAL"}
_DESCRIPTION = 45
"""Characters of a description that is cut."""


def _run(app: App, options: Options) -> None:
    term = options.args[0]
    query = {
        "term": term,
        "limit": options.number("limit") if options.given("limit") else None,
        "filters": listing.filters(options.value("filter")),
    }
    response = app.client.call("GET", "/images/search", query, headers=registry_auth.for_server(app, _server(term)))
    found = sorted(response.json() or [], key=lambda result: -int(result.get("star_count") or 0))
    template = app.format(options, "")
    rows = [_row(result, full=options.on("no-trunc"), as_json=template == "json") for result in found]
    columns = Columns("searchContext", tuple(_HEADINGS), _HEADINGS)
    listing.show(app, columns, rows, template, fit=not options.on("no-trunc"))


def _row(result: dict[str, Any], *, full: bool, as_json: bool) -> dict[str, Any]:
    description = str(result.get("description") or "").replace("\n", " ").replace("\r", " ")
    if not full and len(description) > _DESCRIPTION:
        description = description[: _DESCRIPTION - 1] + "…"
    official = bool(result.get("is_official"))
    return {
        "Name": str(result.get("name") or ""),
        "Description": description,
        "StarCount": str(result.get("star_count") or 0),
        "IsOfficial": str(official).lower() if as_json else "[OK]" if official else "",
    }


def _server(term: str) -> str:
    """The registry that a term names: what stands before its first slash, where that can be a host."""
    host, slash, _ = term.partition("/")
    named = slash and ("." in host or ":" in host or host == "localhost")
    return registry_auth.server_of_domain(host) if named else INDEX_SERVER


COMMAND = Command(
    _run,
    "[OPTIONS] TERM",
    FLAGS,
    minimum=1,
    maximum=1,
    about="Search a registry for images: Docker Hub, or HOST where the term is HOST/TERM.",
)
