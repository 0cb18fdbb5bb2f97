"""``corten images``: the list of images."""

from __future__ import annotations

import time

from corten.cli import image_row, listing
from corten.cli.command import Command
from corten.cli.commands.ps import FORMAT_HELP
from corten.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.flags import Options

FLAGS = (
    Flag("all", help="Show intermediate images too", short="a"),
    Flag("digests", help="Show digests"),
    Flag("filter", "filter", "Show only what fits, as in dangling=true", short="f"),
    Flag("format", "string", FORMAT_HELP),
    Flag("no-trunc", help="Show ids in full"),
    Flag("quiet", help="Show only ids", short="q"),
    Flag("tree", help="Show the platforms of every image"),
)


def _run(app: App, options: Options) -> None:
    pairs = list(options.value("filter"))
    if options.args:
        pairs.append(("reference", options.args[0]))
    query = {"all": True if options.on("all") else None, "filters": listing.filters(pairs)}
    if options.on("tree"):
        from corten.cli import image_tree

        image_tree.show(app, app.client.get("/images/json", {**query, "manifests": True}))
        return
    images = app.client.get("/images/json", query)
    template = app.format(options, "imagesFormat")
    full, digests = options.on("no-trunc"), options.on("digests")
    wants_digest = digests or "{{.Digest}}" in template
    now = time.time()
    rows = [row for image in images for row in image_row.rows(image, full=full, digests=wants_digest, now=now)]
    if options.on("quiet"):
        if template in ("", "table"):
            for row in rows:
                app.print(row["ID"])
            return
        template = "{{.ID}}"
    listing.show(app, image_row.columns(digests), rows, template, fit=not full)


COMMAND = Command(_run, "[OPTIONS] [REPOSITORY[:TAG]]", FLAGS, maximum=1)
