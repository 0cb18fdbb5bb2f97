"""``corten push``."""

from __future__ import annotations

from corten.cli import progress, registry_auth
from corten.cli.command import Command
from corten.cli.commands.inspect import platform
from corten.cli.escape import visible
from corten.cli.failure import Failure
from corten.cli.flags import Flag
from corten.client import query
from corten.oci.reference import Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from corten.cli.app import App
    from corten.cli.flags import Options

FLAGS = (
    Flag("all-tags", help="Push all tags of the repository", short="a"),
    Flag("disable-content-trust", hidden=True, default=True),
    Flag("platform", "string", "Push this platform alone, as in linux/arm64, as an image of one platform"),
    Flag("quiet", help="Do not show progress", short="q"),
)

_ONE_PLATFORM = """
 Info -> Using --platform pushes only the specified platform manifest of a multi-platform image index.
         Other components, like attestations, will not be included.
         To push the complete multi-platform image, remove the --platform flag.
"""
_ONE_PUSHED = """
 Info -> Not all multiplatform-content is present and only the available single-platform image was pushed
         {} -> {}
"""
_MISSING = """
 Info -> The image is an index of several platforms, and not all of them are here or in the registry.
         Pull what lacks, or push one platform with --platform.
"""


def _run(app: App, options: Options) -> None:
    wanted = Reference.parse(options.args[0])
    quiet = options.on("quiet")
    chosen = options.text("platform")
    if chosen and not quiet:
        app.print(_ONE_PLATFORM)
    if options.on("all-tags"):
        if wanted.tag or wanted.digest:
            raise Failure("tag can't be used with --all-tags/-a")
        tag = None
    else:
        if not (wanted.tag or wanted.digest or quiet):
            app.print("Using default tag: latest")
        wanted = wanted.tagged()
        tag = wanted.tag
    values = {"tag": tag, "platform": platform(chosen) if chosen else None}
    name = wanted.familiar_name() if not wanted.digest else wanted.familiar()
    response = app.client.call(
        "POST",
        f"/images/{query.quote(name, '/:')}/push",
        values,
        headers=registry_auth.headers(app, options.args[0]),
    )
    notes: list[str] = []
    try:
        progress.show(app, _noted(response.records(), notes), quiet=quiet)
    finally:
        for note in notes:
            app.warn(note)
    if quiet:
        app.print(wanted.canonical)


def _noted(records: Iterable[dict[str, Any]], notes: list[str]) -> Iterator[dict[str, Any]]:
    """Pass records on; what they say about parts that are not here is kept for the end."""
    for record in records:
        aux = record.get("aux") or {}
        if aux.get("manifestPushedInsteadOfIndex"):
            before, after = (
                visible(str((aux.get(key) or {}).get("digest"))) for key in ("originalIndex", "selectedManifest")
            )
            notes.append(_ONE_PUSHED.format(before, after))
        if aux.get("contentMissing"):
            notes.append(_MISSING)
        yield record


COMMAND = Command(_run, "[OPTIONS] NAME[:TAG]", FLAGS, minimum=1, maximum=1)
