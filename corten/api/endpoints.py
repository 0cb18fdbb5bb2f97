"""Endpoints and ports of a container in the API's shape, with what older API versions saw."""

from typing import Any

from corten.api.encode import encode
from corten.api.versions import Version
from corten.model.record import Record

_LEGACY = (
    "EndpointID",
    "Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "IPAddress",
    "IPPrefixLen",
    "IPv6Gateway",
    "MacAddress",
)


def networks(record: Record, version: Version) -> dict[str, Any]:
    """``NetworkSettings.Networks``. Below 1.45 aliases also hold the short id (user-defined networks)."""
    found = {name: encode(endpoint) for name, endpoint in record.endpoints.items()}
    if version < (1, 45):
        for name, document in found.items():
            if name not in ("bridge", "host", "none"):
                document["Aliases"] = list(dict.fromkeys([*(document["Aliases"] or ()), record.id[:12]]))
    return found


def settings(record: Record, sandbox_id: str, sandbox_key: str, version: Version) -> dict[str, Any]:
    """``NetworkSettings`` of inspect; below 1.52 with the fields of the network called bridge at the top."""
    found = networks(record, version)
    document: dict[str, Any] = {}
    if version < (1, 52):
        document["Bridge"] = ""
    document["SandboxID"] = sandbox_id
    document["SandboxKey"] = sandbox_key
    document["Ports"] = dict(record.ports)
    if version < (1, 52):
        bridge = found.get("bridge")
        for key in _LEGACY:
            document[key] = bridge[key] if bridge else (0 if key.endswith("Len") else "")
    document["Networks"] = found
    return document


def port_list(record: Record) -> list[dict[str, Any]]:
    """``Ports`` of the list: one entry per actual binding, exposed but unpublished ports without an address."""
    entries: list[dict[str, Any]] = []
    for port, bindings in record.ports.items():
        number, _, protocol = port.partition("/")
        common = {"PrivatePort": int(number), "Type": protocol or "tcp"}
        if not bindings:
            entries.append(common)
        for binding in bindings or ():
            public = {"PublicPort": int(binding["HostPort"])} if binding.get("HostPort") else {}
            entries.append({"IP": binding.get("HostIp", ""), **common, **public})
    entries.sort(key=lambda entry: (entry["PrivatePort"], entry["Type"], entry.get("IP", "")))
    return entries
