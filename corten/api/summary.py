"""``GET /containers/json``: rows of the list, kept encoded while their container does not change.

Only ``Status`` ages, so a row is kept as the bytes before and after it; a list of a hundred costs about as much as
joining them.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from corten.api import endpoints
from corten.api.backend import ContainerView
from corten.api.encode import encode
from corten.api.inspect import manifest_descriptor
from corten.api.response import to_json
from corten.api.status import status_text
from corten.api.versions import Version
from corten.model.record import Record, RunState

_quote = msgspec.json.Encoder().encode


class _Row(NamedTuple):
    record: Record
    state: RunState
    image: str
    before: bytes
    after: bytes


class Summaries:
    """The encoded rows, per group of API versions that see the same. Rows of removed containers go with ``trim``."""

    def __init__(self) -> None:
        self._rows: dict[tuple[int, str], _Row] = {}

    def render(
        self,
        containers: Iterable[ContainerView],
        version: Version,
        now: int,
        image_name: Callable[[Record], str],
        sizes: dict[str, tuple[int, int]],
    ) -> bytes:
        """The JSON list. *image_name* gives the text for ``Image``, *sizes* bytes per container id when asked for."""
        group = _group(version)
        parts: list[bytes] = []
        for container in containers:
            row = self._row(container, version, group, image_name(container.record))
            before = row.before
            size = sizes.get(row.record.id)
            if size is not None:
                before = b'{"SizeRw":%d,"SizeRootFs":%d,%b' % (*size, before[1:])
            parts.append(before + _quote(status_text(row.state, now)) + row.after)
        return b"[" + b",".join(parts) + b"]\n"

    def _row(self, container: ContainerView, version: Version, group: int, image: str) -> _Row:
        record, state = container.record, container.state
        key = (group, record.id)
        row = self._rows.get(key)
        if row is None or row.record is not record or row.state is not state or row.image != image:
            first, last = _document(record, state, image, version)
            before = to_json(first)[:-2] + b',"Status":'
            row = self._rows[key] = _Row(record, state, image, before, b"," + to_json(last)[1:-1])
        return row

    def trim(self, known: int, exists: Callable[[str], bool]) -> None:
        """Forget rows of containers that are gone, once there are many more rows than the *known* containers."""
        if len(self._rows) > 64 + 4 * known:
            self._rows = {key: row for key, row in self._rows.items() if exists(key[1])}


def _group(version: Version) -> int:
    """Versions with equal groups see equal rows."""
    return sum(version >= step for step in ((1, 45), (1, 46), (1, 48), (1, 52)))


def _document(record: Record, state: RunState, image: str, version: Version) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys before and after ``Status``."""
    document: dict[str, Any] = {
        "Id": record.id,
        "Names": [f"/{record.name}"],
        "Image": image,
        "ImageID": record.image,
    }
    descriptor = manifest_descriptor(record) if version >= (1, 48) else None
    if descriptor is not None:
        document["ImageManifestDescriptor"] = descriptor
    document |= {
        "Command": command(record),
        "Created": record.created // 1_000_000_000,
        "Ports": endpoints.port_list(record),
        "Labels": record.config.labels or {},
        "State": state.status,
    }
    rest: dict[str, Any] = {"HostConfig": _host(record, version)}
    if version >= (1, 52):
        health = state.health
        rest["Health"] = {
            "Status": health.status if health is not None else "none",
            "FailingStreak": health.failing_streak if health is not None else 0,
        }
    rest["NetworkSettings"] = {"Networks": endpoints.networks(record, version)}
    rest["Mounts"] = [encode(mount) for mount in record.mounts]
    return document, rest


def _host(record: Record, version: Version) -> dict[str, Any]:
    host: dict[str, Any] = {"NetworkMode": record.host_config.network_mode}
    if record.host_config.annotations and version >= (1, 46):
        host["Annotations"] = record.host_config.annotations
    return host


def command(record: Record) -> str:
    """Program and arguments in one text; arguments with blanks are quoted."""
    arguments = [f"'{argument}'" if " " in argument else argument for argument in record.args]
    return " ".join([record.path, *arguments])
