"""The API's JSON keys: a rule, snake case to Pascal case, and the fields where Docker's spelling breaks it."""

from corten.model import container as model
from corten.model.base import Value

EXCEPTIONS = {
    "blkio_device_read_iops": "BlkioDeviceReadIOps",
    "blkio_device_write_iops": "BlkioDeviceWriteIOps",
    "container_id_file": "ContainerIDFile",
    "device_ids": "DeviceIDs",
    "dns_names": "DNSNames",
    "endpoint_id": "EndpointID",
    "global_ipv6_address": "GlobalIPv6Address",
    "global_ipv6_prefix_len": "GlobalIPv6PrefixLen",
    "io_maximum_bandwidth": "IOMaximumBandwidth",
    "io_maximum_iops": "IOMaximumIOps",
    "ip_address": "IPAddress",
    "ip_prefix_len": "IPPrefixLen",
    "ipam_config": "IPAMConfig",
    "ipv4_address": "IPv4Address",
    "ipv6_address": "IPv6Address",
    "ipv6_gateway": "IPv6Gateway",
    "link_local_ips": "LinkLocalIPs",
    "network_id": "NetworkID",
    "rw": "RW",
    "uts_mode": "UTSMode",
}


def key_of(field: str) -> str:
    """The key of a model field: "stop_signal" → "StopSignal", "ip_address" → "IPAddress"."""
    found = EXCEPTIONS.get(field)
    return found if found is not None else "".join(part[:1].upper() + part[1:] for part in field.split("_"))


HIDDEN: dict[type[Value], frozenset[str]] = {
    model.MountPoint: frozenset(
        (
            "anonymous",
            "no_copy",
            "subpath",
            "non_recursive",
            "create_source",
            "read_only_recursive",
            "read_only_force_recursive",
            "tmpfs_options",
            "image_id",
        )
    ),
}
"""The engine's own fields."""
