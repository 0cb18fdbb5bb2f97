"""Parts of the runtime's document that need no runtime."""

import json
import os

import pytest

from corten.errors import InvalidArgument, NotSupported
from corten.linux import path as rooted
from corten.model.container import ContainerConfig, DeviceMapping, HostConfig, Ulimit
from corten.model.mount import SpecMount
from corten.model.record import Record
from corten.runtime import devices, initprogram, security, spec_mounts, spec_process
from corten.runtime.spec import SpecInput, build_spec, cgroupns_mode, check_rootfs
from tests.support import probe
from tests.support.hosts import V1, host


def record(host_config=None, **config):
    return Record(
        id="abc",
        name="x",
        created=1,
        path="/run",
        config=ContainerConfig(**config),
        host_config=host_config or HostConfig(),
    )


def build(tmp_path, made=None, **more):
    machine = more.pop("machine", host())
    result = build_spec(SpecInput(record=made or record(), rootfs=str(tmp_path), host=machine, **more))
    return json.loads(result.encode()), result.warnings


def test_environment():
    made = spec_process.environment(["A=1", "PATH=/x", "=bad", "*", "A=2", "E="], "box", True, "/root")
    assert made == ["PATH=/x", "HOSTNAME=box", "TERM=xterm", "A=2", "E=", "HOME=/root"]
    assert "HOME=/mine" in spec_process.environment(["HOME=/mine"], "", False, "/root")
    assert not [entry for entry in spec_process.environment(["PATH"], "", False, "/") if entry.startswith("PATH")]


def test_nothing_of_the_daemons_environment(tmp_path, monkeypatch):
    """Attack A7."""
    monkeypatch.setenv("SECRET", "hunter2")
    document, _ = build(tmp_path, record(env=["*", "SECRET", "S*=", "%SECRET%"]))
    assert "hunter2" not in json.dumps(document)


@pytest.mark.parametrize(
    "cwd",
    [
        "/proc/self/fd/7",
        "/proc/1/cwd",
        "/proc/self/task/1/root/x",
        "/../proc/self/fd/3",
        "//proc//self/./fd/3",
        "x",
        "/a\0b",
    ],
)
def test_bad_working_directories(cwd):
    with pytest.raises(InvalidArgument, match="invalid"):
        spec_process.check_cwd(cwd)


@pytest.mark.parametrize(
    ("cwd", "expected"), [("", "/"), ("/", "/"), ("/a/../b/", "/b"), ("/proc", "/proc"), ("//x", "/x")]
)
def test_good_working_directories(cwd, expected):
    assert spec_process.check_cwd(cwd) == expected


def test_system_directories_must_be_directories(tmp_path):
    for name in ("dev", "proc", "sys"):
        (tmp_path / name).symlink_to("/tmp")
        fd = rooted.open_root(str(tmp_path))
        try:
            with pytest.raises(InvalidArgument, match=f"/{name} is not a directory"):
                check_rootfs(fd)
        finally:
            os.close(fd)
        (tmp_path / name).unlink()
        (tmp_path / name).write_text("")
        with pytest.raises(InvalidArgument):
            build(tmp_path)
        (tmp_path / name).unlink()
    build(tmp_path)


def test_an_empty_root_gets_a_document(tmp_path):
    document, warnings = build(tmp_path)
    assert warnings == [] and document["process"]["cwd"] == "/" and document["linux"]["cgroupsPath"] == "/corten/abc"
    assert document["linux"]["sysctl"]["net.ipv4.ip_unprivileged_port_start"] == "0"
    assert {"type": "cgroup"} in document["linux"]["namespaces"]


def test_labels_and_environment_never_become_annotations(tmp_path):
    """Attack A7: only what the client calls an annotation is one."""
    labels = {"run.oci.hooks.stdout": "/x", "cdi.k8s.io/x": "vendor.com/class=all"}
    document, _ = build(tmp_path, record(labels=labels))
    assert set(document["annotations"]) <= {"run.oci.seccomp_bpf_data"}
    document, _ = build(tmp_path, record(HostConfig(annotations={"mine": "1"}, security_opt=["seccomp=unconfined"])))
    assert document["annotations"] == {"mine": "1"} and "seccomp" not in document["linux"]


def test_annotations_give_the_runtime_no_orders(tmp_path):
    """Attack A7, also for records from before they were refused."""
    orders = {"run.oci.seccomp_bpf_data": "AAAA", "run.oci.hooks.stdout": "/etc/x", "org.criu.config": "/x"}
    host_config = HostConfig(annotations={**orders, "mine": "1"}, security_opt=["seccomp=unconfined"])
    document, _ = build(tmp_path, record(host_config))
    assert document["annotations"] == {"mine": "1"}


def test_cgroup_namespace_default():
    assert cgroupns_mode(record(), host()) == "private"
    assert cgroupns_mode(record(), host(cgroups=V1)) == "host"
    assert cgroupns_mode(record(), host(cgroups=V1), "private") == "private"
    assert cgroupns_mode(record(HostConfig(cgroupns_mode="host")), host()) == "host"


def test_paths(tmp_path):
    linux = build(tmp_path)[0]["linux"]
    assert "/proc/kcore" in linux["maskedPaths"] and "/proc/sys" in linux["readonlyPaths"]
    linux = build(tmp_path, record(HostConfig(masked_paths=[], readonly_paths=["/etc"])))[0]["linux"]
    assert "maskedPaths" not in linux and linux["readonlyPaths"] == ["/etc"]
    for made in (HostConfig(privileged=True, masked_paths=["/x"]), HostConfig(security_opt=["systempaths=unconfined"])):
        linux = build(tmp_path, record(made))[0]["linux"]
        assert "maskedPaths" not in linux and "readonlyPaths" not in linux
    throttle = "/sys/devices/system/cpu/cpu0/thermal_throttle"
    linux = build(tmp_path, machine=host(thermal_throttle=(throttle,)))[0]["linux"]
    assert throttle in linux["maskedPaths"]


def test_capability_warning(tmp_path):
    weak = host(bounding=host().bounding - {"CAP_SYS_ADMIN"})
    document, warnings = build(tmp_path, record(HostConfig(cap_add=["SYS_ADMIN"])), machine=weak)
    assert "CAP_SYS_ADMIN" not in document["process"]["capabilities"]["bounding"] and "CAP_SYS_ADMIN" in warnings[0]


def mounts_of(config=None, user_mounts=(), **more):
    options = {"files": {}, "shm_source": "", "writable_cgroups": None} | more
    return spec_mounts.all_mounts(record(config), list(user_mounts), **options)


def by_target(mounts):
    return {mount["destination"]: mount for mount in mounts}


def test_mounts_in_order_and_overridden():
    user = [
        SpecMount(destination="/a/b", type="bind", source="/1", options=["rbind"]),
        SpecMount(destination="/a", type="bind", source="/2", options=["rbind"]),
        SpecMount(destination="/etc/hosts", type="bind", source="/3", options=["rbind"]),
        SpecMount(destination="/dev/shm", type="tmpfs", source="tmpfs", options=["size=1k"]),
    ]
    made = mounts_of(user_mounts=user, files={"/etc/hosts": "/engine", "/etc/hostname": "/h", "/etc/resolv.conf": ""})
    targets = [mount["destination"] for mount in made]
    assert targets[:2] == ["/proc", "/dev"] and targets.index("/a") < targets.index("/a/b")
    assert targets.count("/etc/hosts") == 1 and by_target(made)["/etc/hosts"]["source"] == "/3"
    assert "/etc/hostname" in targets and "/etc/resolv.conf" not in targets
    assert targets.count("/dev/shm") == 1
    own_dev = mounts_of(user_mounts=[SpecMount(destination="/dev", type="bind", source="/dev", options=["rbind"])])
    assert [target for target in by_target(own_dev) if target.startswith("/dev")] == ["/dev"]


def test_read_only_and_privileged_mounts():
    assert "ro" in by_target(mounts_of())["/sys"]["options"]
    privileged = by_target(mounts_of(HostConfig(privileged=True)))
    assert "ro" not in privileged["/sys"]["options"] and "ro" not in privileged["/sys/fs/cgroup"]["options"]
    both = by_target(mounts_of(HostConfig(privileged=True, readonly_rootfs=True)))
    assert "ro" in both["/sys"]["options"] and "ro" not in both["/dev"]["options"]
    assert "ro" not in by_target(mounts_of(writable_cgroups=True))["/sys/fs/cgroup"]["options"]
    assert "ro" in by_target(mounts_of())["/sys/fs/cgroup"]["options"]  # templates are not changed


def test_ipc_mounts():
    assert "size=1048576" in by_target(mounts_of(HostConfig(shm_size=1 << 20)))["/dev/shm"]["options"]
    assert "/dev/shm" not in by_target(mounts_of(HostConfig(ipc_mode="none")))
    assert by_target(mounts_of(HostConfig(ipc_mode="shareable"), shm_source="/run/x/shm"))["/dev/shm"]["type"] == "bind"


@pytest.mark.parametrize(("option", "expected"), [("rshared", "shared"), ("slave", "rslave"), ("rprivate", "")])
def test_propagation_of_the_root(option, expected):
    assert (
        spec_mounts.root_propagation([SpecMount(destination="/a", type="bind", source="/", options=[option])])
        == expected
    )


def test_devices():
    mapping = DeviceMapping(path_on_host="/dev/null", path_in_container="/dev/x", cgroup_permissions="r")
    got = devices.for_container(HostConfig(devices=[mapping], device_cgroup_rules=["c 10:* rwm", "a *:* r"]))
    assert (got.nodes[0]["path"], got.nodes[0]["major"], got.nodes[0]["minor"]) == ("/dev/x", 1, 3)
    assert got.rules[-3:] == [
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"},
        {"allow": True, "type": "c", "major": 10, "access": "rwm"},
        {"allow": True, "type": "a", "access": "r"},
    ]
    assert devices.for_container(HostConfig()).rules is devices.DEFAULT_RULES
    assert devices.DEFAULT_RULES[0] == {"allow": False, "access": "rwm"}


def test_privileged_gets_the_hosts_devices():
    got = devices.for_container(HostConfig(privileged=True))
    paths = {node["path"] for node in got.nodes}
    assert got.rules == [{"allow": True, "access": "rwm"}] and "/dev/null" not in paths
    assert not [path for path in paths if path.startswith(("/dev/pts/", "/dev/shm/"))]


def test_bad_devices(tmp_path):
    for source, text in (("/dev/nothing", "no such file or directory"), (str(tmp_path / "f"), "not a device node")):
        (tmp_path / "f").write_text("")
        with pytest.raises(InvalidArgument, match=f'adding custom device "{source}".*{text}'):
            devices.for_container(HostConfig(devices=[DeviceMapping(path_on_host=source)]))


def test_security_options():
    parsed = security.parse(
        [
            "no-new-privileges:true",
            "label=level:s0",
            "label:disable",
            "apparmor=x",
            "writable-cgroups=true",
            "seccomp=builtin",
        ]
    )
    assert parsed.no_new_privileges and parsed.labels == ("level:s0", "disable") and parsed.apparmor == "x"
    assert parsed.writable_cgroups is True and parsed.seccomp == "builtin"
    assert security.parse(None) == security.SecurityOptions()


def test_exec_process(tmp_path):
    fd = rooted.open_root(str(tmp_path))
    try:
        wanted = spec_process.ExecInput(cmd=["a", "b"], tty=True, env=["X=2"], console_size=[24, 80], working_dir="sub")
        process = spec_process.exec_process(record(env=["X=1", "Y=1"], working_dir="/w"), wanted, fd, host())
        assert process["cwd"] == "/w/sub" and process["args"] == ["a", "b"] and process["terminal"]
        assert {"X=2", "Y=1", "TERM=xterm"} <= set(process["env"])
        assert process["consoleSize"] == {"height": 24, "width": 80}
        privileged = spec_process.ExecInput(cmd=["a"], privileged=True)
        process = spec_process.exec_process(record(), privileged, fd, host())
        assert len(process["capabilities"]["effective"]) == 41
        other = spec_process.exec_process(record(), spec_process.ExecInput(cmd=["a"], user="5"), fd, host())
        assert "effective" not in other["capabilities"]
    finally:
        os.close(fd)


def test_init_program(tmp_path):
    made = record(HostConfig(init=True))
    document, _ = build(tmp_path, made, init_path="/usr/bin/docker-init")
    assert document["process"]["args"] == ["/sbin/docker-init", "--", "/run"]
    assert by_target(document["mounts"])["/sbin/docker-init"]["options"][-1] == "ro"
    with pytest.raises(NotSupported, match="--init needs"):
        build(tmp_path, made)
    document, _ = build(tmp_path, record(HostConfig(init=True, pid_mode="host")))
    assert document["process"]["args"] == ["/run"]
    document, _ = build(tmp_path, record(HostConfig(init=False)), init_path="/usr/bin/docker-init", default_init=True)
    assert document["process"]["args"] == ["/run"]


def test_init_programs_must_be_static(tmp_path):
    assert initprogram.find("/opt/my-init") == "/opt/my-init"
    assert not initprogram.is_static(os.path.realpath("/proc/self/exe"))
    (tmp_path / "x").write_bytes(probe.syscall64(60))
    assert initprogram.is_static(str(tmp_path / "x"))
    (tmp_path / "x").write_bytes(b"#!/bin/sh\n")
    assert not initprogram.is_static(str(tmp_path / "x"))


def test_which_seccomp_profile_applies(tmp_path):
    custom = '{"defaultAction":"SCMP_ACT_LOG"}'

    def action(made=None, **more):
        section = build(tmp_path, record(made), **more)[0]["linux"].get("seccomp")
        return section and section["defaultAction"]

    assert action() == "SCMP_ACT_ERRNO"
    assert action(HostConfig(privileged=True)) is None
    assert action(HostConfig(privileged=True, security_opt=[f"seccomp={custom}"])) == "SCMP_ACT_LOG"
    assert action(default_seccomp=custom) == "SCMP_ACT_LOG"
    assert action(HostConfig(security_opt=["seccomp=builtin"]), default_seccomp="unconfined") == "SCMP_ACT_ERRNO"
    assert action(HostConfig(security_opt=["seccomp=unconfined"]), default_seccomp=custom) is None
    assert action(machine=host(seccomp=False)) is None


def test_exec_has_the_containers_limits(tmp_path):
    fd = rooted.open_root(str(tmp_path))
    try:
        made = record(HostConfig(ulimits=[Ulimit(name="nofile", soft=5, hard=6)]))
        process = spec_process.exec_process(
            made, spec_process.ExecInput(cmd=["a"]), fd, host(), default_ulimits={"nproc": (1, 2), "nofile": (7, 8)}
        )
    finally:
        os.close(fd)
    limits = {entry["type"]: (entry["soft"], entry["hard"]) for entry in process["rlimits"]}
    assert limits == {"RLIMIT_NOFILE": (5, 6), "RLIMIT_NPROC": (1, 2)}


def test_a_shared_network_keeps_its_settings(tmp_path):
    document, _ = build(tmp_path, record(HostConfig(network_mode="container:x")), netns="/proc/1/ns/net")
    assert "sysctl" not in document["linux"]
    assert {"type": "network", "path": "/proc/1/ns/net"} in document["linux"]["namespaces"]


def test_a_home_that_is_no_text_can_be_written(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_bytes(b"root:x:0:0:r:/\xff\xfe:/bin/sh\n")
    document, _ = build(tmp_path)
    assert document["process"]["env"][-1].startswith("HOME=/")
