"""``corten pull``."""

from __future__ import annotations

from corten.cli import progress, registry_auth
from corten.cli.command import Command
from corten.cli.failure import Failure
from corten.cli.flags import Flag
from corten.oci.reference import Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.flags import Options

FLAGS = (
    Flag("all-tags", help="Pull all tags of the repository", short="a"),
    Flag("disable-content-trust", hidden=True, default=True),
    Flag("platform", "string", "Pull this platform of the image, as in linux/arm64"),
    Flag("quiet", help="Do not show progress", short="q"),
)


def _run(app: App, options: Options) -> None:
    wanted = Reference.parse(options.args[0])
    quiet = options.on("quiet")
    if options.on("all-tags"):
        if wanted.tag or wanted.digest:
            raise Failure("tag can't be used with --all-tags/-a")
    elif not (wanted.tag or wanted.digest):
        wanted = wanted.tagged()
        if not quiet:
            app.print(f"Using default tag: {wanted.tag}")
    query = {
        "fromImage": wanted.familiar_name(),
        "tag": wanted.digest or wanted.tag,
        "platform": options.text("platform") or None,
    }
    response = app.client.call("POST", "/images/create", query, headers=registry_auth.headers(app, options.args[0]))
    progress.show(app, response.records(), quiet=quiet)
    app.print(wanted.canonical)


COMMAND = Command(_run, "[OPTIONS] NAME[:TAG|@DIGEST]", FLAGS, minimum=1, maximum=1)
