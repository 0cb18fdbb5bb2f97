"""URLs that registries give, read strictly: what is dialled is what was checked."""

import re
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from corten import errors

MAX_URL = 16 << 10
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.]+\]")
_BAD = re.compile(r"[^\x21-\x7e]|[\\\"<>^`{|}]")
DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Scheme, host (lower case, IPv6 without brackets) and port: what may see what was meant for it."""

    scheme: str
    host: str
    port: int

    @property
    def netloc(self) -> str:
        """As in a URL; the default port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def url(self, target: str) -> "Url":
        return Url(self, target)


class Url(NamedTuple):
    """``target`` is path and query."""

    origin: Origin
    target: str

    def __str__(self) -> str:
        return f"{self.origin.scheme}://{self.origin.netloc}{self.target}"

    @property
    def shown(self) -> str:
        """Without the query: that of a redirect is often a signature that opens the object."""
        head, mark, _ = str(self).partition("?")
        return f"{head}?…" if mark else head

    def join(self, text: str, what: str) -> "Url":
        """What *text*, absolute or relative, names from here. *what* it is stands in the error."""
        if len(text) > MAX_URL or _BAD.search(text):
            raise errors.InvalidArgument(f"{self.origin.netloc} gave an invalid {what}: {text[:200]!r}")
        return parse(urljoin(str(self), text), what, self.origin.netloc)


def parse(text: str, what: str, source: str) -> Url:
    """An absolute http or https URL without user and fragment. InvalidArgument names *what* and where it came from."""
    bad = errors.InvalidArgument(f"{source} gave an invalid {what}: {text[:200]!r}")
    if len(text) > MAX_URL or _BAD.search(text):
        raise bad
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise bad from None
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS or "@" in parts.netloc or port == 0:
        raise bad
    host = parts.netloc.rpartition(":")[0] if port is not None else parts.netloc.removesuffix(":")
    if not _HOST.fullmatch(host):
        raise bad
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Url(Origin(scheme, host.strip("[]").lower(), port or DEFAULT_PORTS[scheme]), target)


def origin(scheme: str, netloc: str) -> Origin:
    """The origin of a registry's domain ("host[:port]")."""
    return parse(f"{scheme}://{netloc}/", "name", "the request").origin
