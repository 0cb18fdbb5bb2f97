"""What ``corten create`` sends, held against what the stock docker CLI sends for the same command line."""

import contextlib
import io
import json
import os
import shlex
import shutil
import subprocess

import pytest

from corten.cli import main
from tests.support.fakedaemon import FakeDaemon

DOCKER = shutil.which("docker")

ACCEPTED = """
busybox
-it busybox sh
-p 8080:80 -p 127.0.0.1:90:90/udp -p 1000-1002:2000-2002 -p 53 -p [::1]:44:44 -p 8000-8010:80 --expose 99 busybox
--expose 100-101/udp -P busybox
-e A=1 -e B_NOT_SET -e HOME --env-file {env} busybox
-v /a:/b -v /a:/b:ro,z -v vol:/c -v /anon -v vol:/d:nocopy -v ./x:/y busybox
--mount type=bind,src=/tmp,dst=/x,bind-nonrecursive busybox
--mount type=bind,src=/tmp,dst=/x,ro,bind-propagation=rprivate,bind-recursive=readonly busybox
--mount type=volume,src=v,dst=/x,volume-nocopy,volume-driver=local,volume-opt=type=nfs,volume-label=a=b busybox
--mount src=v,target=/x,volume-subpath=q --mount 'type=volume,"volume-opt=o=a,b",dst=/y' busybox
--mount type=tmpfs,dst=/x,tmpfs-size=1m,tmpfs-mode=1777 --mount dst=/y busybox
--mount type=image,src=alpine,dst=/x,image-subpath=foo busybox
--tmpfs /run --tmpfs /tmp:size=1m busybox
--ulimit nofile=10:20 --ulimit core=-1 --ulimit nproc=5 busybox
--gpus all busybox
--gpus 'device=1,"capabilities=compute,utility"' busybox
--gpus '"device=0,1"' --gpus driver=nvidia,count=3,options=a=b busybox
--health-cmd 'curl x' --health-interval 5s --health-retries 3 --health-timeout 2s --health-start-period 1m busybox
--no-healthcheck busybox
--restart on-failure:3 busybox
-m 100m --memory-swap 200m --memory-reservation 50m --memory-swappiness 10 --shm-size 64m --oom-kill-disable busybox
--oom-score-adj 5 --memory-swap -1 --pids-limit -1 busybox
--cpus 1.5 -c 10 --cpu-period 1000 --cpu-quota 2000 --cpuset-cpus 0-1 --cpuset-mems 0 --cpu-rt-period 5 busybox
--blkio-weight 100 --blkio-weight-device /dev/sda:200 --device-read-bps /dev/sda:1mb busybox
--device-write-bps /dev/sda:2mb --device-read-iops /dev/sda:100 --device-write-iops /dev/sda:200 busybox
--cap-add NET_ADMIN --cap-drop all --security-opt no-new-privileges --security-opt apparmor=foo --privileged busybox
--security-opt systempaths=unconfined --security-opt label:type:x --security-opt seccomp=unconfined busybox
--security-opt seccomp={seccomp} busybox
--entrypoint /bin/sh busybox -c x
--entrypoint '' busybox
--network host busybox
--network foo --ip 1.2.3.4 --ip6 ::1 --network-alias a --link c:d --link-local-ip 169.254.1.1 busybox
--network name=foo,alias=x,alias=y,ip=1.2.3.4,driver-opt=a=b,gw-priority=3 --net bar busybox
--network container:foo busybox
--network foo --mac-address 92:d0:c6:0a:29:33 --link a:b busybox
--add-host a:1.2.3.4 --add-host b=::1 --add-host c:host-gateway --dns 1.1.1.1 --dns-opt x --dns-search y busybox
--ipc host --pid host --uts host --userns host --cgroupns private --cgroup-parent x --runtime runc busybox
--pid container:x --ipc container:x busybox
-l a=b -l c --label d= --label-file {labels} --annotation a=b busybox
--log-driver syslog --log-opt a=b busybox
--init --read-only --stop-signal 9 --stop-timeout 3 -u 1:2 -w /tmp -h foo --domainname bar --group-add 1 busybox
--volumes-from a:ro --volume-driver x --storage-opt size=1 --sysctl net.ipv4.ip_forward=1 busybox
-a stdin -i busybox
-a STDOUT busybox
--device-cgroup-rule 'c 1:3 rwm' --platform linux/amd64 --name foo busybox
--rm --stop-timeout -1 --init=false busybox
--use-api-socket busybox
"""

REFUSED = """
-p 80:80:80:80 busybox
-p foo busybox
-p 1-3:1-2 busybox
-p 70000:1 busybox
-p 80/foo busybox
--expose foo busybox
-e =x busybox
--mount type=bind,src=/tmp busybox
--mount foo=bar busybox
--mount type=tmpfs,dst=/x,volume-nocopy busybox
--no-healthcheck --health-cmd x busybox
--restart on-failure:x busybox
--rm --restart always busybox
--blkio-weight-device foo busybox
--device-read-bps /dev/sda:x busybox
--security-opt seccomp=/nope busybox
--security-opt foo busybox
--network foo --network host busybox
--network none --network-alias x busybox
--mac-address foo busybox
--add-host foo busybox
--add-host a:b busybox
--dns foo busybox
--pid foo busybox
--uts foo busybox
--userns foo busybox
--cgroupns foo busybox
--log-driver none --log-opt a=b busybox
-a foo busybox
--device-cgroup-rule x busybox
--memory-swappiness 101 busybox
--env-file /nope busybox
--ulimit nofile=30:20 busybox
--ulimit foo=3 busybox
--sysctl x busybox
--health-interval 3 busybox
--cpus x busybox
--shm-size x busybox
"""


def lines(text):
    return [line for line in text.splitlines() if line]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("create")
    (folder / "env").write_text("# note\nA=file\n\nHOME\n  SPACED=x y\n")
    (folder / "labels").write_text("one=1\ntwo\n")
    (folder / "seccomp").write_text('{ "defaultAction": "SCMP_ACT_ALLOW",\n "x": [1, 2] }')
    daemon = FakeDaemon(str(folder / "d.sock"))
    yield folder, daemon
    daemon.shutdown()


def without_zeros(value):
    """What is meant: a field that is zero and one that is absent are the same to the API."""
    if isinstance(value, dict):
        kept = {key: without_zeros(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, "", 0, False, {}, [0, 0]) and item != []}
    return [without_zeros(item) for item in value] if isinstance(value, list) else value


def request_of(daemon, run):
    daemon.calls.clear()
    code, err = run()
    sent = [call for call in daemon.calls if "/containers/create" in call.path]
    if not sent:
        return code, err.partition("\n")[0], None
    body = sent[0].json()
    body = {name: body[name] if name in KEPT else without_zeros(body[name]) for name in body}
    body = {name: value for name, value in body.items() if value not in (None, "", 0, False, {}, [])}
    endpoints = (body.pop("NetworkingConfig", None) or {}).get("EndpointsConfig")
    body["HostConfig"].get("Binds", []).sort()
    body.get("Env", []).sort()  # docker's own order differs from run to run
    return code, err.partition("\n")[0], (body, endpoints or None, sent[0].path.partition("?")[2])


KEPT = {"ExposedPorts", "Volumes", "Entrypoint", "Labels"}


def both(place, line):
    folder, daemon = place
    paths = {name: str(folder / name) for name in ("env", "labels", "seccomp")}
    argv = ["-H", daemon.url, "create", *shlex.split(line.format(**paths) if "{" in line else line)]

    def docker():
        environ = {**os.environ, "DOCKER_CONFIG": str(folder)}
        done = subprocess.run([DOCKER, *argv], capture_output=True, text=True, cwd=folder, env=environ, check=False)
        return done.returncode, done.stderr.replace("docker:", "corten:", 1)

    def corten():
        before = os.getcwd()
        os.chdir(folder)
        out, err = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main.run(argv)
        finally:
            os.chdir(before)
        err.flush()
        return code, err.buffer.getvalue().decode()

    return request_of(daemon, docker), request_of(daemon, corten)


@pytest.mark.skipif(DOCKER is None, reason="there is no docker binary on PATH")
@pytest.mark.parametrize("line", lines(ACCEPTED))
def test_the_same_request_as_docker(place, line):
    theirs, ours = both(place, line)
    assert theirs[0] == 0, theirs[1]
    assert json.dumps(ours, sort_keys=True, indent=1) == json.dumps(theirs, sort_keys=True, indent=1)


@pytest.mark.skipif(DOCKER is None, reason="there is no docker binary on PATH")
@pytest.mark.parametrize("line", lines(REFUSED))
def test_the_same_refusal_as_docker(place, line):
    theirs, ours = both(place, line)
    assert theirs[0] == 125 and theirs[2] is None
    assert ours == theirs


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("/dev/null", ("/dev/null", "/dev/null", "rwm")),
        ("/dev/zero:/dev/z", ("/dev/zero", "/dev/z", "rwm")),
        ("/dev/zero:/dev/z:r", ("/dev/zero", "/dev/z", "r")),
        ("/dev/zero:rw", ("/dev/zero", "/dev/zero", "rw")),
    ],
)
def test_devices(place, text, device):
    _, daemon = place
    daemon.calls.clear()
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
        main.run(["-H", daemon.url, "create", "--device", text, "--device", "v.com/c=d", "busybox"])
    host = daemon.calls[-1].json()["HostConfig"]
    names = ("PathOnHost", "PathInContainer", "CgroupPermissions")
    assert host["Devices"] == [dict(zip(names, device, strict=True))]
    assert host["DeviceRequests"] == [{"Driver": "cdi", "DeviceIDs": ["v.com/c=d"]}]
