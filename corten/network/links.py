"""Legacy links (``--link other:alias``) on the default network: a line in the hosts file for each."""

from collections.abc import Iterable, Mapping

from corten import errors
from corten.model.record import Record
from corten.network.sandbox import Sandbox


def parse(text: str) -> tuple[str, str]:
    """``name``, ``name:alias`` or the stored form ``/name:/container/alias`` as (name, alias)."""
    name, _, alias = text.partition(":")
    name = name.lstrip("/")
    if not name:
        raise errors.InvalidArgument(f"bad format for links: {text}")
    return name, alias.rpartition("/")[2] or name


def hosts_lines(record: Record, sandboxes: Mapping[str, Sandbox]) -> list[str]:
    """The lines for *record*'s links. Raises ``errors.Conflict`` if a linked container does not run."""
    return [_line(record, *parse(text), sandboxes.values()) for text in record.host_config.links or []]


def _line(record: Record, name: str, alias: str, sandboxes: Iterable[Sandbox]) -> str:
    for sandbox in sandboxes:
        if name == sandbox.name or (len(name) >= 12 and sandbox.container_id.startswith(name)):
            names = dict.fromkeys((alias, sandbox.hostname, sandbox.name))
            for endpoint in sandbox.endpoints:
                if endpoint.ipv4:
                    return f"{endpoint.ipv4}\t{' '.join(names)}\n"
    raise errors.Conflict(f"Cannot link to a non running container: /{name} AS /{record.name}/{alias}")
