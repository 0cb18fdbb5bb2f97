"""From a registry's name to the servers that are asked, and how each is spoken to. These functions ask the DNS."""

import msgspec

from corten import errors
from corten.distribution import address, url
from corten.distribution.address import Reach, Zone
from corten.distribution.config import RegistryConfig
from corten.distribution.network import Network
from corten.distribution.url import Origin

HUB = "docker.io"
HUB_SERVER = "registry-1.docker.io"


class Endpoint(msgspec.Struct, frozen=True):
    """One server. *domain* names it in certs.d and in settings; ``reach`` is how far inward it and what it points to
    may lead; ``insecure``: no TLS checks, and plain HTTP where TLS does not answer. A mirror gets no credentials."""

    origin: Origin
    domain: str
    reach: Reach
    insecure: bool = False
    mirror: bool = False


HUB_INDEX = "index.docker.io"


def mirrors_of(domain: str, config: RegistryConfig, network: Network) -> list[Endpoint]:
    """What is asked before the registry; only Docker Hub has such."""
    if domain != HUB:
        return []
    origins = [url.parse(mirror, "mirror", "the configuration").origin for mirror in config.mirrors]
    return [_endpoint(origin, origin.netloc, config, network, mirror=True) for origin in origins]


def servers_of(domain: str, config: RegistryConfig, network: Network, *, index: bool = False) -> list[Endpoint]:
    """The ways to reach registry *domain* in the order they are tried. *index*: its search, at Docker Hub another
    server."""
    server = (HUB_INDEX if index else HUB_SERVER) if domain == HUB else domain
    secure = _endpoint(url.origin("https", server), domain, config, network)
    if not secure.insecure:
        return [secure]
    return [secure, _endpoint(url.origin("http", server), domain, config, network)]


def place(origin: Origin, config: RegistryConfig, network: Network) -> Endpoint:
    """A server that is no registry, named by the user."""
    return _endpoint(origin, origin.netloc, config, network)


def _endpoint(origin: Origin, domain: str, config: RegistryConfig, network: Network, mirror: bool = False) -> Endpoint:
    listed = domain.lower() in config.insecure_hosts
    literal = address.parse(origin.host)
    known = [literal] if literal is not None else _addresses(origin, config, network)
    inside = bool(known) and all(address.contains(config.insecure_networks, ip) for ip in known)
    insecure = listed or inside
    if literal is not None:
        zone = address.zone_of(literal)
        reach = Reach(zone, named=zone is Zone.NEVER)
    else:
        zone = min((address.zone_of(ip) for ip in known), default=Zone.PUBLIC)
        # without TLS checks the address is all that tells who answers
        reach = Reach(zone, config.insecure_networks if inside and not listed else ())
    if zone is Zone.PUBLIC and listed:
        reach = Reach(Zone.PRIVATE)
    return Endpoint(origin, domain, reach, insecure, mirror)


def _addresses(origin: Origin, config: RegistryConfig, network: Network) -> list[address.Address]:
    """What the name stands for; nothing when a proxy resolves it or nobody knows it (the request will say so)."""
    if config.proxies.of(origin):
        return []
    try:
        found = network.resolve(origin.host, origin.port)
    except OSError:
        return []
    return [ip for each in found if (ip := address.parse(each[0])) is not None]


def may_be_plain(origin: Origin, config: RegistryConfig) -> bool:
    """Whether the administrator allows plain HTTP, or TLS without checks, to a server that a registry points to."""
    if {origin.netloc, f"{origin.host}:{origin.port}"} & config.insecure_hosts:
        return True
    literal = address.parse(origin.host)
    if origin.host == "localhost":
        return True
    return literal is not None and address.contains(config.insecure_networks, literal)


def check_pointer(source: Endpoint, target: Origin, what: str, config: RegistryConfig) -> None:
    """Refuse what *source* points to when it is less protected than *source* itself. Forbidden."""
    if target.scheme == "http" and source.origin.scheme == "https":
        raise errors.Forbidden(f"{source.origin.netloc} points from https to http with its {what}: refused")
    if target.scheme == "http" and target.host != source.origin.host and not may_be_plain(target, config):
        raise errors.Forbidden(
            f"{source.origin.netloc} points to {target.netloc} without TLS with its {what}: refused; "
            "only registries in insecure-registries may be spoken to like that"
        )


def beyond(source: Reach) -> Reach:
    """How far what a registry points to may lead: its own zone, but not the addresses that its name is held to."""
    return Reach(Zone.PRIVATE if source.zone is Zone.NEVER else source.zone)
