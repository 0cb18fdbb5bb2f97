"""The runtime's document, run by real crun and runc."""

import json
import os
import shutil
import socket
import stat
import threading

import pytest

from corten.errors import InvalidArgument
from corten.linux import cgroup
from corten.linux import path as rooted
from corten.model.container import ContainerConfig, DeviceMapping, HostConfig, Ulimit
from corten.model.mount import SpecMount
from corten.runtime import resources
from corten.runtime.spec import cgroup_path
from corten.runtime.spec_process import ExecInput, exec_process
from corten.runtime.stats import Reader
from tests.support import busybox, probe
from tests.support.bundle import Bundle
from tests.support.stock import eventually

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(busybox.binary() is None, reason="busybox-static is not installed"),
]

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCHEMA = os.path.join(REPOSITORY, "..", "shared", "reference", "specs", "oci-runtime")
EPERM, ENOSYS = 1, 38


@pytest.fixture(params=["crun", "runc"])
def bundle(request, tmp_path):
    program = shutil.which(request.param) or shutil.which(request.param, path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip(f"{request.param} is not installed")
    made = Bundle(str(tmp_path), program)
    if request.param == "crun" and made.host.cgroups.crun_problem:
        pytest.skip(made.host.cgroups.crun_problem)
    made.populate()
    yield made
    made.close()


@pytest.fixture
def crun(tmp_path):
    made = Bundle(str(tmp_path), shutil.which("crun") or "crun")
    if made.host.cgroups.crun_problem or not shutil.which("crun"):
        pytest.skip("crun cannot run here")
    made.populate()
    yield made
    made.close()


def test_an_ordinary_container(bundle):
    config = ContainerConfig(hostname="box", env=["A=b c", "broken", "=x"], working_dir="/made/here", domainname="lan")
    script = "id; pwd; hostname; cat /proc/sys/kernel/domainname; env | sort; ls /proc/self/fd | wc -l"
    lines = bundle.shell(script, config=config).splitlines()
    assert lines[0].startswith("uid=0(root) gid=0(root)")
    assert lines[1:4] == ["/made/here", "box", "lan"]
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert [line for line in lines[4:-1] if not line.startswith(("PWD=", "SHLVL="))] == [
        "A=b c",
        "HOME=/root",
        "HOSTNAME=box",
        path,
    ]
    assert lines[-1] == "4"  # stdin, stdout, stderr and ls's own
    assert stat.S_IMODE(os.stat(f"{bundle.rootfs}/made/here").st_mode) == 0o755


def test_capabilities_and_no_new_privileges(bundle):
    script = "grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status"
    status = dict(line.split(":\t") for line in bundle.shell(script).splitlines())
    assert status["CapEff"] == status["CapBnd"] == status["CapPrm"] == "00000000a80425fb"
    assert status["CapInh"] == status["CapAmb"] == "0000000000000000"
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("0", "2")
    config = HostConfig(cap_add=["NET_ADMIN"], cap_drop=["MKNOD"], security_opt=["no-new-privileges"])
    status = dict(line.split(":\t") for line in bundle.shell(script, host=config).splitlines())
    assert status["CapEff"] == "00000000a00435fb" and status["NoNewPrivs"] == "1"


def test_other_users_start_without_capabilities(bundle):
    script = "id; echo $HOME; grep CapEff /proc/self/status; grep CapBnd /proc/self/status"
    lines = bundle.shell(script, config=ContainerConfig(user="user"), host=HostConfig(group_add=["0"])).splitlines()
    assert lines[0] == "uid=1000(user) gid=1000(user) groups=0(root),1000(user),2000(extra)"
    assert lines[1] == "/home/user"
    assert lines[2].endswith("0000000000000000") and lines[3].endswith("00000000a80425fb")


def test_privileged_is_clamped_to_the_host(bundle):
    script = "grep CapBnd /proc/self/status; grep Seccomp: /proc/self/status; ls /dev | wc -l; touch /proc/sys/kernel/x"
    done = bundle.run("/bin/sh", "-c", script, host=HostConfig(privileged=True))
    lines = done.stdout.splitlines()
    with open("/proc/self/status", encoding="ascii") as file:
        mine = next(line for line in file if line.startswith("CapBnd"))
    assert lines[0] == mine.strip() and lines[1] == "Seccomp:\t0"
    assert int(lines[2]) > 20
    assert "Read-only" not in done.stderr


def test_masked_and_readonly_paths(bundle):
    script = (
        "cat /proc/kcore | wc -c; ls /proc/acpi /sys/firmware 2>/dev/null | grep -v : | wc -w; cat /proc/keys;"
        "for f in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /sys/kernel/x; do"
        "  if echo x 2>/dev/null > $f; then echo writable $f; fi; done"
    )
    assert bundle.shell(script).split() == ["0", "0"]


def test_default_seccomp_filter(bundle):
    """Attack A8."""
    cases = {
        "af_alg": (probe.syscall64(41, 38, 5, 0), EPERM),
        "af_vsock": (probe.syscall64(41, 40, 1, 0), EPERM),
        "af_unix": (probe.syscall64(41, 1, 1, 0), 0),
        "io_uring_setup": (probe.syscall64(425, 1, 0), EPERM),
        "keyctl": (probe.syscall64(250, 0, -3, 0), EPERM),
        "add_key": (probe.syscall64(248, 0, 0, 0), EPERM),
        "userfaultfd": (probe.syscall64(323, 0), EPERM),
        "bpf": (probe.syscall64(321, 0, 0, 0), EPERM),
        "mount": (probe.syscall64(165, 0, 0, 0), EPERM),
        "unshare": (probe.syscall64(272, 0x20000), EPERM),
        "clone3": (probe.syscall64(435, 0, 0), ENOSYS),
        "socketcall32_alg": (probe.socketcall32(38), ENOSYS),
        "socketcall32_unix": (probe.socketcall32(1), ENOSYS),
    }
    if os.uname().machine != "x86_64":
        pytest.skip("the probes are x86-64 programs")
    for name, (program, _) in cases.items():
        with open(f"{bundle.rootfs}/{name}", "wb") as file:
            file.write(program)
        os.chmod(f"{bundle.rootfs}/{name}", 0o755)
    output = bundle.shell("for p in " + " ".join(cases) + "; do /$p; echo $p $?; done")
    got = {line.split()[0]: int(line.split()[1]) for line in output.splitlines()}
    assert got == {name: code for name, (_, code) in cases.items()}


def test_unconfined_and_custom_seccomp(bundle):
    assert bundle.shell("grep Seccomp: /proc/1/status", host=HostConfig(security_opt=["seccomp=unconfined"])) == (
        "Seccomp:\t0\n"
    )
    profile = json.dumps(
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}
    )
    done = bundle.run("/bin/mkdir", "/new", host=HostConfig(security_opt=[f"seccomp={profile}"]))
    assert done.returncode != 0 and "Operation not permitted" in done.stderr


def test_our_filter_is_the_one_crun_makes(crun):
    """The program handed over and the one that crun compiles from the section are the same bytes."""
    programs = []
    for with_annotation in (True, False):
        container_id, result = crun.spec("/bin/sleep", "100")
        if not with_annotation:
            del result.spec["annotations"]
            with open(f"{crun.directory}/config.json", "wb") as file:
                file.write(result.encode())
        try:
            assert crun.create(container_id) == ""
            with open(f"{crun.directory}/state/{container_id}/seccomp.bpf", "rb") as file:
                programs.append(file.read())
        finally:
            crun.call("delete", "--force", container_id)
    assert programs[0] == programs[1] and len(programs[0]) > 1000


@pytest.mark.parametrize("number", [*range(3, 12), 64])
def test_working_directory_through_descriptors(bundle, number):
    """Attack A1, in the config, behind a link of the image, and for exec."""
    os.symlink(f"/proc/self/fd/{number}", f"{bundle.rootfs}/sneaky")
    os.symlink("/proc", f"{bundle.rootfs}/x")
    for cwd in (
        f"/proc/self/fd/{number}",
        f"/x/self/fd/{number}",
        f"/proc/1/fd/{number}",
        "/sneaky",
        "/sneaky/x",
    ):
        try:
            done = bundle.run("/bin/pwd", config=ContainerConfig(working_dir=cwd))
        except InvalidArgument:
            continue
        assert done.returncode != 0, (cwd, done.stdout)
    record = _record(ContainerConfig())
    with rooted.opened(rooted.open_root(bundle.rootfs)) as root, pytest.raises(InvalidArgument):
        exec_process(record, ExecInput(cmd=["pwd"], working_dir=f"/proc/self/fd/{number}"), root, bundle.host)


def test_working_directory_stays_inside(bundle, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    os.symlink(str(outside), f"{bundle.rootfs}/away")
    os.symlink("../../../../../../../..", f"{bundle.rootfs}/up")
    bundle.shell("true", config=ContainerConfig(working_dir="/away/made"))
    bundle.shell("true", config=ContainerConfig(working_dir=f"/up{outside}/made2"))
    assert os.listdir(outside) == []
    assert os.path.isdir(f"{bundle.rootfs}{outside}/made")
    with open(f"{bundle.rootfs}/file", "w", encoding="ascii"):
        pass
    with pytest.raises(InvalidArgument, match="not a directory"):
        bundle.spec("/bin/true", config=ContainerConfig(working_dir="/file"))


def test_runtime_binary_is_not_writable_from_inside(bundle):
    """Attack A2: the program of the first process is the runtime itself, by /proc/self/exe."""
    with open(bundle.runtime, "rb") as file:
        before = file.read()
    bundle.run("/proc/self/exe", "--version")
    script = "for i in 1 2 3; do for e in /proc/[0-9]*/exe; do (echo owned > $e) 2>/dev/null; done; done; true"
    bundle.run("/bin/sh", "-c", script)
    with open(bundle.runtime, "rb") as file:
        assert file.read() == before


@pytest.mark.parametrize("name", ["dev", "proc", "sys"])
@pytest.mark.parametrize("target", ["/outside", "../../../../../../tmp", "etc"])
@pytest.mark.parametrize("tty", [False, True])
def test_images_with_linked_system_directories(crun, name, target, tty):
    """Attack A3: refused before a runtime sees them."""
    os.rmdir(f"{crun.rootfs}/{name}")
    os.symlink(target, f"{crun.rootfs}/{name}")
    with pytest.raises(InvalidArgument, match=f"/{name} is not a directory"):
        crun.spec("/bin/true", config=ContainerConfig(tty=tty))


@pytest.mark.parametrize("name", ["console", "null", "pts", "ptmx", "shm", "mqueue", "zero"])
def test_images_with_links_in_dev(bundle, tmp_path, name):
    """Attack A3: what the image has in /dev is below a tmpfs and counts for nothing."""
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    os.symlink(str(outside), f"{bundle.rootfs}/dev/{name}")
    assert bundle.shell("test -c /dev/null && echo x > /dev/null && echo fine") == "fine\n"
    assert outside.read_text() == "untouched" and outside.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("name", ["console", "null", "pts", "ptmx", "tty"])
def test_images_with_links_in_dev_and_a_terminal(bundle, tmp_path, name, absolute):
    """Attack A3 with a terminal, whose /dev/console is made on the way in (CVE-2026-88264)."""
    outside = tmp_path / "outside"
    outside.mkdir()
    target = str(outside / "made") if absolute else "../" * 20 + str(outside / "made")[1:]
    os.symlink(target, f"{bundle.rootfs}/dev/{name}")
    container_id, _ = bundle.spec("/bin/sh", "-c", "test -c /dev/console && tty", config=ContainerConfig(tty=True))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{bundle.directory}/c")
        listener.listen(1)
        listener.settimeout(10)
        try:
            assert bundle.create(container_id, "--console-socket", f"{bundle.directory}/c") == ""
            with listener.accept()[0] as connection:
                master = socket.recv_fds(connection, 100, 1)[1][0]
            assert bundle.call("start", container_id).returncode == 0
            with rooted.opened(master):
                assert b"/dev/pts/0" in os.read(master, 100)
        finally:
            bundle.call("delete", "--force", container_id)
    assert os.listdir(outside) == []


@pytest.mark.parametrize("target", ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/etc/passwd"])
def test_volumes_over_dev_and_proc(bundle, tmp_path, target):
    """Attack A4: whoever shares the volume could swap /dev/null while the masks are made; it never gets that far."""
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "null").symlink_to(target)
    for place in ("/dev", "/proc", "/dev/", "/proc/../dev", "/proc/self"):
        mount = SpecMount(destination=place, type="bind", source=str(volume), options=["rbind", "rprivate"])
        with pytest.raises(InvalidArgument, match="cannot be mounted"):
            bundle.spec("/bin/true", mounts=[mount])
    own = SpecMount(destination="/dev", type="bind", source="/dev", options=["rbind", "rprivate"])
    bundle.spec("/bin/true", mounts=[own])  # not run: the runtime would make its links in the host's /dev


def test_swapping_beside_a_starting_container(bundle, tmp_path):
    """Attack A4: a volume whose entries another process swaps all the time, mounted elsewhere: the masks hold."""
    volume = tmp_path / "volume"
    volume.mkdir()
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            for target in ("/proc/sys/kernel/core_pattern", "/dev/null"):
                os.symlink(target, volume / "new")
                os.rename(volume / "new", volume / "null")

    thread = threading.Thread(target=swap)
    thread.start()
    mounts = [SpecMount(destination="/shared/dev", type="bind", source=str(volume), options=["rbind", "rprivate"])]
    script = "head -c 1 /proc/kcore | wc -c; (echo x > /proc/sys/kernel/core_pattern) 2>/dev/null || echo no"
    try:
        for _ in range(5):
            assert bundle.shell(script, mounts=mounts).split() == ["0", "no"]
    finally:
        stop.set()
        thread.join()


def test_limits_and_stats(bundle):
    config = HostConfig(memory=32 << 20, pids_limit=50, nano_cpus=500_000_000, cpu_shares=300, cpuset_cpus="0")
    container_id, result = bundle.spec("/bin/sh", "-c", "echo $(seq 1000) >/tmp/x; sleep 100", host=config)
    path = result.spec["linux"]["cgroupsPath"]
    layout = bundle.host.cgroups
    try:
        assert bundle.create(container_id) == ""
        pid = json.loads(bundle.call("state", container_id).stdout)["pid"]
        assert cgroup.pids(layout, path) == [pid]
        sample = Reader(bundle.host).sample(path, pid)
        assert sample.memory_stats.limit == 32 << 20 and sample.memory_stats.usage > 0
        assert sample.pids_stats.current >= 1 and sample.pids_stats.limit == 50
        assert sample.cpu_stats.cpu_usage.total_usage > 0
        assert sample.cpu_stats.system_cpu_usage > sample.cpu_stats.cpu_usage.total_usage
        cgroup.set_frozen(layout, path, True)
        eventually(lambda: cgroup.frozen(layout, path))
        cgroup.set_frozen(layout, path, False)
        eventually(lambda: not cgroup.frozen(layout, path))
        _update(bundle, container_id, resources.oci(HostConfig(memory=64 << 20, pids_limit=0)))
        sample = Reader(bundle.host).sample(path, pid)
        assert sample.memory_stats.limit == 64 << 20
        assert cgroup.oom_kills(layout, path) == 0
    finally:
        bundle.call("delete", "--force", container_id)
    assert cgroup.pids(layout, path) == []
    cgroup.remove(layout, path)
    assert not cgroup.exists(layout, path)


def test_oom_is_counted(bundle):
    container_id, result = bundle.spec(
        "/bin/sh", "-c", "sleep 100 & tail /dev/zero; wait", host=HostConfig(memory=16 << 20, memory_swap=16 << 20)
    )
    path = result.spec["linux"]["cgroupsPath"]
    try:
        assert bundle.create(container_id) == ""
        assert bundle.call("start", container_id).returncode == 0
        assert _eventually(lambda: cgroup.oom_kills(bundle.host.cgroups, path) > 0)
    finally:
        bundle.call("delete", "--force", container_id)


def test_ulimits_and_oom_score(bundle):
    config = HostConfig(ulimits=[Ulimit(name="nofile", soft=99, hard=1 << 30)], oom_score_adj=500)
    out = bundle.shell("ulimit -Sn; cat /proc/self/oom_score_adj", host=config)
    assert out.split() == ["99", "500"]
    _, result = bundle.spec("/bin/true", host=config)
    if not bundle.host.can_raise_limits:
        assert "nofile" in result.warnings[0]
    bundle.shell("true", host=HostConfig(oom_score_adj=-1000))


def test_mounts(bundle, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "hosts").write_text("1.2.3.4 me\n")
    mounts = [
        SpecMount(destination="/data", type="bind", source=str(tmp_path / "data"), options=["rbind", "rprivate"]),
        SpecMount(destination="/data/t", type="tmpfs", source="tmpfs", options=["noexec", "size=4096k"]),
    ]
    (tmp_path / "data/t").mkdir()
    script = (
        "cat /etc/hosts; touch /data/x; (touch /y) 2>/dev/null || echo root is read-only; touch /dev/shm/z;"
        "df -k /dev/shm | tail -1 | awk '{print $2}'; df -k /data/t | tail -1 | awk '{print $2}'"
    )
    config = HostConfig(readonly_rootfs=True, shm_size=1 << 20)
    out = bundle.shell(script, host=config, mounts=mounts, hosts_file=str(tmp_path / "hosts"))
    assert out == "1.2.3.4 me\nroot is read-only\n1024\n4096\n"
    assert (tmp_path / "data/x").exists()


def test_namespaces(bundle):
    mine = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "pid", "ipc", "uts", "mnt", "cgroup")}
    script = "for n in net pid ipc uts mnt cgroup; do readlink /proc/self/ns/$n; done"
    own = bundle.shell(script).split()
    assert not set(own[:5]) & set(mine.values())
    config = HostConfig(network_mode="host", pid_mode="host", ipc_mode="host", uts_mode="host", cgroupns_mode="host")
    got = bundle.shell(script, host=config).split()
    assert [got[index] for index in (0, 1, 2, 3, 5)] == [mine[kind] for kind in ("net", "pid", "ipc", "uts", "cgroup")]
    joined = bundle.shell(script, ipc_ns=f"/proc/{os.getpid()}/ns/ipc").split()
    assert joined[2] == mine["ipc"]
    assert bundle.shell("ls -d /dev/shm 2>/dev/null || echo none", host=HostConfig(ipc_mode="none")) == "none\n"


def test_sysctls(bundle):
    script = (
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range /proc/sys/kernel/msgmax"
    )
    out = bundle.shell(script, host=HostConfig(sysctls={"kernel.msgmax": "4242"}))
    assert out.split() == ["0", "0", "2147483647", "4242"]


def test_devices(bundle):
    config = HostConfig(
        devices=[DeviceMapping(path_on_host="/dev/kmsg", path_in_container="/dev/log1", cgroup_permissions="r")]
    )
    out = bundle.shell("stat -c %t:%T /dev/log1; (echo x > /dev/log1) 2>/dev/null || echo no", host=config)
    assert out == "1:b\nno\n"
    done = bundle.run("/bin/sh", "-c", "mknod /disk b 254 0 && cat /disk")
    assert done.returncode != 0 and "Operation not permitted" in done.stderr


def test_init(bundle):
    path = next((path for name in ("docker-init", "tini", "catatonit") if (path := shutil.which(name))), None)
    if path is None:
        pytest.skip("no init program installed")
    out = bundle.shell("cat /proc/1/comm; echo $$", host=HostConfig(init=True), init_path=path).split()
    assert out[0] == "docker-init" and out[1] != "1"


def test_exec(bundle):
    config = ContainerConfig(env=["A=1", "B=2"], working_dir="/tmp")
    container_id, _ = bundle.spec("/bin/sleep", "100", config=config)
    record = _record(config)
    try:
        assert bundle.create(container_id) == ""
        assert bundle.call("start", container_id).returncode == 0
        script = "id -u; echo $A $B $C; pwd; grep CapEff /proc/self/status; grep Seccomp: /proc/self/status"
        for wanted, expected in (
            (ExecInput(cmd=["sh", "-c", script], env=["B=3", "C=4"]), ["0", "1 3 4", "/tmp", "a80425fb", "2"]),
            (ExecInput(cmd=["sh", "-c", script], user="user", working_dir="/"), ["1000", "1 2", "/", "00000000", "2"]),
        ):
            with rooted.opened(rooted.open_root(bundle.rootfs)) as root:
                process = exec_process(record, wanted, root, bundle.host)
            with open(f"{bundle.directory}/process.json", "w", encoding="utf-8") as file:
                json.dump(process, file)
            done = bundle.call("exec", "--process", f"{bundle.directory}/process.json", container_id)
            assert done.returncode == 0, done.stderr
            for line, end in zip(done.stdout.splitlines(), expected, strict=True):
                assert line.strip().endswith(end)
    finally:
        bundle.call("delete", "--force", container_id)


def test_exec_in_a_directory_behind_links_of_proc(bundle):
    """Attack A1 by the container itself: it makes a link to a descriptor and waits for the next exec."""
    container_id, _ = bundle.spec("/bin/sh", "-c", "for n in $(seq 3 64); do ln -s /proc/self/fd/$n /l$n; done;"
                                  "ln -s /proc/1/cwd /cwd; ln -s /proc/1/root/etc /etc2; exec sleep 100")  # fmt: skip
    try:
        assert bundle.create(container_id) == ""
        assert bundle.call("start", container_id).returncode == 0
        assert _eventually(lambda: os.path.lexists(f"{bundle.rootfs}/etc2"))
        pid = json.loads(bundle.call("state", container_id).stdout)["pid"]
        with rooted.opened(rooted.open_root(f"/proc/{pid}/root")) as root:
            for cwd in ("/l3", "/l7", "/l64", "/cwd", "/etc2"):
                with pytest.raises(InvalidArgument, match="working directory"):
                    exec_process(_record(ContainerConfig()), ExecInput(cmd=["pwd"], working_dir=cwd), root, bundle.host)
            for cwd in ("/tmp", "/nowhere", "/bin/busybox"):
                exec_process(_record(ContainerConfig()), ExecInput(cmd=["pwd"], working_dir=cwd), root, bundle.host)
    finally:
        bundle.call("delete", "--force", container_id)


def test_document_matches_the_published_schema(crun):
    if not os.path.isdir(SCHEMA):
        pytest.skip(f"{SCHEMA} is not here")
    config = HostConfig(
        memory=32 << 20,
        pids_limit=5,
        cpu_shares=5,
        devices=[DeviceMapping(path_on_host="/dev/null")],
        ulimits=[Ulimit(name="nofile", soft=5, hard=6)],
        sysctls={"net.core.somaxconn": "5"},
        annotations={"a": "b"},
        oom_score_adj=5,
        console_size=[24, 80],
    )
    for host in (HostConfig(), config, HostConfig(privileged=True)):
        _, result = crun.spec("/bin/true", config=ContainerConfig(tty=True, hostname="x"), host=host)
        _validate(json.loads(result.encode()))


def _validate(document):
    from jsonschema import Draft4Validator
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT4

    def load(name):
        with open(f"{SCHEMA}/{os.path.basename(name)}", encoding="utf-8") as file:
            return json.load(file)

    registry = Registry(retrieve=lambda uri: Resource.from_contents(load(uri), default_specification=DRAFT4))
    schema = load("config-schema.json")
    schema.pop("id", None)
    problems = [
        f"{list(error.path)}: {error.message}"
        for error in Draft4Validator(schema, registry=registry).iter_errors(document)
    ]
    assert problems == []


def _record(config):
    from corten.model.record import Record

    return Record(id="x", name="x", created=1, config=config)


def _update(bundle, container_id, wanted):
    path = f"{bundle.directory}/resources.json"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(wanted, file)
    done = bundle.call("update", "--resources", path, container_id)
    assert done.returncode == 0, done.stderr


def _eventually(condition):
    import time

    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_cgroup_path_follows_the_parent():
    from corten.model.record import Record

    record = Record(id="abc", name="x", created=1)
    assert cgroup_path(record) == "/corten/abc"
    for parent in ("/a/b", "a/b/", "/a/../a//b"):
        record = Record(id="abc", name="x", created=1, host_config=HostConfig(cgroup_parent=parent))
        assert cgroup_path(record) == "/a/b/abc"
