"""What of the host a request hands out, in one set of words."""

import pytest

from corten import errors
from corten.engine.grants import Grants
from corten.model.container import (
    BindOptions,
    DeviceRequest,
    DriverConfig,
    HostConfig,
    MountPoint,
    MountSpec,
    VolumeOptions,
)
from corten.model.exec import ExecOptions
from corten.model.record import Record
from corten.model.volume import Volume
from corten.runtime.security import MASKED_PATHS, READONLY_PATHS

BOUND = {"type": "none", "o": "bind,ro", "device": "/etc"}
VOLUMES = {
    "plain": Volume(name="plain"),
    "bound": Volume(name="bound", options=BOUND),
    "shared": Volume(name="shared", options={"type": "none", "o": "rbind,rshared", "device": "//srv/./x/"}),
    "nfs": Volume(name="nfs", options={"type": "nfs", "o": "addr=10.0.0.1,password=x", "device": ":/export"}),
    "memory": Volume(name="memory", options={"type": "tmpfs", "device": "tmpfs"}),
}
OTHER = Record(
    id="o",
    name="other",
    created=1,
    mounts=[
        MountPoint(type="bind", source="/srv", destination="/s"),
        MountPoint(type="volume", name="bound", destination="/b"),
        MountPoint(type="tmpfs", destination="/t"),
    ],
)


def volume(name):
    try:
        return VOLUMES[name]
    except KeyError:
        raise errors.NotFound(name) from None


def record(name):
    if name != "other":
        raise errors.NotFound(name)
    return OTHER


@pytest.fixture
def grants():
    return Grants(volume, record, lambda: "crun")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (HostConfig(), []),
        (HostConfig(binds=["plain:/x", "/y", "unknown:/z"]), []),
        (HostConfig(binds=["/etc:/x"]), ["host-path:/etc:rw"]),
        (HostConfig(binds=["/etc/../etc//:/x:ro"]), ["host-path:/etc:ro"]),
        (HostConfig(binds=["/srv:/x:rshared"]), ["host-path:/srv:rw", "propagation:rshared"]),
        (HostConfig(binds=["no mount at all:::"]), []),
        (HostConfig(binds=["bound:/x"]), ["host-path:/etc:ro"]),
        (HostConfig(binds=["shared:/x:ro"]), ["host-path:/srv/x:ro", "propagation:rshared"]),
        (HostConfig(binds=["nfs:/x"]), ["volume-mount:nfs::/export:rw"]),
        (HostConfig(binds=["memory:/x"]), []),
        (HostConfig(volumes_from=["other"]), ["host-path:/srv:rw", "host-path:/etc:ro"]),
        (HostConfig(volumes_from=["other:ro", "nobody"]), ["host-path:/srv:ro", "host-path:/etc:ro"]),
        (HostConfig(cap_add=["ALL"]), ["capability:ALL"]),
        (HostConfig(cap_add=["cap_net_raw", "NET_ADMIN"]), ["capability:NET_ADMIN"]),
        (HostConfig(pid_mode="container:x", ipc_mode="private"), ["pid:container:x"]),
        (HostConfig(runtime="runc"), ["runtime:runc"]),
        (HostConfig(runtime="crun"), []),
        (HostConfig(device_cgroup_rules=["c 1:* rwm"]), ["device-rule:c 1:* rwm"]),
        (HostConfig(device_requests=[DeviceRequest(driver="cdi", device_ids=["a=b"])]), ["device-request:cdi:a=b"]),
        (HostConfig(security_opt=["seccomp={}"]), ["seccomp:own profile"]),
        (HostConfig(security_opt=["seccomp=builtin", "no-new-privileges"]), []),
        (HostConfig(security_opt=["writable-cgroups=true"]), ["writable-cgroups"]),
        (HostConfig(masked_paths=list(MASKED_PATHS), readonly_paths=list(READONLY_PATHS)), []),
        (HostConfig(masked_paths=list(MASKED_PATHS[1:])), ["system-paths"]),
        (HostConfig(privileged=True, masked_paths=[]), ["privileged"]),
    ],
    ids=range(25),
)
def test_of_create(grants, host, expected):
    assert grants.of_create(host) == expected


def test_mounts_say_the_same_as_binds(grants):
    spec = MountSpec(type="bind", source="/etc/", target="/x", bind_options=BindOptions(propagation="rslave"))
    assert grants.of_create(HostConfig(mounts=[spec])) == ["host-path:/etc:rw", "propagation:rslave"]
    options = VolumeOptions(driver_config=DriverConfig(options=BOUND), subpath="ssl/../ssl")
    inline = MountSpec(type="volume", source="new", target="/x", volume_options=options)
    assert grants.of_create(HostConfig(mounts=[inline])) == ["host-path:/etc/ssl:ro"]
    existing = MountSpec(type="volume", source="plain", target="/x", volume_options=options)
    assert grants.of_create(HostConfig(mounts=[existing])) == []  # a volume that exists keeps its options


def test_overlays_name_their_folders():
    options = {"type": "overlay", "device": "overlay", "o": "lowerdir=/etc:/usr,upperdir=/srv/u,workdir=/srv/w"}
    assert Grants.of_volume(options) == [f"host-path:{path}:rw" for path in ("/etc", "/usr", "/srv/u", "/srv/w")]


def test_of_record_and_exec(grants):
    assert grants.of_record(OTHER) == ["host-path:/srv:rw", "host-path:/etc:ro"]
    assert grants.of_exec(ExecOptions(privileged=True)) == ["privileged"]
    assert grants.of_exec(ExecOptions(user="0")) == []
