"""Section A, start-up: descriptors that leak, the runtime's own program, links where it mounts, users, environment."""

import hashlib
import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from tests.attack.conftest import SECRET
from tests.attack.hostile import climb, forget_peak, make, peak, tree
from tests.support.busybox import IMAGE
from tests.support.daemon import Daemon
from tests.support.http import Api, joined
from tests.support.layers import archive, busybox_layer, config_for, docker_archive, member
from tests.support.stock import Docker

DESCRIPTORS = range(3, 65)
"""Case 1 asks for all of them; runc leaked 7 to 9, other versions others."""


def outcome(api: Api, body: dict) -> tuple[int, str]:
    """Create, start and wait: the status of the first of these that was refused, or 0, and the output."""
    created = api("POST", "/containers/create", body)
    if created.status != 201:
        return created.status, created.message
    identifier = created.json()["Id"]
    started = api("POST", f"/containers/{identifier}/start")
    if started.status != 204:
        return started.status, started.message
    api("POST", f"/containers/{identifier}/wait")
    shown = api("GET", f"/containers/{identifier}/logs", query={"stdout": 1, "stderr": 1})
    return 0, joined(shown.body, 1).decode(errors="replace")


def test_working_directory_through_a_descriptor(clean: Daemon, api: Api, outside: str) -> None:
    """CVE-2024-21626: the working directory is a descriptor of the host's that the runtime forgot. Refused."""
    for number in DESCRIPTORS:
        body = {"Image": IMAGE, "WorkingDir": f"/proc/self/fd/{number}", "Cmd": ["cat", climb(f"{outside}/secret")]}
        status, text = outcome(api, body)
        assert SECRET not in text
        assert status in (400, 500), (number, status, text)
    clean.remove_containers()


def test_working_directory_of_an_image(clean: Daemon, api: Api, outside: str) -> None:
    """The same out of the image's config, and by links that the image brings. Refused, or a place in the root."""
    links = [(f"l{number}", f"/proc/self/fd/{number}") for number in DESCRIPTORS]
    make(api, "linked", tree(*links, ("x", "/proc"), ("cwd", "/proc/1/cwd"), ("r", "proc/self/root")))
    ways = [f"/l{number}" for number in DESCRIPTORS] + ["/x/self/fd/8", "/x/thread-self/fd/9", "/cwd", "/r/etc"]
    for way in ways:
        body = {"Image": "linked", "WorkingDir": way, "Cmd": ["cat", climb(f"{outside}/secret")]}
        status, text = outcome(api, body)
        assert SECRET not in text
        assert status != 0 or text == "", (way, text)
    make(api, "config", tree(), changes="WORKDIR /proc/self/fd/8")
    status, text = outcome(api, {"Image": "config", "Cmd": ["cat", climb(f"{outside}/secret")]})
    assert status in (400, 500) and SECRET not in text


def test_exec_directory_through_a_descriptor(clean: Daemon, api: Api, docker: Docker, outside: str) -> None:
    """The same with ``exec -w``, plain and through links that the container makes itself."""
    script = "for n in $(seq 3 64); do ln -s /proc/self/fd/$n /l$n; done; touch /ready; sleep 600"
    docker("run", "-d", "--name", "box", IMAGE, "sh", "-c", script)
    docker("exec", "box", "sh", "-c", "until [ -e /ready ]; do sleep 0.05; done")
    for number in DESCRIPTORS:
        for way in (f"/proc/self/fd/{number}", f"/l{number}", f"/proc/1/fd/{number}"):
            options = {"Cmd": ["cat", climb(f"{outside}/secret")], "WorkingDir": way, "AttachStdout": True}
            created = api("POST", "/containers/box/exec", options)
            if created.status != 201:
                continue
            identifier = created.json()["Id"]
            answer = api("POST", f"/exec/{identifier}/start", {})
            assert SECRET.encode() not in answer.body
            assert answer.status != 200 or api("GET", f"/exec/{identifier}/json").json()["ExitCode"] != 0


@pytest.mark.parametrize("options", [(), ("-i",), ("-t",), ("-it",)], ids=" ".join)
def test_no_descriptor_but_the_three(docker: Docker, outside: str, options: tuple[str, ...]) -> None:
    """CVE-2024-21626: neither the daemon's nor conmon's nor the runtime's; the last one is the listing's own."""
    listing = ("sh", "-c", "cd /proc/self/fd && echo *")
    with docker.terminal("run", "--rm", *options, IMAGE, *listing) as shown:
        assert shown.expect(b"\n").split() in ([b"0", b"1", b"2"], [b"0", b"1", b"2", b"3"])
    docker("run", "-d", "--name", "box", IMAGE, "sleep", "600")
    with docker.terminal("exec", *options, "box", *listing) as shown:
        assert shown.expect(b"\n").split() in ([b"0", b"1", b"2"], [b"0", b"1", b"2", b"3"])
    assert docker("exec", "box", "ls", "/proc/1/fd").split() == ["0", "1", "2"]


def test_working_directory_that_is_a_link(api: Api, docker: Docker, outside: str) -> None:
    """CVE-2026-55686: WORKDIR below a link out of the image. Nothing is made or owned anew on the host."""
    make(api, "linked", tree(("work", outside)))
    docker.result("run", "--rm", "-w", "/work/new/folder", "linked", "touch", "file")
    assert not os.path.exists(f"{outside}/new")


@pytest.mark.parametrize("terminal", [(), ("-t",)])
@pytest.mark.parametrize(
    "name", ["dev", "dev/console", "dev/null", "dev/pts", "dev/ptmx", "dev/shm", "dev/mqueue", "proc", "sys", "etc"]
)
def test_links_where_the_runtime_mounts(
    api: Api, docker: Docker, outside: str, name: str, terminal: tuple[str, ...]
) -> None:
    """CVE-2026-41579, -88264, -88265, CVE-2025-52565: refused, or resolved in the root; the host is unchanged."""
    for target in (outside, climb(outside)):
        make(api, "hostile", tree((name, target)))
        result = docker.result("run", "--rm", *terminal, "hostile", "true", timeout=30)
        assert result.code in (0, 125, 126, 127, 128)
        assert not os.path.exists(f"{outside}/hosts")


def test_files_that_the_engine_mounts(api: Api, docker: Docker, outside: str) -> None:
    """Links at /etc/hosts, hostname, resolv.conf: the engine's files are mounted, the links' targets unchanged."""
    make(api, "hostile", tree(*((f"etc/{name}", f"{outside}/secret") for name in ("hosts", "hostname", "resolv.conf"))))
    docker.result("run", "--rm", "hostile", "sh", "-c", "echo x > /etc/hosts; echo x > /etc/hostname")
    with open(f"{outside}/secret") as file:
        assert file.read() == SECRET


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_runtime_is_not_overwritten(api: Api, docker: Docker, outside: str, runtime: str) -> None:
    """CVE-2019-5736: scripts run by /proc/self/exe, and a writer that waits for exec. The same bytes after."""
    if shutil.which(runtime) is None:
        pytest.skip(f"{runtime} is not installed")
    programs = [path for name in ("crun", "runc", "conmon") if (path := shutil.which(name))]
    before = [digest(path) for path in programs]
    evil = {"evil": b"#!/proc/self/exe\n", "bin/sh": b"#!/proc/self/exe\n"}
    make(api, "evil", tree(files=evil))
    for command in (["/evil"], ["/proc/self/exe"], ["sh", "-c", "true"]):
        outcome(api, {"Image": "evil", "Cmd": command, "HostConfig": {"Runtime": runtime}})
    setup = "echo '#!/proc/self/exe' > /evil; chmod 755 /evil; sleep 600"
    docker("run", "-d", "--name", "box", "--runtime", runtime, IMAGE, "sh", "-c", setup)
    for _ in range(5):
        docker.result("exec", "box", "/evil")
    writer = "for i in $(seq 300); do for f in /proc/[0-9]*/exe; do : 2>/dev/null >> $f; done; done"
    docker("exec", "-d", "box", "sh", "-c", writer)
    for _ in range(10):
        docker.result("exec", "box", "true")
    assert [digest(path) for path in programs] == before


def digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


@pytest.mark.parametrize("user", ["4294967296", "2147483648", "-1", "99999999999999999999", "0x0", "1000:4294967296"])
def test_numbers_that_are_no_user(docker: Docker, outside: str, user: str) -> None:
    """CVE-2024-40635: numbers that wrap round to 0 in 32 bits are refused."""
    result = docker.result("run", "--rm", "-u", user, IMAGE, "id", "-u")
    assert result.code != 0
    assert result.out.strip() != "0"


def test_user_file_that_is_a_pipe_or_a_link(api: Api, docker: Docker, outside: str) -> None:
    """CVE-2026-47262: neither is read through a link to the host, nor waited for."""
    make(api, "hostile", tree(("etc/passwd", f"{outside}/secret"), ("etc/group", "/proc/self/fd/0")))
    result = docker.result("run", "--rm", "-u", "user", "hostile", "id", timeout=20)
    assert result.code != 0
    buffer = io.BytesIO(tree(("etc/group", "passwd"), ("etc/passwd", "pipe")))
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        pipe = tarfile.TarInfo("etc/pipe")
        pipe.type = tarfile.FIFOTYPE
        tar.addfile(pipe)
    make(api, "hostile", buffer.getvalue())
    assert docker.result("run", "--rm", "-u", "user", "hostile", "id", timeout=20).code != 0


HUGE = ("4294967296", "2147483648", "-1", "0" * 5000, "9" * 100_000, "+0", "00000000000", "4294967296:0", "0x0", "1e9")


@pytest.mark.parametrize("user", HUGE, ids=range(len(HUGE)))
def test_image_user_that_is_no_number(clean: Daemon, api: Api, outside: str, user: str) -> None:
    """CVE-2024-40635, CVE-2026-46680: an image's USER that wraps, or that its passwd maps to root. Never uid 0."""
    passwd = f"root:x:0:0::/:/bin/sh\n{user.partition(':')[0]}:x:0:0::/:/bin/sh\n".encode()
    layers = [busybox_layer(), archive(member("etc/passwd", passwd))]
    config = config_for(layers, config={"User": user, "Cmd": ["/bin/busybox", "id", "-u"]})
    answer = api("POST", "/images/load", docker_archive(layers, ["number:1"], config))
    assert b"errorDetail" not in answer.body, answer.body
    status, text = outcome(api, {"Image": "number:1"})
    if user in ("0x0", "1e9"):  # these are names, and this passwd has them
        assert (status, text) == (0, "0\n")
    else:
        assert status == 400, (status, text[:200])


def test_giant_user_files(clean: Daemon, api: Api, outside: str) -> None:
    """CVE-2026-47262: a group file of 50 MB and a passwd of 10 GB of nothing. Read up to a bound, no hang."""
    group = b"user:x:1000:\n" + b"".join(b"g%07d:x:%d:user\n" % (n, n) for n in range(2_000_000))
    assert len(group) > 40 << 20
    sparse = b"".join(
        b"%d %s\n" % (len(text) + 4, text)
        for text in (
            b"GNU.sparse.major=1",
            b"GNU.sparse.minor=0",
            b"GNU.sparse.name=etc/passwd",
            b"GNU.sparse.realsize=10737418240",
        )
    )
    hole = b"1\n10737418236\n4\n".ljust(512, b"\0") + b"tail"
    layers = [busybox_layer(), archive(member("etc/group", group))]
    last = archive(member("x", sparse, kind=b"x"), member("GNUSparseFile.0/passwd", hole))
    for name, chosen in (("group", layers), ("passwd", [busybox_layer(), last])):
        answer = api("POST", "/images/load", docker_archive(chosen, [f"giant:{name}"]))
        assert b"errorDetail" not in answer.body, answer.body
        before = forget_peak(clean.pid)
        for user in ("user", "1000:user", "1000"):
            body = {"Image": f"giant:{name}", "User": user, "Cmd": ["/bin/busybox", "id", "-u"]}
            status, text = outcome(api, {**body, "HostConfig": {"GroupAdd": ["g0000001"]}})
            assert (status, text) != (0, "0\n")
        assert peak(clean.pid) - before < 128 << 20
    for name in ("group", "passwd"):
        api("DELETE", f"/images/giant:{name}", query={"force": 1})


MALFORMED = ("*", "PATH*", "=", "=x", "", " ", "A\nB=c", "é", "\x1b[2J")


def known_environment() -> dict[str, str]:
    usual = ("PATH", "HOME", "HOSTNAME")
    return {name: value for name, value in os.environ.items() if len(value) > 8 and name not in usual}


def test_environment_of_the_host_does_not_leak(api: Api, docker: Docker, outside: str) -> None:
    """CVE-2026-57231: names without a value, patterns, nonsense from a client. Nothing comes in from the host."""
    known = known_environment()
    assert known
    created = api("POST", "/containers/create", {"Image": IMAGE, "Cmd": ["env"], "Env": [*MALFORMED, *known]})
    if created.status == 400:
        created = api("POST", "/containers/create", {"Image": IMAGE, "Cmd": ["env"], "Env": ["*", "PATH*", *known]})
    assert created.status == 201, created.body
    identifier = created.json()["Id"]
    docker.result("start", "-a", identifier)
    shown = docker("logs", identifier)
    assert not [name for name, value in known.items() if value in shown]
    answer = api("POST", f"/containers/{identifier}/exec", {"Cmd": ["env"], "Env": ["*", *known]})
    assert answer.status in (400, 409, 201)


def test_environment_of_an_image(clean: Daemon, api: Api, outside: str) -> None:
    """CVE-2026-57231: the same out of an image's config, where a client has no say."""
    known = known_environment()
    layers = [busybox_layer()]
    config = config_for(layers, config={"Env": [*MALFORMED, *known], "Cmd": ["/bin/busybox", "env"]})
    answer = api("POST", "/images/load", docker_archive(layers, ["environment:1"], config))
    if b"errorDetail" in answer.body:
        return
    status, text = outcome(api, {"Image": "environment:1"})
    assert status in (0, 400)
    assert not [name for name, value in known.items() if value in text]


DIRECTIVES = {
    "run.oci.handler": "wasm",
    "run.oci.hooks.stdout": "{outside}/hook",
    "run.oci.seccomp_bpf_data": "AAAA",
    "run.oci.mount_context_type": "x",
    "run.oci.keep_original_groups": "1",
    "org.systemd.property.ExecStartPre": "'/bin/touch {outside}/hook'",
    "org.criu.config": "{outside}/secret",
    "module.wasm.image/variant": "compat",
    "io.podman.annotations.privileged": "TRUE",
    "io.kubernetes.cri-o.TrustedSandbox": "true",
    "cdi.k8s.io/devices": "vendor.com/device=all",
    "com.docker.network.driver.mtu": "1",
    "org.opencontainers.image.base.name": "evil.example/x",
    "io.container.checkpoint.image": "evil.example/x:latest",
}


def test_labels_are_no_orders(clean: Daemon, api: Api, outside: str) -> None:
    """CVE-2026-53488, -53492, -50195: labels of an image or client that look like directives. Text, nothing else."""
    labels = {name: value.format(outside=outside) for name, value in DIRECTIVES.items()}
    layers = [busybox_layer()]
    config = config_for(layers, config={"Labels": labels, "Cmd": ["/bin/busybox", "sleep", "600"]})
    api("POST", "/images/load", docker_archive(layers, ["labels:1"], config))
    created = api("POST", "/containers/create", {"Image": "labels:1", "Labels": labels}).json()["Id"]
    plain = api("POST", "/containers/create", {"Image": "labels:1"}).json()["Id"]
    assert api("POST", f"/containers/{created}/start").status == 204
    shown, other = (api("GET", f"/containers/{each}/json").json() for each in (created, plain))
    assert shown["Config"]["Labels"] == labels
    assert shown["HostConfig"] == other["HostConfig"]
    documents = [
        json.loads(Path(top, name).read_text())
        for top, _, names in os.walk(clean.exec_root)
        for name in names
        if name == "config.json" and created in top
    ]
    assert documents
    for document in documents:
        annotations = document.get("annotations", {})
        assert set(annotations) & set(labels) <= {"run.oci.seccomp_bpf_data"}
        assert annotations.get("run.oci.seccomp_bpf_data") != "AAAA"
        assert "hooks" not in document


@pytest.mark.parametrize(
    "name", [name for name in DIRECTIVES if name.startswith(("run.", "org.s", "org.cr", "module."))]
)
def test_annotations_are_no_orders(clean: Daemon, api: Api, outside: str, name: str) -> None:
    """The same names as annotations, which do reach the runtime: refused."""
    host = {"Annotations": {name: DIRECTIVES[name].format(outside=outside)}}
    assert outcome(api, {"Image": IMAGE, "Cmd": ["true"], "HostConfig": host})[0] == 400


@pytest.mark.parametrize("place", ["/proc", "/dev", "/sys", "/proc/sys", "/proc/self/attr", "/proc/1", "/dev/pts", "/"])
def test_image_volumes_over_system_places(clean: Daemon, api: Api, outside: str, place: str) -> None:
    """CVE-2019-16884: an image's VOLUME over /proc or /dev would take the masks away. Refused, or masks in place."""
    layers = [busybox_layer()]
    busybox = "/bin/busybox"
    script = f"{busybox} cat /proc/keys /proc/kcore /proc/timer_list 2>/dev/null | {busybox} wc -c; "
    script += "for f in sysrq-trigger sys/kernel/core_pattern irq/default_smp_affinity; do"
    script += " ( : > /proc/$f ) 2>/dev/null && echo writable; done; echo end"
    run = {"Volumes": {place: {}}, "Cmd": ["/bin/busybox", "sh", "-c", script]}
    answer = api("POST", "/images/load", docker_archive(layers, ["places:1"], config_for(layers, config=run)))
    assert answer.status == 200
    status, text = outcome(api, {"Image": "places:1"})
    assert status in (400, 500) or text.split() == ["0", "end"], (status, text)
