"""``--publish`` and ``--expose``."""

from __future__ import annotations

from corten.cli.container.values import address
from corten.cli.failure import Failure

_PROTOCOLS = ("tcp", "udp", "sctp")


def published(specs: list[str]) -> tuple[dict[str, dict[str, str]], dict[str, list[dict[str, str]]]]:
    """ExposedPorts and PortBindings for values of ``--publish``. Failure with docker's words."""
    exposed: dict[str, dict[str, str]] = {}
    bindings: dict[str, list[dict[str, str]]] = {}
    for spec in specs:
        if "=" in spec:
            spec = _long_form(spec)
        for port, binding in _mapping(spec):
            exposed[port] = {}
            bindings.setdefault(port, []).append(binding)
    return exposed, bindings


def _long_form(spec: str) -> str:
    values: dict[str, str] = {}
    for field in spec.split(","):
        key, equals, value = field.partition("=")
        if not equals or key not in ("protocol", "mode", "target", "published"):
            raise Failure(f"invalid field key {key}", 125)
        values[key] = value
    return f"{values.get('published', '')}:{values.get('target', '')}/{values.get('protocol', 'tcp')}"


def _mapping(spec: str) -> list[tuple[str, dict[str, str]]]:
    text, _, protocol = spec.partition("/")
    protocol = protocol.lower() or "tcp"
    rest, _, container = text.rpartition(":")
    host_ip, colon, host = rest.rpartition(":")
    if not colon:
        host_ip = ""
    host_ip = host_ip.removeprefix("[").removesuffix("]")
    if host_ip and address(host_ip) is None:
        raise Failure(f"invalid IP address: {host_ip}", 125)
    if not container:
        raise Failure(f"no port specified: {spec}<empty>", 125)
    first, last = _bounds(container, "containerPort")
    if protocol not in _PROTOCOLS:
        raise Failure(f"invalid proto: {protocol}", 125)
    if not host:
        return [(f"{port}/{protocol}", {"HostIp": host_ip, "HostPort": ""}) for port in range(first, last + 1)]
    low, high = _bounds(host, "hostPort")
    if high - low != last - first:
        if first != last:
            raise Failure(f"invalid ranges specified for container and host Ports: {container} and {host}", 125)
        return [(f"{first}/{protocol}", {"HostIp": host_ip, "HostPort": f"{low}-{high}"})]
    return [
        (f"{port}/{protocol}", {"HostIp": host_ip, "HostPort": str(low + port - first)})
        for port in range(first, last + 1)
    ]


def _bounds(text: str, what: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not dash:
        last = first
    if not (_is_port(first) and _is_port(last)) or int(first) > int(last):
        raise Failure(f"invalid {what}: {text}", 125)
    return int(first), int(last)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) <= 65535


def exposed(specs: list[str]) -> dict[str, dict[str, str]]:
    """ExposedPorts for values of ``--expose``."""
    result: dict[str, dict[str, str]] = {}
    for spec in specs:
        if ":" in spec:
            raise Failure(f"invalid port format for --expose: {spec}", 125)
        text, _, protocol = spec.partition("/")
        first, dash, last = text.partition("-")
        for part in (first, last) if dash else (first,):
            if not _is_port(part):
                raise Failure(
                    f'invalid range format for --expose: {text}, error: strconv.ParseUint: parsing "{part}": '
                    "invalid syntax",
                    125,
                )
        for port in range(int(first), int(last or first) + 1):
            result[f"{port}/{protocol.lower() or 'tcp'}"] = {}
    return result
