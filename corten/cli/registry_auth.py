"""The user's credentials on their way to the daemon: only those of the registry that a request is about."""

from __future__ import annotations

import base64
import json

from corten.cli.credentials import INDEX_SERVER, Credentials
from corten.cli.escape import visible_lines
from corten.cli.failure import Failure
from corten.errors import CortenError
from corten.oci.reference import DEFAULT_DOMAIN, Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.credentials import Login


def server_of(image: str) -> str:
    """What the credentials for an image's registry are kept under. InvalidArgument when ``image`` is no reference."""
    return server_of_domain(Reference.parse(image).domain)


def server_of_domain(domain: str) -> str:
    """The same for a registry's host name."""
    return INDEX_SERVER if domain in (DEFAULT_DOMAIN, f"index.{DEFAULT_DOMAIN}") else domain


def headers(app: App, image: str) -> dict[str, str]:
    """``X-Registry-Auth`` for a pull, push or create of ``image``.

    Without credentials it says so in the form that daemons expect. A store that cannot be read is warned about, since
    the registry may ask for none.
    """
    return for_server(app, server_of(image))


def for_server(app: App, server: str) -> dict[str, str]:
    """The same for a server that ``server_of`` gave."""
    try:
        login = Credentials(app).get(server)
    except (Failure, CortenError) as error:
        app.warn(f"WARNING: no credentials for {server}: {visible_lines(str(error))}")
        login = None
    return {"X-Registry-Auth": encoded(login)}


def encoded(login: Login | None) -> str:
    """The header's text: JSON in base64url."""
    document = json.dumps(login.document() if login else {}, separators=(",", ":"))
    return base64.urlsafe_b64encode(document.encode()).decode()
