"""What the client of registries is told: one frozen value, replaced as a whole when the daemon reloads."""

import ipaddress
from collections.abc import Iterable, Mapping

import msgspec

import corten
from corten import errors
from corten.distribution import address, url
from corten.distribution.proxy import Proxies

LOCAL_NETWORKS: tuple[address.Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


class RegistryConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Times are seconds. ``insecure_hosts`` are domains ("host[:port]"), as references have them; ``mirrors`` are base
    URLs of mirrors of Docker Hub; ``realms`` maps a domain to further hosts that its credentials may be shown to when
    it names them as its token service."""

    mirrors: tuple[str, ...] = ()
    insecure_hosts: frozenset[str] = frozenset()
    insecure_networks: tuple[address.Network, ...] = LOCAL_NETWORKS
    realms: Mapping[str, frozenset[str]] = {}
    certs_dirs: tuple[str, ...] = ("/etc/docker/certs.d", "/etc/corten/certs.d")
    proxies: Proxies = Proxies()
    user_agent: str = f"corten/{corten.__version__}"
    attempts: int = 5
    backoff: float = 0.5
    """The first pause; each further one is twice as long, up to ``longest_pause``."""
    longest_pause: float = 20.0
    """Also the bound of what a registry's Retry-After is obeyed for; beyond it the request fails at once."""
    connect_timeout: float = 15.0
    idle_timeout: float = 60.0
    """How long a peer may be silent."""
    head_timeout: float = 90.0
    """From the end of a request to the end of the answer's head."""
    document_timeout: float = 120.0
    """For the whole of a manifest, a token or a list."""

    @classmethod
    def make(
        cls,
        *,
        mirrors: Iterable[str] = (),
        insecure: Iterable[str] = (),
        realms: Mapping[str, str] | None = None,
        attempts: int = 5,
        proxies: Proxies | None = None,
    ) -> "RegistryConfig":
        """From the daemon's settings; InvalidArgument, in dockerd's words, for what is not well-formed."""
        hosts, networks = set(), list(LOCAL_NETWORKS)
        for entry in insecure:
            network = _network(entry)
            if network is not None:
                networks.append(network)
            else:
                hosts.add(_domain(entry))
        return cls(
            mirrors=tuple(check_mirror(mirror) for mirror in mirrors),
            insecure_hosts=frozenset(hosts),
            insecure_networks=tuple(networks),
            realms={name.lower(): frozenset(_listed(value)) for name, value in (realms or {}).items()},
            attempts=attempts,
            proxies=proxies or Proxies.from_environment(),
        )


def _network(entry: str) -> address.Network | None:
    if "/" not in entry:
        return None
    try:
        return ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return None


def _domain(entry: str) -> str:
    domain = entry.lower()
    for scheme in ("http://", "https://"):
        domain = domain.removeprefix(scheme)
    if "://" in entry and not entry.lower().startswith(("http://", "https://")):
        raise errors.InvalidArgument(f"insecure registry {entry} should not contain '://'")
    domain = domain.rstrip("/")
    try:
        if url.parse(f"https://{domain}", "name", "the configuration").target != "/":
            raise errors.InvalidArgument("a path")
    except errors.InvalidArgument:
        raise errors.InvalidArgument(f"insecure registry {entry} is not valid: invalid host {domain!r}") from None
    return domain


def _listed(text: str) -> list[str]:
    return [part.strip().lower() for part in text.split(",") if part.strip()]


def check_mirror(text: str) -> str:
    """A mirror's base URL with a slash at its end. InvalidArgument in dockerd's words."""
    try:
        found = url.parse(text, "mirror", "the configuration")
    except errors.InvalidArgument:
        scheme, mark, rest = text.partition("://")
        if mark and scheme.lower() not in url.DEFAULT_PORTS:
            raise errors.InvalidArgument(f'invalid mirror: unsupported scheme "{scheme}" in "{text}"') from None
        if "@" in rest.split("/", 1)[0]:
            raise errors.InvalidArgument(
                f'invalid mirror: username/password not allowed in URI "{scheme}://xxxxx@{rest.rpartition("@")[2]}"'
            ) from None
        raise errors.InvalidArgument(f'invalid mirror: "{text}" is not a valid URI') from None
    if found.target != "/" or "#" in text or "?" in text:
        raise errors.InvalidArgument(f'invalid mirror: path, query, or fragment at end of the URI "{text}"')
    return str(found)
