"""Docker's words for what is wrong with a container."""

import pytest

from corten.errors import InvalidArgument
from corten.model.container import (
    ContainerConfig,
    DeviceMapping,
    Healthcheck,
    HostConfig,
    PortBinding,
    RestartPolicy,
    Ulimit,
)
from corten.runtime import defaults, signals, validate
from tests.support.hosts import V1, host


def check(config=None, **fields):
    return validate.check_create(config or ContainerConfig(), HostConfig(**fields), host())


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"memory": 1 << 20}, "Minimum memory limit allowed is 6MB"),
        ({"memory": 8 << 20, "memory_swap": 7 << 20}, "Minimum memoryswap limit should be larger"),
        ({"memory_swap": 7 << 20}, "You should always set the Memory limit when using Memoryswap limit"),
        ({"memory_swappiness": 101}, "valid memory swappiness range is 0-100"),
        ({"memory": 8 << 20, "memory_reservation": 9 << 20}, "can not be less than memory reservation"),
        ({"nano_cpus": 10_000_000_000}, "from 0.01 to 4.00, as there are only 4 CPUs available"),
        ({"nano_cpus": 1, "cpu_period": 1000}, "Nano CPUs and CPU Period cannot both be set"),
        ({"nano_cpus": 1, "cpu_quota": 1000}, "Nano CPUs and CPU Quota cannot both be set"),
        ({"cpu_period": 999}, "CPU cfs period can not be less than 1ms"),
        ({"cpu_quota": 999}, "CPU cfs quota can not be less than 1ms"),
        ({"cpuset_cpus": "a"}, "Invalid value a for cpuset cpus"),
        ({"cpuset_cpus": "0-9"}, "Requested CPUs are not available - requested 0-9, available: 0,1,2,3"),
        ({"cpuset_mems": "7"}, "Requested memory nodes are not available - requested 7, available: 0"),
        ({"blkio_weight": 5}, "Range of blkio weight is from 10 to 1000"),
        ({"oom_score_adj": 1001}, "range for oom score adj is"),
        ({"shm_size": -1}, "SHM size can not be less than 0"),
        ({"cap_add": ["fly"]}, 'invalid CapAdd: unknown capability: "CAP_FLY"'),
        ({"cap_drop": ["fly"]}, 'invalid CapDrop: unknown capability: "CAP_FLY"'),
        ({"security_opt": ["bogus"]}, 'invalid --security-opt 1: "bogus"'),
        ({"security_opt": ["bogus=1"]}, 'invalid --security-opt 2: "bogus=1"'),
        ({"security_opt": ["no-new-privileges=maybe"]}, "invalid --security-opt 2"),
        ({"security_opt": ["seccomp={"]}, "Decoding seccomp profile failed"),
        ({"restart_policy": RestartPolicy(name="sometimes")}, "unknown policy 'sometimes'; use one of 'no'"),
        (
            {"restart_policy": RestartPolicy(name="always", maximum_retry_count=2)},
            "maximum retry count can only be used with 'on-failure'$",
        ),
        ({"restart_policy": RestartPolicy(name="on-failure", maximum_retry_count=-2)}, "cannot be negative"),
        (
            {"auto_remove": True, "restart_policy": RestartPolicy(name="always")},
            "can't create 'AutoRemove' container with restart policy",
        ),
        ({"isolation": "hyperv"}, "invalid isolation 'hyperv' on linux"),
        ({"storage_opt": {"size": "1G"}}, "--storage-opt is supported only"),
        ({"ipc_mode": "public"}, "invalid IPC mode: public"),
        ({"pid_mode": "container:"}, "invalid PID mode: container:"),
        ({"uts_mode": "private"}, "invalid UTS mode: private"),
        ({"userns_mode": "auto"}, "invalid USER mode: auto"),
        ({"cgroupns_mode": "x"}, "invalid cgroup namespace mode: x"),
        ({"network_mode": "container:"}, "invalid container format container:<name|id>"),
        ({"network_mode": "container:a", "dns": ["1.1.1.1"]}, "conflicting options: dns and the network mode"),
        ({"network_mode": "container:a", "links": ["b:b"]}, "container type network can't be used with links"),
        ({"network_mode": "container:a", "publish_all_ports": True}, "port publishing and the container type"),
        ({"network_mode": "host", "links": ["b:b"]}, "host type networking can't be used with links"),
        ({"network_mode": "host", "sysctls": {"net.ipv4.ip_forward": "1"}}, "not allowed in host network namespace"),
        ({"sysctls": {"vm.swappiness": "1"}}, "sysctl 'vm.swappiness' is not allowed"),
        ({"sysctls": {"kernel/core_pattern": "|x"}}, "is not allowed"),
        ({"extra_hosts": ["a"]}, 'bad format for add-host: "a"'),
        ({"extra_hosts": ["a:b"]}, 'invalid IP address in add-host: "b"'),
        ({"port_bindings": {"x/tcp": None}}, 'invalid port specification: "x/tcp"'),
        ({"port_bindings": {"80/icmp": None}}, "invalid proto: icmp"),
        ({"port_bindings": {"80/tcp": [PortBinding(host_port="99999")]}}, 'invalid port specification: "99999"'),
        ({"port_bindings": {"80/tcp": [PortBinding(host_ip="nowhere")]}}, "invalid IP address"),
        ({"ulimits": [Ulimit(name="bogus")]}, "invalid ulimit type: bogus"),
        ({"devices": [DeviceMapping(path_on_host="/dev/null", cgroup_permissions="rwx")]}, "invalid device mode: rwx"),
        ({"device_cgroup_rules": ["c 1:3"]}, "invalid device cgroup rule format: 'c 1:3'"),
        ({"annotations": {"": "x"}}, "the empty string is not permitted as an annotation key"),
        (
            {"annotations": {"run.oci.hooks.stdout": "/etc/x"}},
            "run.oci.hooks.stdout would be an order to the OCI runtime",
        ),
        ({"annotations": {"org.systemd.property.X": "1"}}, "would be an order to the OCI runtime and is refused"),
        ({"masked_paths": ["proc/kcore"]}, "is not an absolute path"),
        ({"blkio_device_read_bps": [{"path": "/dev/nothing", "rate": 1}]}, "no such file"),
    ],
)
def test_host_config(fields, text):
    if isinstance(fields.get("blkio_device_read_bps"), list):
        from corten.model.container import ThrottleDevice

        fields = {"blkio_device_read_bps": [ThrottleDevice(**fields["blkio_device_read_bps"][0])]}
    with pytest.raises(InvalidArgument, match=text):
        check(**fields)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (
            ContainerConfig(working_dir="here"),
            "the working directory 'here' is invalid, it needs to be an absolute path",
        ),
        (ContainerConfig(stop_signal="SIGFOO"), "invalid signal: SIGFOO"),
        (ContainerConfig(env=["=x"]), "invalid environment variable: =x"),
        (ContainerConfig(hostname="a" * 65), "invalid hostname"),
        (ContainerConfig(user="4294967296"), "range 0-2147483647"),
        (ContainerConfig(cmd=["a\0b"]), "NUL"),
        (ContainerConfig(exposed_ports={"0": {}}), "invalid port specification"),
        (ContainerConfig(healthcheck=Healthcheck(interval=5)), "Interval in Healthcheck cannot be less than 1ms"),
        (ContainerConfig(healthcheck=Healthcheck(retries=-1)), "Retries in Healthcheck cannot be negative"),
    ],
)
def test_config(config, text):
    with pytest.raises(InvalidArgument, match=text):
        check(config)


def test_conflicts_with_names():
    with pytest.raises(InvalidArgument, match="conflicting options: hostname and the network mode"):
        check(ContainerConfig(hostname="x"), network_mode="container:a")
    with pytest.raises(InvalidArgument, match="conflicting options: hostname and the UTS mode"):
        check(ContainerConfig(hostname="x"), uts_mode="host")
    with pytest.raises(InvalidArgument, match="conflicting options: mac-address and the network mode"):
        check(ContainerConfig(mac_address="02:42:ac:11:00:02"), network_mode="host")
    with pytest.raises(InvalidArgument, match="port exposing"):
        check(ContainerConfig(exposed_ports={"80/tcp": {}}), network_mode="container:a")


def test_privileged_with_private_cgroup_namespace_on_v1():
    config = HostConfig(privileged=True, cgroupns_mode="private")
    assert validate.check_create(ContainerConfig(), config, host()) == []
    with pytest.raises(InvalidArgument, match="incompatible with private cgroup namespaces on cgroup v1"):
        validate.check_create(ContainerConfig(), config, host(cgroups=V1))


def test_runtime_must_be_known():
    with pytest.raises(InvalidArgument, match="unknown or invalid runtime name: kata"):
        validate.check_create(ContainerConfig(), HostConfig(runtime="kata"), host(), {"crun"})
    assert validate.check_create(ContainerConfig(), HostConfig(runtime="crun"), host(), {"crun"}) == []


def test_what_the_host_cannot_honour_is_named():
    weak = host(bounding=frozenset(("CAP_CHOWN",)), lowest_oom_score_adj=0, limits=frozenset())
    config = HostConfig(
        privileged=True,
        memory=64 << 20,
        oom_score_adj=-5,
        ulimits=[Ulimit(name="nofile", soft=9999, hard=9999)],
        security_opt=["apparmor=mine"],
        network_mode="host",
        port_bindings={"80/tcp": [PortBinding(host_port="80")]},
    )
    text = "\n".join(validate.check_create(ContainerConfig(), config, weak))
    for part in ("memory limit", "CAP_SYS_ADMIN", "OOM score", "nofile", "AppArmor", "Published ports are discarded"):
        assert part in text


def test_ordinary_containers_pass():
    config = ContainerConfig(
        hostname="3f4e5d6c7b8a", env=["A=b", "C"], exposed_ports={"80/tcp": {}, "8000-8010/udp": {}}
    )
    fields = {
        "port_bindings": {
            "80/tcp": [PortBinding(host_ip="::1", host_port="8000-8010"), PortBinding()],
            "81/sctp": None,
        },
        "extra_hosts": ["a:10.0.0.1", "b:host-gateway", "c:fe80::1", "d:[::1]"],
        "sysctls": {"net.core.somaxconn": "1024", "kernel.shmmax": "1"},
        "security_opt": ["no-new-privileges", "seccomp=unconfined", "label=disable", "apparmor:unconfined"],
        "restart_policy": RestartPolicy(name="on-failure", maximum_retry_count=3),
    }
    assert check(config, **fields) == []


def test_defaults():
    filled = defaults.fill(HostConfig(memory=64 << 20, pids_limit=0), host(), runtime="crun")
    assert filled.network_mode == "bridge" and filled.ipc_mode == "private" and filled.cgroupns_mode == "private"
    assert filled.memory_swap == 128 << 20 and filled.pids_limit is None and filled.runtime == "crun"
    assert filled.restart_policy.name == "no" and filled.shm_size == 64 << 20
    assert "/proc/kcore" in filled.masked_paths and "/proc/sys" in filled.readonly_paths
    assert defaults.fill(HostConfig(), host(cgroups=V1)).cgroupns_mode == "host"
    bare = defaults.fill(HostConfig(privileged=True), host())
    assert bare.masked_paths is None and bare.readonly_paths is None
    lifted = defaults.fill(HostConfig(security_opt=["systempaths=unconfined"]), host())
    assert lifted.masked_paths is None


@pytest.mark.parametrize(
    ("text", "number"),
    [("SIGTERM", 15), ("term", 15), ("9", 9), ("SIGRTMIN+3", 37), ("RTMAX-1", 63), ("SIGCLD", 17), ("64", 64)],
)
def test_signals(text, number):
    assert signals.parse(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "SIG", "-9", "9" * 99, "SIGRTMIN+99"])
def test_bad_signals(text):
    with pytest.raises(InvalidArgument, match="invalid signal"):
        signals.parse(text)
