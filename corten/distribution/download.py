"""One file from the web, by a URL that the user gave: what ``docker import`` takes besides an archive."""

import threading

from corten.distribution import url as urls
from corten.distribution.answer import Answer
from corten.distribution.credential import ANONYMOUS
from corten.distribution.endpoint import place
from corten.distribution.session import Session
from corten.distribution.token import Tokens
from corten.distribution.transport import Transport


def download(transport: Transport, text: str, stop: threading.Event) -> Answer:
    """The answer to a GET, its body still to be read. Where it redirects, the rules are those for registries.

    *text* without a scheme is plain HTTP, as with Docker. InvalidArgument for what is no URL; Answered, Unreachable,
    Forbidden, Cancelled.
    """
    full = text if "://" in text else f"http://{text}"
    url = urls.parse(full, "URL", "the request")
    session = Session(place(url.origin, transport.config, transport.network), ANONYMOUS, transport, Tokens(), stop)
    return session.request("GET", url, ())
