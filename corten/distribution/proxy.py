"""Which proxy a request goes through: the variables HTTP_PROXY, HTTPS_PROXY and NO_PROXY as Go programs read them
(golang.org/x/net/http/httpproxy)."""

import ipaddress
import os
from collections.abc import Mapping

import msgspec

from corten import errors
from corten.distribution import address
from corten.distribution.url import DEFAULT_PORTS, Origin


class Proxies(msgspec.Struct, frozen=True, kw_only=True):
    """``http`` and ``https`` are URLs for requests of that scheme, ``no_proxy`` a list with commas."""

    http: str = ""
    https: str = ""
    no_proxy: str = ""

    def __repr__(self) -> str:
        return "Proxies()"  # the URLs may hold a password

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, **given: str) -> "Proxies":
        """From the environment, in either letter case; what is *given* goes before."""

        def value(name: str) -> str:
            return given.get(name) or environment.get(name.upper()) or environment.get(name, "")

        return cls(http=check(value("http_proxy")), https=check(value("https_proxy")), no_proxy=value("no_proxy"))

    def of(self, origin: Origin) -> str:
        """The proxy for requests to *origin*, "" for none. Nothing goes through a proxy to the host itself."""
        proxy = self.https if origin.scheme == "https" else self.http
        return proxy if proxy and not self._excluded(origin) else ""

    def _excluded(self, origin: Origin) -> bool:
        ip = address.parse(origin.host)
        if origin.host == "localhost" or (ip is not None and ip.is_loopback):
            return True
        return any(_matches(entry.strip().lower(), origin, ip) for entry in self.no_proxy.split(",") if entry.strip())


def _matches(entry: str, origin: Origin, ip: address.Address | None) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        try:
            return ip is not None and ip in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    host, port = entry, ""
    if address.parse(entry) is None:
        head, colon, tail = entry.rpartition(":")
        if colon and tail.isdigit():
            host, port = head, tail
    if port and int(port) != origin.port:
        return False
    literal = address.parse(host)
    if literal is not None:
        return literal == ip
    if ip is not None:
        return False
    name = host.removeprefix("*")
    if name.startswith("."):
        return origin.host.endswith(name)
    return origin.host == name or origin.host.endswith("." + name)


def check(text: str) -> str:
    """A proxy's URL; without a scheme it is http. InvalidArgument for a kind that is not supported."""
    if not text:
        return ""
    scheme, mark, _ = text.partition("://")
    if not mark:
        return f"http://{text}"
    if scheme.lower() not in DEFAULT_PORTS:
        raise errors.InvalidArgument(f"proxies of scheme {scheme!r} are not supported: http or https")
    return text
