"""Syntax of exposed and published ports: "80/tcp", "8000-8010/udp"."""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

from corten.errors import InvalidArgument
from corten.model.container import PortBinding

_PROTOCOLS = frozenset(("tcp", "udp", "sctp"))


def check_exposed(ports: Iterable[str]) -> None:
    """``ExposedPorts``."""
    for port in ports:
        _check_port(port)


def check_bindings(bindings: Mapping[str, Sequence[PortBinding] | None]) -> None:
    """``PortBindings``: container ports, host ports or ranges, host addresses."""
    for port, wanted in bindings.items():
        _check_port(port)
        for binding in wanted or ():
            if binding.host_port and not _is_range(binding.host_port):
                raise InvalidArgument(f'invalid port specification: "{binding.host_port}"')
            if binding.host_ip and not is_address(binding.host_ip.removeprefix("[").removesuffix("]")):
                raise InvalidArgument(f'invalid IP address: "{binding.host_ip}"')


def is_address(text: str) -> bool:
    """Whether *text* is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _check_port(port: str) -> None:
    number, slash, protocol = port.partition("/")
    if not _is_range(number) or number.startswith("0"):
        raise InvalidArgument(f'invalid port specification: "{port}"')
    if slash and protocol.lower() not in _PROTOCOLS:
        raise InvalidArgument(f'invalid port specification: "{port}": invalid proto: {protocol}')


def _is_range(text: str) -> bool:
    first, dash, last = text.partition("-")
    parts = (first, last) if dash else (first,)
    if not all(part.isascii() and part.isdecimal() and len(part) <= 5 and int(part) <= 65535 for part in parts):
        return False
    return not dash or int(first) <= int(last)
