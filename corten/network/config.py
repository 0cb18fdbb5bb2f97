"""What the daemon's configuration says about networks."""

from corten.model.base import Value


class NetworkConfig(Value, frozen=True):
    """Names follow dockerd's flags. Addresses are text as the user wrote it; "" means "choose one".

    ``owner`` is 8 hex digits; two daemons on one host must differ in it. "" takes the one that the database keeps.
    ``bridge`` "none" switches the default network off; another name uses that device, which is then neither made
    nor deleted by Corten.
    """

    exec_root: str = "/run/corten"
    owner: str = ""
    bridge: str = ""
    bip: str = ""
    bip6: str = ""
    fixed_cidr: str = ""
    fixed_cidr_v6: str = ""
    default_gateway: str = ""
    default_gateway_v6: str = ""
    default_ip: str = "0.0.0.0"
    mtu: int = 1500
    icc: bool = True
    ip_masq: bool = True
    ip_forward: bool = True
    ipv6: bool = False
    iptables: bool = True
    """False leaves the firewall alone: no published ports, no masquerading."""
    dns: list[str] = []
    dns_search: list[str] = []
    dns_options: list[str] = []
    host_gateway_ips: list[str] = []
