"""Local images: `import`, `tag`, `images`, `inspect`, `history`, `rmi`, `prune`, `commit`, `save`, `load`."""

import gzip
import hashlib
import http.server
import io
import json
import lzma
import tarfile
import threading

import pytest

from tests.support.busybox import IMAGE
from tests.support.http import Api
from tests.support.stock import Docker


def layer(**files: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name.replace("__", "/"))
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def only_busybox(clean, api: Api):
    """After each test nothing but the busybox image is there."""
    yield
    clean.remove_containers()
    for entry in api("GET", "/images/json").json():
        if IMAGE not in (entry["RepoTags"] or []):
            api("DELETE", f"/images/{entry['Id']}", query={"force": 1})
        else:
            for tag in set(entry["RepoTags"]) - {IMAGE}:
                api("DELETE", f"/images/{tag}")


def identifier(api: Api, name: str) -> str:
    return api("GET", f"/images/{name}/json").json()["Id"]


class TestImport:
    def test_from_standard_input(self, docker: Docker) -> None:
        shown = docker("import", "-m", "a message", "-c", "ENV A=b", "-", "mine:v1", stdin=layer(file="x"))
        assert shown.startswith("sha256:")
        assert docker("inspect", "-f", "{{json .Config.Env}}", "mine:v1") == '["A=b"]'
        assert "a message" in docker("history", "--format", "{{.Comment}}", "mine:v1")

    @pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
    def test_compressed(self, docker: Docker, pack) -> None:
        docker("import", "-", "packed", stdin=pack(layer(file="x")))
        assert docker("create", "packed", "/file")

    def test_changes(self, docker: Docker, api: Api) -> None:
        changes = [
            'CMD ["a","b"]',
            "ENTRYPOINT /e x",
            "WORKDIR /w",
            "USER 7",
            "EXPOSE 80/tcp",
            "VOLUME /v",
            "LABEL k=v",
        ]
        options = [part for change in changes for part in ("-c", change)]
        docker("import", *options, "-", "changed", stdin=layer(file="x"))
        config = api("GET", "/images/changed/json").json()["Config"]
        assert config["Cmd"] == ["a", "b"]
        assert config["Entrypoint"] == ["/bin/sh", "-c", "/e x"]
        assert (config["WorkingDir"], config["User"]) == ("/w", "7")
        assert (config["ExposedPorts"], config["Volumes"]) == ({"80/tcp": {}}, {"/v": {}})
        assert config["Labels"] == {"k": "v"}

    def test_broken(self, docker: Docker) -> None:
        assert docker.result("import", "-", "broken", stdin=b"no archive at all" * 50).code != 0
        assert docker.result("inspect", "broken").code != 0


class TestNames:
    def test_tag_and_remove(self, docker: Docker, api: Api) -> None:
        first = identifier(api, "busybox")
        docker("tag", "busybox", "example.org:5000/some/where:v2")
        assert identifier(api, "example.org:5000/some/where:v2") == first
        assert docker("rmi", "example.org:5000/some/where:v2") == "Untagged: example.org:5000/some/where:v2"
        assert identifier(api, "busybox") == first

    def test_references(self, api: Api) -> None:
        full = identifier(api, "busybox")
        for name in (full, full.removeprefix("sha256:"), full.removeprefix("sha256:")[:8], "docker.io/library/busybox"):
            assert identifier(api, name) == full

    def test_wrong_names(self, docker: Docker, api: Api) -> None:
        assert "No such image: nobody" in docker.fails("tag", "nobody", "x").err
        assert docker.result("tag", "busybox", "path/UPPER").code == 1
        assert api("POST", "/images/busybox/tag", query={"repo": "Upper"}).status in (400, 500)
        assert api("POST", "/images/busybox/tag", query={"repo": "x@sha256:" + "0" * 64}).status == 400
        assert api("GET", "/images/nobody/json").status == 404
        assert api("GET", "/images/nobody/json").message.endswith("No such image: nobody:latest")

    def test_a_tag_moves(self, docker: Docker, api: Api) -> None:
        docker("import", "-", "mover", stdin=layer(file="1"))
        first = identifier(api, "mover")
        docker("import", "-", "mover", stdin=layer(file="2"))
        assert identifier(api, "mover") != first
        assert first in {
            image["Id"] for image in api("GET", "/images/json", query={"filters": {"dangling": ["true"]}}).json()
        }


class TestRemove:
    def test_last_name_deletes(self, docker: Docker) -> None:
        shown = docker("import", "-", "lone", stdin=layer(file="x"))
        lines = docker("rmi", "lone").splitlines()
        assert lines[0] == "Untagged: lone:latest"
        assert f"Deleted: {shown}" in lines

    def test_by_id_with_two_names_needs_force(self, docker: Docker, api: Api) -> None:
        docker("import", "-", "one", stdin=layer(file="x"))
        docker("tag", "one", "two")
        full = identifier(api, "one")
        answer = api("DELETE", f"/images/{full}")
        assert answer.status == 409
        assert "must be forced" in answer.message
        assert api("DELETE", f"/images/{full}", query={"force": 1}).status == 200
        assert api("GET", "/images/one/json").status == 404

    def test_in_use(self, docker: Docker, api: Api) -> None:
        docker("tag", "busybox", "used:x")
        docker("import", "-", "single", stdin=layer(file="x"))
        container = docker("create", "single", "/file")
        answer = api("DELETE", "/images/single")
        assert answer.status == 409
        assert "is using its referenced image" in answer.message or "is being used by" in answer.message
        assert container[:12] in answer.message
        docker("rmi", "used:x")

    def test_layers_of_a_forced_removal_go_with_the_last_container(self, docker: Docker, api: Api) -> None:
        before = api("GET", "/v1.44/system/df").json()["LayersSize"]
        docker("import", "-", "forced", stdin=layer(file="x" * 100_000))
        container = docker("create", "forced", "/file")
        docker("rmi", "-f", identifier(api, "forced"))  # by name it would lose the name only
        docker("rm", container)
        assert api("GET", "/v1.44/system/df").json()["LayersSize"] == before

    def test_missing(self, docker: Docker) -> None:
        assert "No such image: nobody:latest" in docker.fails("rmi", "nobody").err

    def test_prune(self, docker: Docker, api: Api) -> None:
        docker("import", "-", "mover", stdin=layer(file="1"))
        first = identifier(api, "mover")
        docker("import", "-", "mover", stdin=layer(file="2"))
        assert first in docker("image", "prune", "-f")
        assert api("GET", "/images/mover/json").status == 200
        docker("import", "-c", "LABEL kind=old", "-", "labelled", stdin=layer(file="3"))
        assert "labelled:latest" in docker("image", "prune", "-a", "-f", "--filter", "label=kind=old")
        assert api("GET", "/images/mover/json").status == 200


class TestList:
    def test_table_and_formats(self, docker: Docker, api: Api) -> None:
        header, *lines = docker("images").splitlines()
        assert header.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
        assert any(line.split()[:2] == ["busybox", "latest"] for line in lines)
        full = identifier(api, "busybox")
        assert docker("images", "-q", "--no-trunc", "busybox") == full
        assert docker("images", "--format", "{{.Repository}}:{{.Tag}}", "busybox") == IMAGE

    def test_filters(self, docker: Docker) -> None:
        docker("import", "-c", "LABEL kind=a", "-", "alpha:1", stdin=layer(file="x"))
        docker("import", "-", "group/beta:2", stdin=layer(file="y"))

        def listed(*filters: str) -> set[str]:
            options = [part for text in filters for part in ("--filter", text)]
            return set(docker("images", "--format", "{{.Repository}}:{{.Tag}}", *options).split())

        assert listed("label=kind") == listed("label=kind=a") == {"alpha:1"}
        assert listed("reference=alpha") == listed("reference=al*:1") == {"alpha:1"}
        assert listed("reference=*/beta") == {"group/beta:2"}
        assert listed("dangling=true") == set()
        assert {"group/beta:2"} <= listed("since=busybox")
        assert "group/beta:2" not in listed("before=group/beta:2")

    def test_unknown_filter(self, docker: Docker) -> None:
        assert docker.result("images", "--filter", "nonsense=1").code == 1

    def test_inspect(self, api: Api) -> None:
        shown = api("GET", "/images/busybox/json").json()
        assert shown["Id"].startswith("sha256:")
        assert shown["RepoTags"] == [IMAGE]
        assert (shown["Os"], shown["Architecture"]) == ("linux", "amd64")
        assert shown["Size"] > 1_000_000
        assert len(shown["RootFS"]["Layers"]) == 1
        assert shown["Config"]["Cmd"] == ["/bin/sh", "-c", "sh"]

    def test_history(self, api: Api, docker: Docker) -> None:
        docker("run", "--name", "base", IMAGE, "touch", "/file")
        docker("commit", "-m", "second step", "-a", "somebody", "base", "stacked")
        entries = api("GET", "/images/stacked/history").json()
        assert len(entries) == 2
        assert entries[0]["Comment"] == "second step"
        assert entries[0]["Tags"] == ["stacked:latest"]
        assert entries[0]["Created"] >= entries[1]["Created"]
        assert entries[1]["Size"] > entries[0]["Size"]


class TestCommit:
    def test_content_and_config(self, docker: Docker) -> None:
        docker("run", "--name", "base", IMAGE, "sh", "-c", "echo new > /etc/new; rm /etc/shadow")
        changes = ("-c", "CMD cat /etc/new", "-c", "ENV X=1", "-c", "LABEL k=v")
        docker("commit", *changes, "base", "made:v1")
        assert docker("run", "--rm", "made:v1") == "new"
        assert docker.result("run", "--rm", "made:v1", "ls", "/etc/shadow").code != 0
        assert docker("run", "--rm", "made:v1", "sh", "-c", "echo $X") == "1"

    def test_running_container(self, docker: Docker) -> None:
        docker("run", "-d", "--name", "base", IMAGE, "sleep", "60")
        shown = docker("commit", "base")
        assert shown.startswith("sha256:")
        assert docker("inspect", "-f", "{{.State.Status}}", "base") == "running"

    def test_volumes_are_left_out(self, docker: Docker) -> None:
        docker("run", "--name", "base", "-v", "/vol", IMAGE, "touch", "/vol/file", "/file")
        docker("commit", "base", "made")
        assert docker("run", "--rm", "made", "ls", "/vol") == ""

    def test_wrong_change(self, docker: Docker) -> None:
        docker("create", "--name", "base", IMAGE)
        assert docker.result("commit", "-c", "RUN something", "base").code == 1
        assert "No such container: nobody" in docker.fails("commit", "nobody").err


class TestSaveAndLoad:
    def test_round_trip(self, docker: Docker, api: Api) -> None:
        docker("run", "--name", "base", IMAGE, "sh", "-c", "echo here > /file; chown 5:6 /file; chmod 4711 /file")
        docker("commit", "base", "made:v1")
        before = api("GET", "/images/made:v1/json").json()
        saved = api("GET", "/images/get", query={"names": "made:v1"})
        assert saved.status == 200
        docker("rm", "base")
        docker("rmi", "made:v1")
        assert "Loaded image: made:v1" in docker("load", stdin=saved.body)
        after = api("GET", "/images/made:v1/json").json()
        assert (after["Id"], after["RootFS"]) == (before["Id"], before["RootFS"])
        assert docker("run", "--rm", "made:v1", "stat", "-c", "%u %g %a", "/file") == "5 6 4711"

    def test_archive_is_in_the_docker_form(self, api: Api) -> None:
        saved = api("GET", "/images/busybox/get").body
        with tarfile.open(fileobj=io.BytesIO(saved)) as tar:
            manifest = json.load(tar.extractfile("manifest.json"))
            config = tar.extractfile(manifest[0]["Config"]).read()
            first = tar.extractfile(manifest[0]["Layers"][0]).read()
        assert manifest[0]["RepoTags"] == [IMAGE]
        if first[:2] == b"\x1f\x8b":
            first = gzip.decompress(first)
        assert json.loads(config)["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(first).hexdigest()]

    @pytest.mark.since("1.44")
    def test_archive_is_an_oci_layout_too(self, api: Api) -> None:
        saved = api("GET", "/images/busybox/get").body
        with tarfile.open(fileobj=io.BytesIO(saved)) as tar:
            assert json.load(tar.extractfile("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
            for descriptor in json.load(tar.extractfile("index.json"))["manifests"]:
                algorithm, _, digest = descriptor["digest"].partition(":")
                blob = tar.extractfile(f"blobs/{algorithm}/{digest}").read()
                assert hashlib.sha256(blob).hexdigest() == digest

    def test_several_images(self, docker: Docker, tmp_path) -> None:
        docker("import", "-", "one:1", stdin=layer(a="1"))
        docker("import", "-", "two:2", stdin=layer(b="2"))
        docker("save", "-o", str(tmp_path / "both.tar"), "one:1", "two:2")
        docker("rmi", "one:1", "two:2")
        shown = docker("load", "-i", str(tmp_path / "both.tar"))
        assert "Loaded image: one:1" in shown
        assert "Loaded image: two:2" in shown

    def test_a_docker_archive_made_by_hand(self, docker: Docker) -> None:
        tar_layer = layer(hello="x")
        diff_id = "sha256:" + hashlib.sha256(tar_layer).hexdigest()
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Cmd": ["/hello"]},
                "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            }
        )
        manifest = json.dumps([{"Config": "config.json", "RepoTags": ["hand:made"], "Layers": ["l/layer.tar"]}])
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for name, data in (
                ("config.json", config.encode()),
                ("l/layer.tar", tar_layer),
                ("manifest.json", manifest.encode()),
            ):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
        for data in (buffer.getvalue(), gzip.compress(buffer.getvalue())):
            assert "Loaded image: hand:made" in docker("load", stdin=data)

    def test_a_layer_that_is_not_what_its_config_says(self, docker: Docker) -> None:
        config = json.dumps(
            {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}}
        )
        manifest = json.dumps([{"Config": "config.json", "RepoTags": ["bad:one"], "Layers": ["layer.tar"]}])
        data = layer(**{"config.json": config, "manifest.json": manifest})
        buffer = io.BytesIO(data)
        with tarfile.open(fileobj=buffer, mode="a") as tar:
            entry = tarfile.TarInfo("layer.tar")
            content = layer(x="y")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        assert docker.result("load", stdin=buffer.getvalue()).code == 1
        assert docker.result("inspect", "bad:one").code == 1

    def test_wrong_archives(self, docker: Docker) -> None:
        assert docker.result("load", stdin=b"nothing of the kind" * 100).code == 1
        assert docker.result("load", stdin=layer(file="x")).code == 1
        assert docker.result("save", "nobody").code == 1


class TestImportFromUrl:
    @pytest.fixture
    def web(self, rootfs_tar):
        """A web server on loopback: /rootfs.tar, /moved leads there, everything else is missing."""

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path == "/moved":
                    self.send_response(302)
                    self.send_header("Location", "/rootfs.tar")
                    self.end_headers()
                    return
                data = rootfs_tar if self.path == "/rootfs.tar" else b""
                self.send_response(200 if data else 404)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        server.server_close()
        thread.join()

    def test_the_archive_is_downloaded(self, docker: Docker, web):
        for path in ("/rootfs.tar", "/moved"):
            assert docker("import", f"{web}{path}", "fromweb:1").splitlines()[-1].startswith("sha256:")
        assert docker("history", "--format", "{{.Comment}}", "fromweb:1") == f"Imported from {web}/moved"
        assert docker("run", "--rm", "fromweb:1", "echo", "works") == "works"
        docker("rmi", "fromweb:1")

    def test_what_is_not_there(self, docker: Docker, api: Api, web):
        assert "404" in docker.fails("import", f"{web}/nothing", "fromweb:2").err
        assert api("GET", "/images/fromweb:2/json").status == 404

    def test_what_is_no_url(self, api: Api):
        for bad in ("ftp://127.0.0.1/x", "http://a b/", "http://user:pass@127.0.0.1/x"):
            answer = api("POST", "/images/create", query={"fromSrc": bad, "repo": "fromweb"})
            assert answer.status == 400, answer.body
