"""Rarer options: annotations, device rules, CDI, log drivers, several platforms, OCI layouts, checkpoint, links."""

import hashlib
import io
import json
import socket
import tarfile
import threading

import pytest

from tests.support.busybox import IMAGE
from tests.support.host import spare_device
from tests.support.http import Api
from tests.support.stock import Docker, eventually


@pytest.mark.since("1.43")
def test_annotations(docker: Docker, api: Api) -> None:
    identifier = docker("create", "--annotation", "org.example.a=b", IMAGE)
    assert api("GET", f"/containers/{identifier}/json").json()["HostConfig"]["Annotations"] == {"org.example.a": "b"}


def test_device_cgroup_rule(docker: Docker) -> None:
    major, minor = spare_device()[1:]
    script = f"mknod /mine c {major} {minor} && head -c 0 /mine && echo opened"
    assert docker("run", "--rm", "--device-cgroup-rule", f"c {major}:{minor} rw", IMAGE, "sh", "-c", script) == "opened"
    assert docker.result("run", "--rm", IMAGE, "sh", "-c", script).code != 0
    assert docker.result("run", "--rm", "--device-cgroup-rule", "nonsense", IMAGE, "true").code == 125


@pytest.mark.since("1.44")
def test_devices_of_a_cdi_specification(daemon, docker: Docker) -> None:
    result = docker.result("run", "--rm", "--device", "example.org/none=all", IMAGE, "true")
    assert result.code == 125
    assert "example.org/none=all" in result.err


def test_request_for_gpus_that_are_not_there(docker: Docker) -> None:
    result = docker.result("run", "--rm", "--gpus", "all", IMAGE, "true")
    assert result.code == 125
    assert "could not select device driver" in result.err or "gpu" in result.err.lower()


def test_several_waits(docker: Docker) -> None:
    docker.result("run", "--name", "w1", IMAGE, "sh", "-c", "exit 1")
    docker.result("run", "--name", "w2", IMAGE, "sh", "-c", "exit 2")
    assert docker("wait", "w1", "w2").split() == ["1", "2"]


def test_start_of_several(docker: Docker) -> None:
    docker("create", "--name", "s1", IMAGE, "sleep", "60")
    docker("create", "--name", "s2", IMAGE, "sleep", "60")
    assert docker("start", "s1", "s2").split() == ["s1", "s2"]
    assert set(docker("ps", "--format", "{{.Names}}").split()) == {"s1", "s2"}


def test_start_attached_with_input(docker: Docker) -> None:
    docker("create", "-i", "--name", "s1", IMAGE, "cat")
    assert docker("start", "-ai", "s1", stdin=b"through\n") == "through"


def test_syslog_and_its_copy_for_reading(docker: Docker, daemon) -> None:
    received: list[bytes] = []
    path = f"{daemon.base}/syslog.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        server.settimeout(10)
        reader = threading.Thread(target=lambda: received.append(server.recv(4096)))
        reader.start()
        options = ("--log-driver", "syslog", "--log-opt", f"syslog-address=unixgram://{path}", "--log-opt", "tag=mytag")
        docker("run", "-d", "--name", "l1", *options, IMAGE, "echo", "to the syslog")
        reader.join(15)
        assert b"mytag" in received[0]
        assert b"to the syslog" in received[0]
        eventually(lambda: docker("logs", "l1") == "to the syslog")


def test_non_blocking_logs(docker: Docker) -> None:
    options = ("--log-opt", "mode=non-blocking", "--log-opt", "max-buffer-size=1m")
    docker("run", "--name", "l1", *options, IMAGE, "echo", "hi")
    eventually(lambda: docker("logs", "l1") == "hi")


def test_links(docker: Docker) -> None:
    docker("run", "-d", "--name", "first", IMAGE, "sleep", "60")
    address = docker("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", "first")
    hosts = docker("run", "--rm", "--link", "first:alias", IMAGE, "cat", "/etc/hosts")
    assert any(line.split()[0] == address and "alias" in line.split() for line in hosts.splitlines() if line.strip())


@pytest.mark.since("1.42")
def test_checkpoint_is_refused_with_a_reason(api: Api, docker: Docker) -> None:
    identifier = docker("run", "-d", IMAGE, "sleep", "60")
    answer = api("POST", f"/containers/{identifier}/checkpoints", {"CheckpointID": "c1"})
    assert answer.status == 501
    assert answer.message


@pytest.mark.since("1.42")
@pytest.mark.parametrize("path", ["/swarm/init", "/build?t=x", "/services/create", "/plugins/pull?remote=x"])
def test_what_is_not_built_says_so(api: Api, path: str) -> None:
    answer = api("POST", path, {})
    assert answer.status in (400, 404, 501, 503), answer.body
    assert answer.message


def test_update_without_a_change(docker: Docker) -> None:
    docker("create", "--name", "u1", "-m", "64m", IMAGE)
    docker("update", "--memory", "96m", "--memory-swap", "-1", "u1")
    assert docker("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}", "u1") == f"{96 << 20} -1"


def test_update_below_what_is_allowed(docker: Docker) -> None:
    docker("create", "--name", "u1", IMAGE)
    assert "Minimum memory limit allowed is 6MB".lower() in docker.fails("update", "--memory", "1m", "u1").err.lower()


def layer() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    return buffer.getvalue()


def oci_layout(platforms: list[str], name: str) -> bytes:
    """An OCI layout with an index of one image for each architecture."""
    blobs: dict[str, bytes] = {}

    def put(data: bytes, media: str, **more: object) -> dict:
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(data), **more}

    prefix = "application/vnd.oci.image"
    content = put(layer(), f"{prefix}.layer.v1.tar")
    manifests = []
    for architecture in platforms:
        config = {"architecture": architecture, "os": "linux", "config": {"Cmd": ["/file"]}}
        config["rootfs"] = {"type": "layers", "diff_ids": [content["digest"]]}
        described = put(json.dumps(config).encode(), f"{prefix}.config.v1+json")
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{prefix}.manifest.v1+json",
            "config": described,
            "layers": [content],
        }
        platform = {"architecture": architecture, "os": "linux"}
        manifests.append(put(json.dumps(manifest).encode(), f"{prefix}.manifest.v1+json", platform=platform))
    index = {"schemaVersion": 2, "mediaType": f"{prefix}.index.v1+json", "manifests": manifests}
    named = {"io.containerd.image.name": f"docker.io/library/{name}", "org.opencontainers.image.ref.name": "latest"}
    top = put(json.dumps(index).encode(), f"{prefix}.index.v1+json", annotations=named)
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [top]}).encode()
    files.update({f"blobs/sha256/{digest}": data for digest, data in blobs.items()})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def two_platforms(docker: Docker, api: Api):
    docker("load", stdin=oci_layout(["amd64", "s390x"], "multi:latest"))
    yield "multi"
    api("DELETE", "/images/multi", query={"force": 1})


@pytest.mark.since("1.48")
class TestPlatforms:
    def test_both_are_kept(self, api: Api, two_platforms: str) -> None:
        entries = api("GET", "/images/json", query={"manifests": 1, "filters": {"reference": ["multi"]}}).json()
        shown = {m["ImageData"]["Platform"]["architecture"] for m in entries[0]["Manifests"] if m["Kind"] == "image"}
        assert shown == {"amd64", "s390x"}

    def test_inspect_of_one(self, api: Api, two_platforms: str) -> None:
        platform = {"os": "linux", "architecture": "s390x"}
        shown = api("GET", "/images/multi/json", query={"platform": platform}).json()
        assert shown["Architecture"] == "s390x"
        assert api("GET", "/images/multi/json").json()["Architecture"] == "amd64"

    def test_create_with_one(self, api: Api, docker: Docker, two_platforms: str) -> None:
        identifier = docker("create", "--pull", "never", "--platform", "linux/s390x", "multi")
        assert api("GET", f"/containers/{identifier}/json").json()["ImageManifestDescriptor"]["platform"] == {
            "architecture": "s390x",
            "os": "linux",
        }

    def test_saved_and_loaded_byte_for_byte(self, api: Api, docker: Docker, two_platforms: str) -> None:
        before = api("GET", "/images/multi/json").json()["Id"]
        data = api("GET", "/images/multi/get").body
        docker("rmi", "multi")
        docker("load", stdin=data)
        assert api("GET", "/images/multi/json").json()["Id"] == before
