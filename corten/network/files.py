"""The contents of a container's /etc/hosts, /etc/resolv.conf and /etc/hostname."""

import ipaddress
from collections.abc import Sequence

from corten import errors
from corten.model.record import Record
from corten.network.config import NetworkConfig
from corten.network.record import Attachment, NetworkFiles
from corten.network.resolvconf import ResolvConf, host_resolv_conf, read_text
from corten.network.sandbox import hostname_of

LOCALHOST = "127.0.0.1\tlocalhost\n"
LOCALHOST_V6 = (
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::\tip6-localnet\n"
    "ff00::\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n"
)


def build(
    record: Record,
    attachment: Attachment,
    config: NetworkConfig,
    gateways: Sequence[str],
    links: Sequence[str] = (),
) -> NetworkFiles:
    """All three files. *gateways* are what "host-gateway" in an extra host stands for, *links* further hosts lines."""
    on_host = attachment.netns is None
    hosts = _hosts(record, attachment, on_host, config.host_gateway_ips or gateways)
    return NetworkFiles(
        hosts=(hosts + "".join(links)).encode(),
        resolv_conf=_resolv_conf(record, attachment, on_host, config).encode(),
        hostname=f"{hostname_of(record)}\n".encode(),
    )


def _hosts(record: Record, attachment: Attachment, on_host: bool, gateways: Sequence[str]) -> str:
    text = read_text("/etc/hosts") if on_host else LOCALHOST + LOCALHOST_V6
    if text and not text.endswith("\n"):
        text += "\n"
    for entry in record.host_config.extra_hosts or []:
        text += "".join(f"{address}\t{name}\n" for name, address in extra_host(entry, gateways))
    if on_host:
        return text
    hostname = hostname_of(record)
    names = f"{hostname}.{record.config.domainname} {hostname}" if record.config.domainname else hostname
    for endpoint in attachment.endpoints.values():
        for address in (endpoint.ip_address, endpoint.global_ipv6_address):
            if address:
                text += f"{address}\t{names}\n"
    return text


def extra_host(entry: str, gateways: Sequence[str]) -> list[tuple[str, str]]:
    """``name:address`` or ``name=address`` as (name, address) pairs; "host-gateway" stands for every gateway."""
    split = min((at for at in (entry.find(":"), entry.find("=")) if at > 0), default=0)
    name, address = entry[:split], entry[split + 1 :]
    if not name or not address:
        raise errors.InvalidArgument(f'bad format for add-host: "{entry}"')
    if address == "host-gateway":
        if not gateways:
            raise errors.InvalidArgument("unable to derive the IP value for host-gateway")
        return [(name, gateway) for gateway in gateways]
    address = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    try:
        ipaddress.ip_address(address)
    except ValueError as error:
        raise errors.InvalidArgument(f'invalid IP address in add-host: "{address}"') from error
    return [(name, address)]


def _resolv_conf(record: Record, attachment: Attachment, on_host: bool, config: NetworkConfig) -> str:
    host = record.host_config
    nameservers = host.dns or config.dns
    search = host.dns_search or config.dns_search
    options = host.dns_options or config.dns_options
    if on_host and not (nameservers or search or options):
        return read_text("/etc/resolv.conf")
    parsed = ResolvConf.parse(read_text("/etc/resolv.conf") if on_host else host_resolv_conf())
    parsed = parsed.override(nameservers, search, options)
    if not on_host and not nameservers:
        ipv6 = any(endpoint.global_ipv6_address for endpoint in attachment.endpoints.values())
        parsed = parsed.for_container(ipv6=ipv6)
    return parsed.text()
