"""`push` to a real registry: what arrives is what was pushed, byte for byte, and nothing goes twice."""

import base64
import gzip
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator

import pytest
import zstandard

from tests.support import registry as registries
from tests.support.daemon import KIND, Daemon
from tests.support.http import Api
from tests.support.layers import archive, member
from tests.support.ocilayout import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    INDEX,
    LAYER,
    MANIFEST,
    Layout,
)
from tests.support.proxy import Proxy
from tests.support.registry import Registry
from tests.support.stock import Docker, eventually

ANONYMOUS = {"X-Registry-Auth": "e30="}
pytestmark = [
    pytest.mark.skipif(bool(registries.MISSING), reason=str(registries.MISSING)),
    pytest.mark.skipif(KIND == "dockerd", reason="dockerd 20.10 loads no OCI layouts"),
]


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


@pytest.fixture(scope="module")
def guarded() -> Iterator[Registry]:
    """A registry that bob alone may use."""
    with Registry(users={"bob": "s3cr3t"}) as running:
        yield running


@pytest.fixture(autouse=True)
def no_images(clean, api: Api):
    """After each test only busybox is here."""
    yield
    for entry in api("GET", "/images/json").json():
        for name in [*(entry["RepoTags"] or []), *(entry["RepoDigests"] or [])] or [entry["Id"]]:
            if not name.startswith("busybox"):
                api("DELETE", f"/images/{name}", query={"force": 1})


def layer(text: str, size: int = 0) -> bytes:
    """A layer of its own for every text; *size* adds bytes that do not compress."""
    noise = hashlib.shake_128(text.encode()).digest(size)
    return archive(member(f"file-{text}", text.encode()), member(f"noise-{text}", noise))


def load(api: Api, layout: Layout, target, name: str, without=()) -> None:
    answer = api("POST", "/images/load", layout.tar(target, name, without))
    assert answer.status == 200, answer.body
    assert b"errorDetail" not in answer.body, answer.body


def push(api: Api, name: str, headers=None, **query) -> list[dict]:
    answer = api("POST", f"/images/{name}/push", query=query, headers=headers or ANONYMOUS)
    assert answer.status == 200, answer.body
    return [json.loads(line) for line in answer.body.splitlines()]


def credential(username: str, password: str, **more: str) -> dict[str, str]:
    document = {"username": username, "password": password, **more}
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(document).encode()).decode()}


def statuses(records) -> list[str]:
    return [record["status"] for record in records if "id" in record]


def error(records) -> str:
    return next((record["error"] for record in records if "error" in record), "")


def document(registry: Registry, repository: str, name: str, kind: str) -> bytes:
    status, data = registry.get(f"/v2/{repository}/manifests/{name}", {"Accept": kind})
    assert status == 200, data
    return data


def check_whole(registry: Registry, layout: Layout, repository: str, target, tag: str = "latest") -> None:
    """Every byte of *target* and below lies in the repository."""
    assert document(registry, repository, tag, target["mediaType"]) == layout.blobs[target["digest"]]
    kinds = {MANIFEST, DOCKER_MANIFEST, INDEX, DOCKER_LIST}
    for digest in layout.below(target):
        data = layout.blobs[digest]
        kind = json.loads(data).get("mediaType", "") if data.startswith(b"{") else ""
        if kind in kinds:
            assert document(registry, repository, digest, kind) == data
        else:
            assert registry.get(f"/v2/{repository}/blobs/{digest}") == (200, data)


class TestByteForByte:
    def test_index_with_platforms_and_attestation(self, api: Api, docker: Docker, registry: Registry) -> None:
        layout = Layout()
        amd, arm = layout.image(layer("amd"), pack=gzip.compress), layout.image(layer("arm"), platform="linux/arm64")
        target = layout.index(amd, arm, layout.attestation(amd), layout.attestation(arm))
        name = f"{registry.host}/bytes/index"
        load(api, layout, target, name + ":latest")
        shown = docker("push", name)
        assert shown.splitlines()[-1] == f"latest: digest: {target['digest']} size: {target['size']}"
        check_whole(registry, layout, "bytes/index", target)

    def test_docker_s_media_types(self, api: Api, docker: Docker, registry: Registry) -> None:
        layout = Layout()
        kinds = (DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER)
        target = layout.index(layout.image(layer("docker"), pack=gzip.compress, kinds=kinds), kind=DOCKER_LIST)
        load(api, layout, target, f"{registry.host}/bytes/docker:latest")
        docker("push", f"{registry.host}/bytes/docker")
        check_whole(registry, layout, "bytes/docker", target)

    @pytest.mark.parametrize("pack", [None, gzip.compress, zstandard.compress], ids=["plain", "gzip", "zstd"])
    def test_compressions(self, api: Api, docker_py, registry: Registry, pack) -> None:
        layout = Layout()
        suffix = {None: "", gzip.compress: "+gzip", zstandard.compress: "+zstd"}[pack]
        kinds = (MANIFEST, "application/vnd.oci.image.config.v1+json", LAYER + suffix)
        target = layout.image(layer("one", 100_000), layer("two"), pack=pack, kinds=kinds)
        load(api, layout, target, f"{registry.host}/bytes/packed:v1")
        records = list(docker_py.images.push(f"{registry.host}/bytes/packed", tag="v1", stream=True, decode=True))
        assert {"Tag": "v1", "Digest": target["digest"], "Size": target["size"]} in [
            record.get("aux") for record in records
        ]
        check_whole(registry, layout, "bytes/packed", target, "v1")

    def test_artifact(self, api: Api, docker: Docker, registry: Registry) -> None:
        layout = Layout()
        target = layout.artifact(b"a part", b"another part")
        load(api, layout, target, f"{registry.host}/bytes/artifact:1")
        docker("push", f"{registry.host}/bytes/artifact:1")
        check_whole(registry, layout, "bytes/artifact", target, "1")

    def test_nested_index(self, api: Api, registry: Registry) -> None:
        layout = Layout()
        target = layout.index(layout.index(layout.image(layer("nested"))), layout.artifact(b"beside"))
        load(api, layout, target, f"{registry.host}/bytes/nested:latest")
        assert not error(push(api, f"{registry.host}/bytes/nested", tag="latest"))
        check_whole(registry, layout, "bytes/nested", target)

    def test_what_was_pulled_goes_up_the_same(self, api: Api, docker: Docker, registry: Registry) -> None:
        layout = Layout()
        amd = layout.image(layer("round"), pack=lambda data: gzip.compress(data, 1, mtime=7))
        target = layout.index(amd, layout.attestation(amd))
        first, second = f"{registry.host}/bytes/first", f"{registry.host}/bytes/second"
        load(api, layout, target, first + ":latest")
        docker("push", first)
        docker("rmi", first)
        docker("pull", first)
        docker("tag", first, second)
        docker("push", second)
        check_whole(registry, layout, "bytes/second", target)
        assert docker("inspect", "-f", "{{.Id}}", second) == target["digest"]


class TestRecords:
    def test_stock_cli_and_api(self, api: Api, docker: Docker, registry: Registry) -> None:
        name = f"{registry.host}/records/one"
        docker("tag", "busybox", name)
        lines = docker("push", name).splitlines()
        assert lines[:2] == ["Using default tag: latest", f"The push refers to repository [{name}]"]
        identifier = lines[2].partition(":")[0]
        assert lines[2:4] == [f"{identifier}: Preparing", f"{identifier}: Pushed"]
        assert lines[4].startswith("latest: digest: sha256:")
        records = push(api, name, tag="latest")
        assert records[0] == {"status": f"The push refers to repository [{name}]"}
        assert {"status": "Layer already exists", "progressDetail": {}, "id": identifier} in records
        assert set(records[-1]) == {"progressDetail", "aux"}
        assert set(records[-1]["aux"]) == {"Tag", "Digest", "Size"}
        assert docker("push", "-q", name) == f"{name}:latest"

    def test_progress_counts_to_the_end(self, api: Api, registry: Registry) -> None:
        layout = Layout()
        load(api, layout, layout.image(layer("big", 8 << 20)), f"{registry.host}/records/big:latest")

        def slow(data: bytes, sent: int) -> bool:
            time.sleep(0.01 if sent > 1000 else 0)
            return True

        with Proxy(registry.port, slow) as proxy:
            name = f"{proxy.host}/records/big"
            api("POST", f"/images/{registry.host}/records/big/tag", query={"repo": name, "tag": "latest"})
            records = [each for each in push(api, name, tag="latest") if each.get("status") == "Pushing"]
        positions = [each["progressDetail"]["current"] for each in records]
        assert positions == sorted(positions)
        assert len(positions) > 1
        assert {each["progressDetail"]["total"] for each in records} == {len(layer("big", 8 << 20))}

    def test_event(self, api: Api, docker: Docker, registry: Registry) -> None:
        name = f"{registry.host}/records/event"
        docker("tag", "busybox", name)
        since = time.time()
        docker("push", name)
        query = {"since": since, "until": time.time(), "filters": '{"event":["push"]}'}
        (event,) = [json.loads(line) for line in api("GET", "/events", query=query).body.splitlines()]
        assert (event["Type"], event["Action"]) == ("image", "push")
        assert event["Actor"]["ID"] == f"{name}:latest"
        assert event["Actor"]["Attributes"]["name"] == name


class TestNothingTwice:
    def uploads(self, registry: Registry, repository: str) -> list[str]:
        return [
            line
            for line in registry.requests()
            if line.startswith(("PATCH", "PUT")) and f"/v2/{repository}/blobs/" in line
        ]

    def test_what_is_there_is_skipped(self, api: Api, docker: Docker, registry: Registry) -> None:
        layout = Layout()
        shared = layer("shared")
        one, two = layout.image(shared, layer("one")), layout.image(shared, layer("two"))
        name = f"{registry.host}/twice/app"
        load(api, layout, one, name + ":1")
        load(api, layout, two, name + ":2")
        assert docker("push", name + ":1").count("Pushed") == 2
        before = self.uploads(registry, "twice/app")
        shown = docker("push", name + ":2")
        assert (shown.count("Layer already exists"), shown.count("Pushed")) == (1, 1)
        assert len(self.uploads(registry, "twice/app")) - len(before) == 2  # a layer and a config
        before = self.uploads(registry, "twice/app")
        docker("push", name + ":2")
        assert self.uploads(registry, "twice/app") == before
        check_whole(registry, layout, "twice/app", two, "2")

    def test_mounted_from_another_repository(self, daemon, api: Api, docker: Docker, registry: Registry) -> None:
        layout = Layout()
        target = layout.image(layer("mounted"))
        first, second = f"{registry.host}/twice/first", f"{registry.host}/twice/second"
        load(api, layout, target, first + ":latest")
        docker("push", first)
        daemon.restart()  # what is known of the blobs is on disk
        docker("tag", first, second)
        assert "Mounted from twice/first" in docker("push", second)
        asked = [line for line in registry.requests() if "/v2/twice/second/blobs/uploads/?" in line]
        assert len(asked) == 2
        assert all("from=twice%2Ffirst" in line and line.endswith(" 201") for line in asked)
        assert not self.uploads(registry, "twice/second")
        check_whole(registry, layout, "twice/second", target)

    def test_a_source_that_has_lost_the_blob(self, api: Api, docker: Docker, registry: Registry) -> None:
        layout = Layout()
        target = layout.image(layer("lost"))
        first, second = f"{registry.host}/twice/lost", f"{registry.host}/twice/found"
        load(api, layout, target, first + ":latest")
        docker("push", first)
        shutil.rmtree(f"{registry.data}/docker/registry/v2/repositories/twice/lost")
        docker("tag", first, second)
        shown = docker("push", second)
        assert "Pushed" in shown
        assert "Mounted" not in shown
        check_whole(registry, layout, "twice/found", target)

    def test_another_registry_is_not_asked_to_mount(self, api: Api, docker: Docker, registry: Registry) -> None:
        layout = Layout()
        target = layout.image(layer("elsewhere"))
        load(api, layout, target, f"{registry.host}/twice/here:latest")
        docker("push", f"{registry.host}/twice/here")
        with Registry() as other:
            docker("tag", f"{registry.host}/twice/here", f"{other.host}/twice/there")
            assert "Pushed" in docker("push", f"{other.host}/twice/there")
            assert not [line for line in other.requests() if "mount=" in line]
            check_whole(other, layout, "twice/there", target)
            docker("rmi", f"{other.host}/twice/there")


class TestChoice:
    def test_all_tags(self, api: Api, docker: Docker, registry: Registry) -> None:
        name = f"{registry.host}/choice/tags"
        for tag in ("one", "two", "three"):
            docker("tag", "busybox", f"{name}:{tag}")
        docker("push", "-a", name)
        assert sorted(json.loads(registry.get("/v2/choice/tags/tags/list")[1])["tags"]) == ["one", "three", "two"]

    def test_what_is_not_here(self, api: Api, docker: Docker, registry: Registry) -> None:
        name = f"{registry.host}/choice/none"
        assert "tag does not exist" in docker.fails("push", f"{name}:latest").err
        assert "does not exist locally" in docker.fails("push", "-a", name).err
        answer = api("POST", f"/images/{name}@sha256:{'a' * 64}/push", headers=ANONYMOUS)
        assert b"cannot push a digest reference" in answer.body
        assert api("POST", "/images/UPPER/push", headers=ANONYMOUS).status == 400

    def test_credentials_must_be_sent(self, api: Api, registry: Registry) -> None:
        answer = api("POST", f"/images/{registry.host}/choice/none/push", query={"tag": "x"})
        assert answer.status == 400
        assert answer.json()["message"].startswith("bad parameters and missing X-Registry-Auth: ")

    def test_one_platform(self, api: Api, docker: Docker, registry: Registry) -> None:
        layout = Layout()
        amd, arm = layout.image(layer("p-amd")), layout.image(layer("p-arm"), platform="linux/arm64")
        name = f"{registry.host}/choice/platform"
        load(api, layout, layout.index(amd, arm, layout.attestation(arm)), name + ":latest")
        docker("push", "--platform", "linux/arm64", name)
        check_whole(registry, layout, "choice/platform", arm)
        assert registry.get(f"/v2/choice/platform/manifests/{amd['digest']}", {"Accept": MANIFEST})[0] == 404
        failed = docker.fails("push", "--platform", "linux/riscv64", name)
        assert "does not provide the specified platform (linux/riscv64)" in failed.err

    def test_the_only_platform_that_is_here(self, api: Api, docker: Docker, registry: Registry) -> None:
        layout = Layout()
        amd, arm = layout.image(layer("only-amd")), layout.image(layer("only-arm"), platform="linux/arm64")
        target = layout.index(amd, arm)
        name = f"{registry.host}/choice/only"
        load(api, layout, target, name + ":latest", without=(arm,))
        records = push(api, name, tag="latest")
        (note,) = [each["aux"] for each in records if "manifestPushedInsteadOfIndex" in each.get("aux", {})]
        assert note["originalIndex"]["digest"] == target["digest"]
        assert note["selectedManifest"]["digest"] == amd["digest"]
        assert records[-1]["aux"]["Digest"] == amd["digest"]
        check_whole(registry, layout, "choice/only", amd)
        assert "Not all multiplatform-content is present" in docker("push", name)

    def test_several_platforms_but_not_all(self, api: Api, docker: Docker, registry: Registry) -> None:
        layout = Layout()
        some = [layout.image(layer(f"some-{each}"), platform=f"linux/{each}") for each in ("amd64", "arm64", "s390x")]
        target = layout.index(*some)
        name = f"{registry.host}/choice/some"
        load(api, layout, target, name + ":latest", without=(some[2],))
        records = push(api, name, tag="latest")
        assert some[2]["digest"] in error(records)
        assert [each["aux"]["contentMissing"] for each in records if "aux" in each] == [True]
        assert registry.get("/v2/choice/some/tags/list")[0] == 404
        assert docker.result("push", name).code == 1

    def test_the_registry_has_what_is_not_here(self, api: Api, registry: Registry) -> None:
        layout = Layout()
        some = [layout.image(layer(f"has-{each}"), platform=f"linux/{each}") for each in ("amd64", "arm64", "s390x")]
        target = layout.index(*some)
        name = f"{registry.host}/choice/has"
        load(api, layout, some[2], name + ":part")
        assert not error(push(api, name, tag="part"))
        api("DELETE", f"/images/{name}:part")
        load(api, layout, target, name + ":latest", without=(some[2],))
        assert not error(push(api, name, tag="latest"))
        check_whole(registry, layout, "choice/has", target)


class TestGivenUp:
    """With --blob-retention=drop the compressed layers are not kept: a push takes them from where they came."""

    @pytest.fixture(scope="class")
    @classmethod
    def forgetful(cls) -> Iterator[Daemon]:
        running = Daemon("cortend", ["--blob-retention", "drop"])
        try:
            running.start()
            yield running
        finally:
            leaks = running.close()
        assert not leaks

    def pulled(self, forgetful: Daemon, api: Api, registry: Registry, path: str):
        layout = Layout()
        target = layout.image(layer(path, 100_000), pack=gzip.compress)
        load(api, layout, target, f"{registry.host}/{path}:latest")
        assert not error(push(api, f"{registry.host}/{path}", tag="latest"))
        answer = forgetful.api(
            "POST", "/images/create", query={"fromImage": f"{registry.host}/{path}", "tag": "latest"}
        )
        assert b"errorDetail" not in answer.body, answer.body
        digest = json.loads(layout.blobs[target["digest"]])["layers"][0]["digest"]
        assert not os.path.exists(f"{forgetful.data_root}/content/blobs/sha256/{digest[7:]}")
        return layout, target

    def retagged(self, forgetful: Daemon, registry: Registry, path: str, name: str, **query) -> list[dict]:
        repository, tag = name.rsplit(":", 1)
        query["tag"] = tag
        source = f"/images/{registry.host}/{path}/tag"
        assert forgetful.api("POST", source, query={"repo": repository, "tag": tag}).status == 201
        return push(forgetful.api, repository, **query)

    def test_to_the_same_registry(self, forgetful, api: Api, registry: Registry) -> None:
        layout, target = self.pulled(forgetful, api, registry, "given/up")
        records = self.retagged(forgetful, registry, "given/up", f"{registry.host}/given/mounted:1")
        assert "Mounted from given/up" in statuses(records)
        check_whole(registry, layout, "given/mounted", target, "1")

    def test_to_another_registry(self, forgetful, api: Api, registry: Registry) -> None:
        layout, target = self.pulled(forgetful, api, registry, "given/away")
        with Registry() as other:
            platform = '{"os":"linux","architecture":"amd64"}'
            for tag, query in (("1", {}), ("2", {"platform": platform})):
                records = self.retagged(
                    forgetful, registry, "given/away", f"{other.host}/given/taken{tag}:{tag}", **query
                )
                assert not error(records)
                check_whole(other, layout, f"given/taken{tag}", target, tag)

    def test_where_nobody_has_it_any_more(self, forgetful, api: Api, registry: Registry) -> None:
        self.pulled(forgetful, api, registry, "given/lost")
        shutil.rmtree(f"{registry.data}/docker/registry/v2/repositories/given/lost")
        with Registry() as other:
            records = self.retagged(forgetful, registry, "given/lost", f"{other.host}/given/lost:1")
            assert "is neither here nor in the registry" in error(records)
            assert other.get("/v2/given/lost/tags/list")[0] == 404

    def test_a_credential_is_not_shown_to_the_source(self, forgetful, api: Api, guarded: Registry) -> None:
        """One that does not say which registry it is for is for the one that is pushed to."""
        layout = Layout()
        load(api, layout, layout.image(layer("secret")), f"{guarded.host}/given/secret:latest")
        bob, eve = credential("bob", "s3cr3t"), credential("eve", "other")
        assert not error(push(api, f"{guarded.host}/given/secret", bob, tag="latest"))
        seen: list[bytes] = []

        def listen(data: bytes, sent: int) -> bool:
            seen.append(data)
            return True

        with Proxy(guarded.port, listen) as proxy, Registry(users={"eve": "other"}) as target:
            name = f"{proxy.host}/given/secret"
            answer = forgetful.api("POST", "/images/create", query={"fromImage": name, "tag": "latest"}, headers=bob)
            assert b"errorDetail" not in answer.body, answer.body
            seen.clear()
            query = {"repo": f"{target.host}/given/secret", "tag": "1"}
            assert forgetful.api("POST", f"/images/{name}/tag", query=query).status == 201
            records = push(forgetful.api, f"{target.host}/given/secret", eve, tag="1")
            assert "is neither here nor in the registry" in error(records)
        assert any(b"HEAD /v2/given/secret/blobs/" in data for data in seen)
        assert not any(b"uthorization:" in data for data in seen)


class TestTrouble:
    def test_a_broken_connection_is_no_broken_push(self, api: Api, docker: Docker, registry: Registry) -> None:
        layout = Layout()
        target = layout.image(layer("broken", 12 << 20))
        cut: list[int] = []

        def cut_once(data: bytes, sent: int) -> bool:
            if sent > 5 << 20 and not cut:
                cut.append(sent)
                return False
            return True

        with Proxy(registry.port, cut_once) as proxy:
            name = f"{proxy.host}/trouble/broken"
            load(api, layout, target, name + ":latest")
            assert not error(push(api, name, tag="latest"))
        assert cut
        check_whole(registry, layout, "trouble/broken", target)

    def test_no_more_at_once_than_is_allowed(self, api: Api, registry: Registry) -> None:
        layout = Layout()
        target = layout.image(*[layer(f"many-{number}", 1 << 20) for number in range(9)])
        lock = threading.Lock()
        most = 0

        def look(data: bytes, sent: int) -> bool:
            nonlocal most
            with lock:
                most = max(most, len(proxy.open))
            time.sleep(0.005)
            return True

        with Proxy(registry.port, look) as proxy:
            name = f"{proxy.host}/trouble/many"
            load(api, layout, target, name + ":latest")
            records = push(api, name, tag="latest")
        assert not error(records)
        assert statuses(records).count("Waiting") == 4
        assert 2 <= most <= 6  # five uploads, and the connection that found the registry

    def test_the_client_goes_away(self, daemon, api: Api, registry: Registry) -> None:
        layout = Layout()
        size = 16 << 20
        target = layout.image(layer("gone", size))
        begun = threading.Event()

        def slow(data: bytes, sent: int) -> bool:
            if sent > 1 << 20:
                begun.set()
                time.sleep(0.03)
            return True

        with Proxy(registry.port, slow) as proxy:
            name = f"{proxy.host}/trouble/gone"
            load(api, layout, target, name + ":latest")
            cli = Docker(daemon.url)
            try:
                process = cli.spawn("push", name)
                assert begun.wait(60)
                process.kill()
                process.communicate()
                eventually(lambda: max(proxy.ended, default=0) > 1 << 20, 30, "the end of the upload")
            finally:
                cli.close()
            assert max(proxy.ended) < size
        assert registry.get("/v2/trouble/gone/tags/list")[0] == 404

    def test_a_stalled_push_does_not_hold_up_the_daemon_s_end(self, daemon, api: Api, registry: Registry) -> None:
        layout = Layout()
        begun, released = threading.Event(), threading.Event()

        def hold(data: bytes, sent: int) -> bool:
            if sent > 1 << 20:
                begun.set()
                released.wait(300)
            return True

        with Proxy(registry.port, hold) as proxy:
            name = f"{proxy.host}/trouble/stalled"
            load(api, layout, layout.image(layer("stalled", 16 << 20)), name + ":latest")
            cli = Docker(daemon.url)
            try:
                process = cli.spawn("push", name)
                assert begun.wait(60)
                daemon.restart()
                process.communicate()
                assert process.returncode == 1
            finally:
                released.set()
                cli.close()
        assert registry.get("/v2/trouble/stalled/tags/list")[0] == 404

    def test_a_blob_that_is_damaged_here(self, daemon, api: Api, registry: Registry) -> None:
        layout = Layout()
        name = f"{registry.host}/trouble/damaged"
        data = layer("damaged", 100_000)
        target = layout.image(data)
        load(api, layout, target, name + ":latest")
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        with open(f"{daemon.data_root}/content/blobs/sha256/{digest[7:]}", "r+b") as file:
            file.seek(5000)
            file.write(b"damage")
        assert f"content {digest} is damaged on disk" in error(push(api, name, tag="latest"))
        assert registry.get("/v2/trouble/damaged/tags/list")[0] == 404

    def test_nobody_answers(self, api: Api, docker: Docker) -> None:
        port = registries.free_port()
        docker("tag", "busybox", f"127.0.0.1:{port}/x")
        assert "connection refused" in docker.fails("push", f"127.0.0.1:{port}/x").err


class TestCredentials:
    def test_right_wrong_and_none(self, api: Api, docker: Docker, guarded: Registry) -> None:
        name = f"{guarded.host}/guarded/app"
        docker("tag", "busybox", name)
        assert not error(push(api, name, credential("bob", "s3cr3t"), tag="latest"))
        assert error(push(api, name, tag="latest")).endswith("no basic auth credentials")
        assert error(push(api, name, {"X-Registry-Auth": "?"}, tag="latest")).endswith("no basic auth credentials")
        wrong = credential("bob", "wrong")
        assert error(push(api, name, wrong, tag="latest")).endswith("unauthorized: authentication required")

    def test_credentials_of_another_host_are_not_shown(self, api: Api, docker: Docker, guarded: Registry) -> None:
        name = f"{guarded.host}/guarded/other"
        docker("tag", "busybox", name)
        headers = credential("bob", "s3cr3t", serveraddress="registry.example.com")
        assert error(push(api, name, headers, tag="latest")).endswith("no basic auth credentials")

    def test_in_the_body(self, api: Api, docker: Docker, guarded: Registry) -> None:
        name = f"{guarded.host}/guarded/body"
        docker("tag", "busybox", name)
        body = json.dumps({"username": "bob", "password": "s3cr3t"}).encode()
        answer = api("POST", f"/images/{name}/push", body, query={"tag": "latest"})
        assert answer.status == 200
        assert b'"error"' not in answer.body
