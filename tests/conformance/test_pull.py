"""`pull` from a real registry with the stock CLI, docker-py, `corten pull` and plain requests."""

import base64
import gzip
import hashlib
import json
from collections.abc import Iterator

import pytest
import zstandard

from tests.support import busybox
from tests.support import registry as registries
from tests.support.cortencli import Corten
from tests.support.daemon import KIND, Daemon
from tests.support.http import Api
from tests.support.layers import archive, member
from tests.support.ocilayout import (
    CONFIG,
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    MANIFEST,
    Layout,
)
from tests.support.publish import publish
from tests.support.registry import Registry
from tests.support.scriptedregistry import ScriptedRegistry
from tests.support.stock import Docker

pytestmark = [pytest.mark.skipif(bool(registries.MISSING), reason=str(registries.MISSING))]
ours = pytest.mark.skipif(KIND == "dockerd", reason="dockerd 20.10 does not do this, or not in this way")


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


@pytest.fixture(autouse=True)
def no_images(clean, api: Api):
    yield
    for entry in api("GET", "/images/json").json():
        for name in [*(entry["RepoTags"] or []), *(entry["RepoDigests"] or [])] or [entry["Id"]]:
            api("DELETE", f"/images/{name}", query={"force": "1"})


@pytest.fixture(params=["docker", "corten"])
def cli(request, daemon: Daemon) -> Iterator[Docker]:
    if request.param == "corten" and KIND == "dockerd":
        pytest.skip("corten's own command")
    made = Corten(daemon.url) if request.param == "corten" else Docker(daemon.url)
    yield made
    made.close()


def packed(layer: bytes) -> bytes:
    return gzip.compress(layer, 1, mtime=0)


def layer(text: str, size: int = 0) -> bytes:
    return archive(member(f"file-{text}", text.encode()), member(f"noise-{text}", b"%d" % size * size))


DOCKER = (DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER)


def simple(registry: Registry, repository: str, *tags: str, text: str = "") -> tuple[str, Layout]:
    """An image that can run, of Docker's own types, under all *tags*."""
    layout = Layout()
    base = archive(member(f"base-{text or repository}"))  # or else its layers would be the busybox image's
    target = layout.image(base, busybox.rootfs_tar(), layer(text or repository), pack=packed, kinds=DOCKER)
    return publish(registry, layout, target, repository, *tags), layout


def pull(api: Api, name: str, tag: str = "", headers=None, **query: str) -> list[dict]:
    answer = api("POST", "/images/create", query={"fromImage": name, "tag": tag, **query}, headers=headers)
    assert answer.status == 200, answer.body
    return [json.loads(line) for line in answer.body.splitlines()]


def short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


class TestRecords:
    def test_a_new_image_and_again(self, registry, api):
        digest, layout = simple(registry, "library/records", "1")
        name = f"{registry.host}/library/records"
        layers = [short(each["digest"]) for each in json.loads(layout.blobs[digest])["layers"]]
        records = pull(api, name, "1")
        assert records[0] == {"status": "Pulling from library/records", "id": "1"}
        assert [record for record in records if record["status"] == "Pulling fs layer"] == [
            {"status": "Pulling fs layer", "progressDetail": {}, "id": each} for each in layers
        ]
        for each in layers:
            seen = list(dict.fromkeys(record["status"] for record in records if record.get("id") == each))
            wanted = ["Pulling fs layer", "Verifying Checksum", "Download complete", "Extracting", "Pull complete"]
            assert [status for status in seen if status in wanted] == wanted
        bars = [record for record in records if record["status"] == "Extracting"]
        assert all(record["progress"].startswith("[") and record["progressDetail"]["total"] for record in bars)
        complete = [record["id"] for record in records if record["status"] == "Pull complete"]
        assert complete == layers
        assert records[-2:] == [
            {"status": f"Digest: {digest}"},
            {"status": f"Status: Downloaded newer image for {name}:1"},
        ]
        assert pull(api, name, "1") == [
            {"status": "Pulling from library/records", "id": "1"},
            {"status": f"Digest: {digest}"},
            {"status": f"Status: Image is up to date for {name}:1"},
        ]

    def test_layers_that_are_here(self, registry, api):
        for number in range(1, 3):
            layout = Layout()
            layers = [layer("shared"), *([layer("own")] if number == 2 else [])]
            publish(registry, layout, layout.image(*layers, pack=packed, kinds=DOCKER), "exists", str(number))
        pull(api, f"{registry.host}/exists", "1")
        statuses = [record["status"] for record in pull(api, f"{registry.host}/exists", "2")]
        assert statuses[1:3] == ["Already exists", "Pulling fs layer"]

    def test_failures_before_the_first_record(self, registry, api):
        def fails(name, tag="", **query):
            answer = api("POST", "/images/create", query={"fromImage": name, "tag": tag, **query})
            return answer.status, answer.message

        name = f"{registry.host}/missing"
        assert fails(name, "1") == (404, f"manifest for {name}:1 not found: manifest unknown: manifest unknown")
        assert fails("UPPER", "1")[0] == 400
        assert fails(name, "-") == (400, "invalid tag format")
        assert fails("scratch", "latest") == (403, "'scratch' is a reserved name")
        absent = "sha256:" + "0" * 64
        assert fails(name, absent)[0] == 404

    def test_bad_credentials_are_as_good_as_none(self, registry, api):
        simple(registry, "header", "1")
        records = pull(api, f"{registry.host}/header", "1", headers={"X-Registry-Auth": "%%%"})
        assert records[-1]["status"].startswith("Status: Downloaded")


class TestStockCli:
    def test_pull_run_and_again(self, registry, cli):
        digest, _ = simple(registry, "app", "latest")
        name = f"{registry.host}/app"
        out = cli("pull", name)
        assert out.splitlines()[0] == "Using default tag: latest"
        assert f"Digest: {digest}" in out
        assert f"Status: Downloaded newer image for {name}:latest" in out
        assert out.splitlines()[-1] == f"{name}:latest"
        assert cli("run", "--rm", name, "cat", "file-app") == "app"
        assert f"Status: Image is up to date for {name}:latest" in cli("pull", name)
        assert cli("pull", "-q", name) == f"{name}:latest"

    def test_by_digest(self, registry, cli, api):
        digest, _ = simple(registry, "exact", "1")
        name = f"{registry.host}/exact@{digest}"
        out = cli("pull", name)
        assert f"{digest}: Pulling from exact" in out or "Pulling from exact" in out
        assert out.splitlines()[-1] == name
        assert cli("run", "--rm", name, "echo", "hi") == "hi"
        assert api("GET", f"/images/{name}/json").json()["RepoDigests"] == [name]
        assert api("GET", f"/images/{name}/json").json()["RepoTags"] == []

    def test_all_tags(self, registry, cli, api):
        simple(registry, "many", "a", "b")
        simple(registry, "many", "c", text="other")
        name = f"{registry.host}/many"
        out = cli("pull", "-a", name)
        assert f"Status: Downloaded newer image for {name}" in out.splitlines()
        assert out.splitlines()[-1] == name
        tags = {tag for row in api("GET", "/images/json").json() for tag in row["RepoTags"]}
        assert tags >= {f"{name}:{tag}" for tag in "abc"}
        assert "tag can't be used with --all-tags/-a" in cli.fails("pull", "-a", f"{name}:a").err

    def test_run_pulls_what_is_missing(self, registry, cli):
        simple(registry, "wanted", "1")
        name = f"{registry.host}/wanted:1"
        never = cli.fails("run", "--rm", "--pull", "never", name, "true", code=125)
        assert f"No such image: {name}" in never.err
        result = cli.result("run", "--rm", name, "echo", "hi")
        assert (result.code, result.out) == (0, "hi\n")
        assert f"Unable to find image '{name}' locally" in result.err
        assert f"Status: Downloaded newer image for {name}" in result.err
        again = cli.result("run", "--rm", "--pull", "always", name, "echo", "hi")
        assert f"Status: Image is up to date for {name}" in again.err
        identifier = cli("create", "--pull", "always", "-q", name)
        assert cli("rm", identifier) == identifier
        missing = cli.fails("run", "--rm", f"{registry.host}/wanted:2", "true", code=125)
        assert "manifest unknown" in missing.err

    def test_a_terminal_shows_every_layer(self, registry, cli):
        _, layout = simple(registry, "bars", "1")
        name = f"{registry.host}/bars:1"
        with cli.terminal("pull", name) as terminal:
            assert terminal.wait(60) == 0
        text = terminal.seen.decode(errors="replace")
        for digest in layout.blobs:
            data = layout.blobs[digest]
            if data[:2] == b"\x1f\x8b":
                assert short(digest) in text
        assert "Pull complete" in text
        assert f"Status: Downloaded newer image for {name}" in text

    def test_events(self, registry, docker, api):
        digest, _ = simple(registry, "event", "1")
        name = f"{registry.host}/event"
        since = api("GET", "/info").json()["SystemTime"]
        docker("pull", "-q", f"{name}:1")
        until = api("GET", "/info").json()["SystemTime"]
        filters = ["--filter", "type=image", "--filter", "event=pull", "--format", "json"]
        (line,) = docker("events", "--since", since, "--until", until, *filters).splitlines()
        event = json.loads(line)
        assert (event["Action"], event["Actor"]["ID"]) == ("pull", f"{name}:1")
        assert event["Actor"]["Attributes"]["name"] == name
        assert digest

    def test_a_tag_that_moved(self, registry, docker, api):
        first, _ = simple(registry, "moves", "1", text="old")
        name = f"{registry.host}/moves:1"
        docker("pull", "-q", name)
        second, _ = simple(registry, "moves", "1", text="new")
        assert first != second
        assert f"Status: Downloaded newer image for {name}" in docker("pull", name)
        assert docker("run", "--rm", name, "cat", "file-new") == "new"


def test_docker_py(registry, docker_py):
    digest, _ = simple(registry, "py", "1", "2")
    name = f"{registry.host}/py"
    image = docker_py.images.pull(name, tag="1")
    assert image.tags == [f"{name}:1"]
    assert docker_py.containers.run(image, ["cat", "file-py"], remove=True) == b"py"
    pulled = docker_py.images.pull(name, all_tags=True)
    assert {tag for image in pulled for tag in image.tags} == {f"{name}:1", f"{name}:2"}
    lines = list(docker_py.api.pull(name, tag="1", stream=True, decode=True))
    assert {"status": f"Digest: {digest}"} in lines
    import docker.errors

    with pytest.raises(docker.errors.NotFound):
        docker_py.images.pull(name, tag="3")


class TestFormats:
    @ours
    @pytest.mark.parametrize("pack", [None, packed, zstandard.compress], ids=["tar", "gzip", "zstd"])
    def test_compressions(self, registry, docker, pack):
        layout = Layout()
        kind = "application/vnd.oci.image.layer.v1.tar" + {None: "", packed: "+gzip"}.get(pack, "+zstd")
        target = layout.image(busybox.rootfs_tar(), layer("z", 5000), pack=pack, kinds=(MANIFEST, CONFIG, kind))
        name = f"{registry.host}/pack-{kind[-4:].strip('.+')}:1"
        publish(registry, layout, target, name.split("/", 1)[1].split(":")[0], "1")
        docker("pull", name)
        assert docker("run", "--rm", name, "cat", "file-z") == "z"

    def test_a_platform_of_a_list(self, registry, docker, api):
        layout = Layout()
        images = [
            layout.image(busybox.rootfs_tar(), layer(arch), pack=packed, platform=f"linux/{arch}", kinds=DOCKER)
            for arch in ("s390x", "amd64", "arm64")
        ]
        digest = publish(registry, layout, layout.index(*images, kind=DOCKER_LIST), "list", "1")
        name = f"{registry.host}/list:1"
        assert f"Digest: {digest}" in docker("pull", name)
        assert docker("run", "--rm", name, "cat", "file-amd64") == "amd64"
        fetched = [line for line in registry.requests() if "/v2/list/blobs" in line and line.startswith("GET")]
        assert len(fetched) == 3  # config and two layers
        docker("pull", "--platform", "linux/arm64", name)
        assert api("GET", f"/images/{name}/json", query={"platform": "linux/arm64"} if KIND == "cortend" else {})
        wrong = api("POST", "/images/create", query={"fromImage": name, "platform": "linux/riscv64"})
        assert "no matching manifest for linux/riscv64 in the manifest list entries" in wrong.body.decode()

    @ours
    def test_an_index_with_attestations(self, registry, docker, api, daemon):
        layout = Layout()
        amd64, arm64 = (
            layout.image(busybox.rootfs_tar(), layer(arch), pack=packed, platform=f"linux/{arch}")
            for arch in ("amd64", "arm64")
        )
        index = layout.index(amd64, arm64, layout.attestation(amd64))
        digest = publish(registry, layout, index, "attested", "1")
        name = f"{registry.host}/attested:1"
        docker("pull", name)
        with open(f"{daemon.data_root}/content/blobs/sha256/{digest[7:]}", "rb") as file:
            assert file.read() == layout.blobs[digest]
        (row,) = api("GET", "/images/json", query={"manifests": "1"}).json()
        assert [(each["Kind"], each["Available"]) for each in row["Manifests"]] == [
            ("image", True),
            ("image", False),
            ("attestation", True),
        ]
        docker("pull", "--platform", "linux/arm64", name)
        (row,) = api("GET", "/images/json", query={"manifests": "1"}).json()
        assert all(each["Available"] for each in row["Manifests"])

    @ours
    def test_artifacts_are_kept_and_not_unpacked(self, registry, docker, daemon):
        layout = Layout()
        target = layout.artifact(b"a chart", archive(member("x", b"1")))
        digest = publish(registry, layout, target, "artifact", "1")
        name = f"{registry.host}/artifact:1"
        docker("pull", name)
        for part in layout.below(target):
            with open(f"{daemon.data_root}/content/blobs/sha256/{part[7:]}", "rb") as file:
                assert file.read() == layout.blobs[part]
        assert docker("images", "-q", "--no-trunc", name) == digest
        docker.fails("run", "--rm", name, "true", code=125)

    def test_a_platform_that_a_single_image_lacks(self, registry, api):
        simple(registry, "single", "1")
        query = {"fromImage": f"{registry.host}/single", "tag": "1", "platform": "linux/s390x"}
        body = api("POST", "/images/create", query=query).body.decode()
        assert "does not" in body or KIND == "dockerd"

    @ours
    def test_schema_1(self, api):
        old = {"schemaVersion": 1, "name": "old", "tag": "1", "fsLayers": [], "history": [], "signatures": []}
        with ScriptedRegistry() as scripted:
            scripted.manifest("old", "1", old, "application/vnd.docker.distribution.manifest.v1+prettyjws")
            answer = api("POST", "/images/create", query={"fromImage": f"{scripted.host}/old", "tag": "1"})
        assert "schema 1 support has been removed" in answer.body.decode()
        assert f"{scripted.host}/old:1" in answer.body.decode()

    @ours
    def test_documents_that_are_two_things(self, api):
        both = {"schemaVersion": 2, "manifests": [], "layers": [], "config": {}}
        with ScriptedRegistry() as scripted:
            scripted.manifest("both", "1", both, MANIFEST)
            answer = api("POST", "/images/create", query={"fromImage": f"{scripted.host}/both", "tag": "1"})
        assert "ambiguous" in answer.body.decode()

    @ours
    def test_foreign_layers_come_from_their_urls(self, docker):
        foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
        with ScriptedRegistry() as scripted, ScriptedRegistry() as elsewhere:
            layout = Layout()
            target = layout.image(busybox.rootfs_tar(), layer("foreign"), pack=packed, kinds=(*DOCKER[:2], foreign))
            document = json.loads(layout.blobs[target["digest"]])
            scripted.blob(layout.blobs[document["config"]["digest"]])
            for each in document["layers"]:
                elsewhere.blob(layout.blobs[each["digest"]])
                each["urls"] = [f"http://{elsewhere.host}/v2/x/blobs/{each['digest']}"]
            scripted.manifest("foreign", "1", document, DOCKER_MANIFEST)
            docker("pull", f"{scripted.host}/foreign:1")
            assert docker("run", "--rm", f"{scripted.host}/foreign:1", "cat", "file-foreign") == "foreign"
            for each in document["layers"]:
                each["urls"] = ["http://169.254.169.254/latest"]
                each["digest"] = "sha256:" + hashlib.sha256(each["digest"].encode()).hexdigest()
            scripted.manifest("inward", "1", document, DOCKER_MANIFEST)
            refused = docker.fails("pull", f"{scripted.host}/inward:1")
            assert "169.254.169.254" in refused.err


@pytest.fixture(scope="module")
def guarded() -> Iterator[Registry]:
    """A registry that bob alone may use."""
    with Registry(users={"bob": "s3cr3t"}) as running:
        yield running


class TestCredentials:
    def test_header(self, guarded, api):
        simple(guarded, "secret", "1")
        name = f"{guarded.host}/secret"
        document = json.dumps({"username": "bob", "password": "s3cr3t", "serveraddress": guarded.host})
        header = base64.urlsafe_b64encode(document.encode()).decode()
        assert pull(api, name, "1", headers={"X-Registry-Auth": header})[-1]["status"].startswith("Status: ")
        refused = api("POST", "/images/create", query={"fromImage": name, "tag": "1"})
        assert refused.status == 500
        assert "no basic auth credentials" in refused.message

    def test_stock_login(self, guarded, cli):
        simple(guarded, "secret", "1")
        name = f"{guarded.host}/secret:1"
        assert "no basic auth credentials" in cli.fails("pull", name).err
        cli("login", "-u", "bob", "--password-stdin", guarded.host, stdin=b"s3cr3t")
        cli("pull", name)
        assert cli("run", "--rm", name, "echo", "hi") == "hi"
