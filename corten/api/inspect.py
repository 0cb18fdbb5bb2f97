"""``GET /containers/{id}/json``: a container's record and state as one document."""

from typing import Any

from corten.api import endpoints
from corten.api.backend import ContainerView
from corten.api.encode import encode
from corten.api.times import rfc3339
from corten.api.versions import Version
from corten.engine.places import Places
from corten.model.record import HealthState, Record, RunState

SNAPSHOTTER = "overlayfs"


def inspect(
    container: ContainerView, places: Places, version: Version, sizes: tuple[int, int] | None
) -> dict[str, Any]:
    """The document. *sizes* are the bytes of the writable layer and of the whole root file system, when asked for."""
    record = container.record
    state = container.state
    document: dict[str, Any] = {
        "Id": record.id,
        "Created": rfc3339(record.created),
        "Path": record.path,
        "Args": record.args,
        "State": state_document(state),
        "Image": record.image,
        "ResolvConfPath": places.resolv_conf,
        "HostnamePath": places.hostname,
        "HostsPath": places.hosts,
        "LogPath": places.log,
        "Name": f"/{record.name}",
        "RestartCount": state.restart_count,
        "Driver": SNAPSHOTTER,
        "Platform": record.platform_os,
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": record.apparmor_profile,
        "ExecIDs": list(container.exec_ids) or None,
        "HostConfig": host_config(record),
    }
    if version >= (1, 52):
        document["Storage"] = {"RootFS": {"Snapshot": {"Name": SNAPSHOTTER}}}
    else:
        document["GraphDriver"] = {"Data": None, "Name": SNAPSHOTTER}
    if sizes is not None:
        document["SizeRw"], document["SizeRootFs"] = sizes
    document["Mounts"] = [encode(mount) for mount in record.mounts]
    document["Config"] = config(record, version)
    document["NetworkSettings"] = endpoints.settings(record, places.sandbox_id, places.sandbox_key, version)
    if version >= (1, 48):
        descriptor = manifest_descriptor(record)
        if descriptor is not None:
            document["ImageManifestDescriptor"] = descriptor
    return document


def host_config(record: Record) -> dict[str, Any]:
    document = encode(record.host_config)
    if document["ConsoleSize"] is None:
        document["ConsoleSize"] = [0, 0]
    return document


def config(record: Record, version: Version) -> dict[str, Any]:
    document = encode(record.config)
    if version >= (1, 52):
        document.pop("MacAddress", None)
    return document


def state_document(state: RunState) -> dict[str, Any]:
    status = state.status
    document: dict[str, Any] = {
        "Status": status,
        "Running": status in ("running", "paused", "restarting"),
        "Paused": status == "paused",
        "Restarting": status == "restarting",
        "OOMKilled": state.oom_killed,
        "Dead": status == "dead",
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": rfc3339(state.started_at),
        "FinishedAt": rfc3339(state.finished_at),
    }
    if state.health is not None:
        document["Health"] = health_document(state.health)
    return document


def health_document(health: HealthState) -> dict[str, Any]:
    return {
        "Status": health.status,
        "FailingStreak": health.failing_streak,
        "Log": [
            {
                "Start": rfc3339(result.start),
                "End": rfc3339(result.end),
                "ExitCode": result.exit_code,
                "Output": result.output,
            }
            for result in health.log
        ],
    }


def manifest_descriptor(record: Record) -> dict[str, Any] | None:
    """The descriptor of the platform's manifest that the container was made from."""
    if not record.manifest_digest:
        return None
    platform = {"architecture": record.platform_architecture, "os": record.platform_os}
    if record.platform_variant:
        platform["variant"] = record.platform_variant
    return {
        "mediaType": record.manifest_media_type,
        "digest": record.manifest_digest,
        "size": record.manifest_size,
        "platform": platform,
    }
