"""Daemon: `version`, `info`, ping, `system df`, events; API versions, letter case, bodies, errors; docker-py."""

import json
import socket
import threading

import pytest

from tests.support.busybox import IMAGE
from tests.support.http import Api
from tests.support.stock import Docker, eventually


class TestSystem:
    def test_version(self, docker: Docker, api: Api) -> None:
        shown = api("GET", "/version").json()
        assert (shown["Os"], shown["Arch"]) == ("linux", "amd64")
        assert shown["Components"][0]["Name"] == "Engine"
        assert docker("version", "-f", "{{.Server.Version}}") == shown["Version"]

    def test_ping(self, api: Api) -> None:
        answer = api("GET", "/_ping")
        assert (answer.status, answer.body) == (200, b"OK")
        assert answer.headers["Api-Version"] == api("GET", "/version").json()["ApiVersion"]
        assert answer.headers["Ostype"] == "linux"
        assert answer.headers["Docker-Experimental"] == "false"
        assert "no-cache" in answer.headers["Cache-Control"]
        head = api("HEAD", "/_ping")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["Api-Version"] == answer.headers["Api-Version"]

    def test_info(self, docker: Docker, api: Api, daemon) -> None:
        docker("run", "-d", IMAGE, "sleep", "60")
        docker("create", IMAGE)
        shown = api("GET", "/info").json()
        assert (shown["Containers"], shown["ContainersRunning"], shown["ContainersStopped"]) == (2, 1, 1)
        assert shown["DockerRootDir"] == daemon.data_root
        assert shown["NCPU"] >= 1
        assert shown["MemTotal"] > 0
        assert shown["OSType"] == "linux"
        assert shown["CgroupDriver"] == "cgroupfs"
        assert shown["Swarm"]["LocalNodeState"] == "inactive"
        assert shown["DefaultRuntime"] in shown["Runtimes"]
        assert "name=seccomp,profile=" in " ".join(shown["SecurityOptions"])
        assert "Server Version" in docker("info")

    def test_disk_usage(self, docker: Docker, api: Api) -> None:
        docker("create", IMAGE)
        shown = api("GET", "/v1.41/system/df").json()
        assert shown["LayersSize"] > 1_000_000
        assert len(shown["Containers"]) == 1
        assert IMAGE in shown["Images"][0]["RepoTags"]
        lines = docker("system", "df").splitlines()
        assert lines[0].split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
        assert lines[2].split()[:2] == ["Containers", "1"]

    def test_system_prune(self, docker: Docker) -> None:
        stopped = docker("create", IMAGE)
        assert stopped in docker("system", "prune", "-f")


class TestEvents:
    def test_actions_of_a_life(self, docker: Docker, api: Api) -> None:
        since = docker("info", "-f", "{{.SystemTime}}")
        docker("create", "--name", "ev", "-l", "k=v", IMAGE, "sleep", "60")
        for step in (("start",), ("pause",), ("unpause",), ("kill",), ("rm",)):
            docker(*step, "ev")
        options = ("--since", since, "--until", docker("info", "-f", "{{.SystemTime}}"), "--filter", "type=container")
        events = [json.loads(line) for line in docker("events", *options, "--format", "{{json .}}").splitlines()]
        actions = [event["Action"] for event in events]
        expected = ["create", "start", "pause", "unpause", "kill", "die", "destroy"]
        assert [action for action in actions if action in expected] == expected
        first = events[0]["Actor"]["Attributes"]
        assert (first["name"], first["image"], first["k"]) == ("ev", IMAGE, "v")
        died = next(event for event in events if event["Action"] == "die")
        assert died["Actor"]["Attributes"]["exitCode"] == "137"

    def test_live(self, docker: Docker, api: Api) -> None:
        seen: list[dict] = []

        def watch() -> None:
            for event in api.lines("/events", {"filters": {"type": ["container"], "event": ["create", "destroy"]}}):
                seen.append(event)
                if event["Action"] == "destroy":
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            eventually(lambda: docker("rm", docker("create", IMAGE)) and len(seen) >= 2, timeout=10)
        finally:
            watcher.join(10)
        assert [event["Action"] for event in seen] == ["create", "destroy"]
        assert seen[0]["timeNano"] // 1_000_000_000 == seen[0]["time"]

    def test_filters(self, docker: Docker) -> None:
        since = docker("info", "-f", "{{.SystemTime}}")
        docker("volume", "create", "evvol")
        docker("volume", "rm", "evvol")
        docker("create", "--name", "ev1", IMAGE)
        docker("tag", "busybox", "busybox:other")
        docker("rmi", "busybox:other")
        until = docker("info", "-f", "{{.SystemTime}}")

        def shown(*filters: str) -> list[str]:
            options = [part for text in filters for part in ("--filter", text)]
            return docker(
                "events", "--since", since, "--until", until, "--format", "{{.Type}} {{.Action}}", *options
            ).splitlines()

        assert shown("type=volume") == ["volume create", "volume destroy"]
        assert shown("container=ev1") == ["container create"]
        assert shown("event=tag") == ["image tag"]
        assert shown("event=create", "type=container") == ["container create"]
        assert "image untag" in shown("type=image")

    def test_exec_and_health(self, docker: Docker) -> None:
        since = docker("info", "-f", "{{.SystemTime}}")
        docker("run", "-d", "--name", "ev2", IMAGE, "sleep", "60")
        docker.result("exec", "ev2", "sh", "-c", "exit 4")
        eventually(
            lambda: "exec_die" in docker("events", "--since", since, "--until", docker("info", "-f", "{{.SystemTime}}"))
        )
        until = docker("info", "-f", "{{.SystemTime}}")
        lines = docker("events", "--since", since, "--until", until, "--format", "{{.Action}}").splitlines()
        assert "exec_create: sh -c exit 4" in lines
        assert "exec_start: sh -c exit 4" in lines


class TestVersions:
    @pytest.mark.parametrize("version", ["1.24", "1.30", "1.40", "1.41"])
    def test_old_versions_are_served(self, api: Api, version: str) -> None:
        assert api("GET", f"/v{version}/_ping").status == 200
        assert api("GET", f"/v{version}/containers/json").status == 200
        assert api("GET", f"/v{version}/images/json").status == 200

    def test_too_new(self, api: Api) -> None:
        answer = api("GET", "/v9.99/containers/json")
        assert answer.status == 400
        assert "client version 9.99 is too new. Maximum supported API version is" in answer.message

    def test_too_old(self, api: Api) -> None:
        answer = api("GET", "/v1.1/containers/json")
        assert answer.status == 400
        assert b"client version 1.1 is too old" in answer.body

    @pytest.mark.parametrize("version", ["1.25", "1.35", "1.41"])
    def test_cli_with_an_older_version(self, docker: Docker, version: str) -> None:
        docker.environment["DOCKER_API_VERSION"] = version
        try:
            assert docker("run", "--rm", IMAGE, "echo", "old") == "old"
            assert docker("ps", "-q") == ""
        finally:
            del docker.environment["DOCKER_API_VERSION"]

    @pytest.mark.since("1.52")
    def test_newest_version(self, api: Api) -> None:
        assert api("GET", "/v1.52/containers/json").status == 200


class TestRequests:
    def test_keys_in_any_letter_case(self, api: Api) -> None:
        body = {"image": IMAGE, "CMD": ["true"], "hostConfig": {"AUTOREMOVE": False, "memory": 32 << 20}}
        created = api("POST", "/containers/create", body)
        assert created.status == 201
        shown = api("GET", f"/containers/{created.json()['Id']}/json").json()
        assert shown["Config"]["Cmd"] == ["true"]
        assert shown["HostConfig"]["Memory"] == 32 << 20

    def test_unknown_fields(self, api: Api) -> None:
        assert api("POST", "/containers/create", {"Image": IMAGE, "Future": {"x": [1]}}).status == 201

    def test_content_type_with_a_charset(self, api: Api) -> None:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        assert api("POST", "/containers/create", {"Image": IMAGE}, headers=headers).status == 201

    def test_wrong_content_type(self, api: Api) -> None:
        headers = {"Content-Type": "text/plain"}
        assert api("POST", "/containers/create", {"Image": IMAGE}, headers=headers).status == 400

    @pytest.mark.since("1.42")  # 500 before
    def test_no_body(self, api: Api) -> None:
        assert api("POST", "/containers/create").status == 400

    @pytest.mark.since("1.42")  # 500 before, and what follows the object was not looked at
    @pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b'{"Image": 7}', b'{"Image": "busybox"} {}'])
    def test_broken_bodies(self, api: Api, body: bytes) -> None:
        answer = api("POST", "/containers/create", body, headers={"Content-Type": "application/json"})
        assert answer.status == 400
        assert answer.message

    def test_unknown_path(self, api: Api) -> None:
        answer = api("GET", "/v1.41/no/such/page")
        assert answer.status == 404
        assert answer.message == "page not found"

    def test_one_connection_for_many_requests(self, daemon) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(daemon.socket)
            for _ in range(3):
                sock.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
                data = b""
                while not data.endswith(b"OK"):
                    data += sock.recv(4096)

    def test_create_answer(self, api: Api) -> None:
        answer = api("POST", "/containers/create", {"Image": IMAGE})
        assert answer.json()["Warnings"] == []
        assert answer.headers["Content-Type"] == "application/json"

    def test_missing_image(self, api: Api) -> None:
        answer = api("POST", "/containers/create", {"Image": "nobody:1"})
        assert answer.status == 404
        assert answer.message == "No such image: nobody:1"


class TestDockerPy:
    def test_run(self, docker_py) -> None:
        assert docker_py.containers.run(IMAGE, ["echo", "hi"], remove=True) == b"hi\n"

    def test_failure(self, docker_py) -> None:
        errors = pytest.importorskip("docker.errors")
        with pytest.raises(errors.ContainerError):
            docker_py.containers.run(IMAGE, ["sh", "-c", "exit 3"], remove=True)
        with pytest.raises(errors.NotFound):
            docker_py.containers.get("nobody")
        with pytest.raises(errors.ImageNotFound):
            docker_py.containers.create("nobody:1")

    def test_life(self, docker_py) -> None:
        container = docker_py.containers.run(IMAGE, ["sleep", "60"], detach=True, name="py", labels={"a": "b"})
        assert container.exec_run(["sh", "-c", "echo x; exit 2"]) == (2, b"x\n")
        assert [found.name for found in docker_py.containers.list(filters={"label": "a=b"})] == ["py"]
        container.stop(timeout=0)
        assert container.wait()["StatusCode"] == 137
        container.reload()
        assert container.status == "exited"
        container.remove()

    def test_logs_stats_and_top(self, docker_py) -> None:
        container = docker_py.containers.run(IMAGE, ["sh", "-c", "echo one; echo two; sleep 60"], detach=True)
        lines = container.logs(stream=True, follow=True)
        assert (next(lines) + next(lines)).split() == [b"one", b"two"]
        lines.close()
        assert container.stats(stream=False)["pids_stats"]["current"] >= 1
        assert container.top()["Processes"]

    def test_exec_with_a_socket(self, docker_py) -> None:
        container = docker_py.containers.run(IMAGE, ["sleep", "60"], detach=True)
        identifier = docker_py.api.exec_create(container.id, ["cat"], stdin=True)["Id"]
        sock = docker_py.api.exec_start(identifier, socket=True)._sock
        sock.settimeout(10)
        sock.sendall(b"ping\n")
        sock.shutdown(socket.SHUT_WR)
        data = b""
        while chunk := sock.recv(4096):
            data += chunk
        assert data[8:] == b"ping\n"
        sock.close()

    def test_archive(self, docker_py) -> None:
        container = docker_py.containers.create(IMAGE)
        stream, stat = container.get_archive("/etc/group")
        assert stat["name"] == "group"
        assert b"root:x:0" in b"".join(stream)

    def test_images_volumes_networks(self, docker_py) -> None:
        assert docker_py.images.get("busybox").tags == [IMAGE]
        volume = docker_py.volumes.create("pyvol")
        assert docker_py.volumes.get("pyvol").id == volume.id
        volume.remove()
        assert {"bridge", "host", "none"} <= {network.name for network in docker_py.networks.list()}
        assert docker_py.info()["ServerVersion"] == docker_py.version()["Version"]
