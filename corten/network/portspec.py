"""Published ports as values: what was asked for, what was bound."""

import ipaddress
from dataclasses import dataclass

from corten import errors
from corten.model.base import Value
from corten.model.record import Record

PROTOCOLS = ("tcp", "udp", "sctp")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One container port and where it is to appear: on all *host_ips* under one number of *low* to *high*.

    ``low`` 0 asks for any free port.
    """

    protocol: str
    port: int
    host_ips: tuple[str, ...]
    low: int = 0
    high: int = 0


class Published(Value, frozen=True):
    """A container port on one address of the host. ``target`` is the container's address that the firewall sends it
    on to; "" where only the daemon's relay serves it."""

    protocol: str
    port: int
    host_ip: str
    host_port: int
    target: str = ""

    @property
    def name(self) -> str:
        return f"{self.port}/{self.protocol}"


def wanted_ports(record: Record, default_ip: str, *, host_has_ipv6: bool) -> list[Wanted]:
    """What a container wants published, in the order of its ports. Raises ``errors.InvalidArgument``."""
    host = record.host_config
    found: list[Wanted] = []
    for name, bindings in (host.port_bindings or {}).items():
        port, protocol = parse_port(name)
        for binding in bindings or []:
            low, high = parse_range(binding.host_port)
            ips = _host_ips(binding.host_ip, default_ip, host_has_ipv6)
            found.append(Wanted(protocol, port, ips, low, high))
    if host.publish_all_ports:
        named = {(item.port, item.protocol) for item in found}
        for name in record.config.exposed_ports or {}:
            port, protocol = parse_port(name)
            if (port, protocol) not in named:
                found.append(Wanted(protocol, port, _host_ips("", default_ip, host_has_ipv6)))
    return sorted(found, key=lambda item: (item.port, item.protocol))


def parse_port(name: str) -> tuple[int, str]:
    """ "80/tcp" or "80" as (80, "tcp")."""
    number, _, protocol = name.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in PROTOCOLS:
        raise errors.InvalidArgument(f"invalid port specification: invalid proto: {protocol}")
    return _number(number, name), protocol


def parse_range(text: str) -> tuple[int, int]:
    """ "" or "0" as (0, 0), "80" as (80, 80), "80-90" as (80, 90)."""
    if text in ("", "0"):
        return 0, 0
    low, dash, high = text.partition("-")
    first = _number(low, text)
    last = _number(high, text) if dash else first
    if last < first:
        raise errors.InvalidArgument(f"invalid port specification: {text!r}")
    return first, last


def _number(text: str, whole: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise errors.InvalidArgument(f"invalid port specification: {whole!r}")
    return int(text)


def _host_ips(text: str, default: str, host_has_ipv6: bool) -> tuple[str, ...]:
    """The addresses to bind: both wildcards where none is named, as far as the host has the protocol."""
    if not text and default in ("", "0.0.0.0"):
        return ("0.0.0.0", "::") if host_has_ipv6 else ("0.0.0.0",)
    try:
        return (str(ipaddress.ip_address((text or default).strip("[]"))),)
    except ValueError as error:
        raise errors.InvalidArgument(f"invalid IP address: {text or default}") from error


def port_map(record: Record, published: list[Published]) -> dict[str, list[dict[str, str]] | None]:
    """The API's map of ports: published ones with their bindings, the other exposed ones with None."""
    found: dict[str, list[dict[str, str]] | None] = {}
    for item in published:
        bindings = found.setdefault(item.name, [])
        if bindings is not None:
            bindings.append({"HostIp": item.host_ip, "HostPort": str(item.host_port)})
    for name in record.config.exposed_ports or {}:
        port, protocol = parse_port(name)
        found.setdefault(f"{port}/{protocol}", None)
    return dict(sorted(found.items()))


def from_map(ports: dict[str, list[dict[str, str]] | None]) -> list[Published]:
    """The reverse of ``port_map``, without targets."""
    return [
        Published(protocol=protocol, port=port, host_ip=binding["HostIp"], host_port=int(binding["HostPort"]))
        for name, bindings in ports.items()
        for port, protocol in (parse_port(name),)
        for binding in bindings or []
    ]
