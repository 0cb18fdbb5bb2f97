"""``corten network``: create, rm, connect, disconnect."""

from __future__ import annotations

from corten.cli.command import Command
from corten.cli.failure import Failure, explain
from corten.cli.flags import Flag
from corten.client import query
from corten.client.error import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corten.cli.app import App
    from corten.cli.flags import Options


def _create(app: App, options: Options) -> None:
    body: dict[str, Any] = {
        "Name": options.args[0],
        "Driver": options.text("driver"),
        "Scope": options.text("scope"),
        "Internal": options.on("internal"),
        "Attachable": options.on("attachable"),
        "Ingress": options.on("ingress"),
        "ConfigOnly": options.on("config-only"),
        "Options": dict(options.value("opt")),
        "Labels": dict(options.value("label")),
        "IPAM": {
            "Driver": options.text("ipam-driver"),
            "Config": _pools(options),
            "Options": dict(options.value("ipam-opt")),
        },
    }
    for flag, name in (("ipv4", "EnableIPv4"), ("ipv6", "EnableIPv6")):
        if options.given(flag):
            body[name] = options.on(flag)
    if options.text("config-from"):
        body["ConfigFrom"] = {"Network": options.text("config-from")}
    answer = app.client.post("/networks/create", None, body)
    if answer.get("Warning"):
        app.warn(f"WARNING: {answer['Warning']}")
    app.print(answer["Id"])


def _pools(options: Options) -> list[dict[str, Any]]:
    """One address pool per subnet, with the range, gateway and reserved addresses that lie in it."""
    import ipaddress

    pools: list[dict[str, Any]] = [{"Subnet": subnet} for subnet in options.texts("subnet")]

    def pool_of(address: str, what: str) -> dict[str, Any]:
        try:
            wanted = ipaddress.ip_address(address.partition("/")[0])
            for pool in pools:
                if wanted in ipaddress.ip_network(pool["Subnet"], strict=False):
                    return pool
        except ValueError as error:
            raise Failure(f"invalid {what}: {error}") from None
        raise Failure(f"no matching subnet for {what} {address}")

    for text in options.texts("ip-range"):
        pool_of(text, "range")["IPRange"] = text
    for text in options.texts("gateway"):
        pool_of(text, "gateway")["Gateway"] = text
    for name, text in options.value("aux-address"):
        pool_of(text, "aux-address").setdefault("AuxiliaryAddresses", {})[name] = text
    return pools


def _rm(app: App, options: Options) -> int:
    code = 0
    for name in options.args:
        try:
            app.client.delete(f"/networks/{query.quote(name)}")
        except ApiError as error:
            if options.on("force") and error.status == 404:
                continue
            app.warn(explain(error))
            code = 1
        else:
            app.print(name)
    return code


def _connect(app: App, options: Options) -> None:
    network, container = options.args
    ipam = {
        name: options.value(flag)
        for flag, name in (("ip", "IPv4Address"), ("ip6", "IPv6Address"), ("link-local-ip", "LinkLocalIPs"))
        if options.value(flag)
    }
    settings = {
        "IPAMConfig": ipam or None,
        "Links": options.texts("link"),
        "Aliases": options.texts("alias"),
        "DriverOpts": dict(options.value("driver-opt")),
        "GwPriority": options.number("gw-priority"),
    }
    body = {"Container": container, "EndpointConfig": settings}
    app.client.post(f"/networks/{query.quote(network)}/connect", None, body)


def _disconnect(app: App, options: Options) -> None:
    network, container = options.args
    body = {"Container": container, "Force": options.on("force")}
    app.client.post(f"/networks/{query.quote(network)}/disconnect", None, body)


CREATE = Command(
    _create,
    "[OPTIONS] NETWORK",
    (
        Flag("attachable", help="Let containers join by hand"),
        Flag("aux-address", "map", "Address that the network must not give out (NAME=ADDRESS)"),
        Flag("config-from", "string", "Network to copy the configuration from"),
        Flag("config-only", help="Make a network that is only a configuration"),
        Flag("driver", "string", "Driver of the network", short="d", default="bridge"),
        Flag("gateway", "list", "Gateway of a subnet"),
        Flag("ingress", help="Make a swarm's routing-mesh network"),
        Flag("internal", help="Keep the network from the outside"),
        Flag("ip-range", "list", "Give out addresses of this range only"),
        Flag("ipam-driver", "string", "Driver that gives out addresses", default="default"),
        Flag("ipam-opt", "map", "Option of that driver (NAME=VALUE)"),
        Flag("ipv4", help="Use IPv4", default=True),
        Flag("ipv6", help="Use IPv6"),
        Flag("label", "label", "Set a label (NAME=VALUE)"),
        Flag("opt", "map", "Option of the driver (NAME=VALUE)", short="o"),
        Flag("scope", "string", "Scope of the network"),
        Flag("subnet", "list", "Subnet in CIDR form"),
    ),
    minimum=1,
    maximum=1,
)
RM = Command(
    _rm,
    "NETWORK [NETWORK...]",
    (Flag("force", help="Do not mind networks that do not exist", short="f"),),
    minimum=1,
)
CONNECT = Command(
    _connect,
    "[OPTIONS] NETWORK CONTAINER",
    (
        Flag("alias", "list", "Name of the container on the network"),
        Flag("driver-opt", "map", "Option of the driver (NAME=VALUE)"),
        Flag("gw-priority", "int", "Priority as the default gateway; the highest wins"),
        Flag("ip", "string", "IPv4 address"),
        Flag("ip6", "string", "IPv6 address"),
        Flag("link", "list", "Link to another container (NAME[:ALIAS])"),
        Flag("link-local-ip", "list", "Link-local address"),
    ),
    minimum=2,
    maximum=2,
)
DISCONNECT = Command(
    _disconnect,
    "[OPTIONS] NETWORK CONTAINER",
    (Flag("force", help="Disconnect even if the container is gone", short="f"),),
    minimum=2,
    maximum=2,
)
