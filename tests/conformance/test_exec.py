"""`exec`: output, codes, input, user, environment, directory, privileges, terminal, detached, after the end."""

import json
import time

import pytest

from tests.support.busybox import IMAGE
from tests.support.http import Api, joined
from tests.support.stock import Docker, eventually


@pytest.fixture
def box(docker: Docker) -> str:
    return docker("run", "-d", "--name", "box", "-e", "FROM=container", "-w", "/tmp", IMAGE, "sleep", "600")


@pytest.mark.usefixtures("box")
class TestExec:
    def test_output_and_code(self, docker: Docker) -> None:
        result = docker.result("exec", "box", "sh", "-c", "echo out; echo err >&2; exit 9")
        assert (result.out, result.err, result.code) == ("out\n", "err\n", 9)

    def test_standard_input(self, docker: Docker) -> None:
        assert docker("exec", "-i", "box", "wc", "-c", stdin=b"y" * 50_000) == "50000"

    def test_large_output(self, docker: Docker) -> None:
        assert len(docker("exec", "box", "seq", "1", "100000")) == 588894

    @pytest.mark.since("1.42")  # 126 in both cases before
    def test_not_found_and_not_executable(self, docker: Docker) -> None:
        missing = docker.result("exec", "box", "no-such-program")
        assert missing.code == 127
        assert "no-such-program" in missing.out + missing.err
        assert docker.result("exec", "box", "/etc/passwd").code == 126

    def test_environment_is_the_containers_and_more(self, docker: Docker) -> None:
        shown = docker("exec", "-e", "MORE=1", "box", "env").splitlines()
        assert {"FROM=container", "MORE=1", "HOME=/root"} <= set(shown)

    def test_directory(self, docker: Docker) -> None:
        assert docker("exec", "box", "pwd") == "/tmp"
        assert docker("exec", "-w", "/etc", "box", "pwd") == "/etc"

    def test_user(self, docker: Docker) -> None:
        assert docker("exec", "-u", "user", "box", "sh", "-c", "id -u; id -g; echo $HOME").split() == [
            "1000",
            "1000",
            "/home/user",
        ]
        assert docker("exec", "-u", "7:8", "box", "sh", "-c", "id -u; id -g").split() == ["7", "8"]

    def test_unknown_user(self, docker: Docker) -> None:
        result = docker.result("exec", "-u", "stranger", "box", "id")
        assert result.code != 0
        assert "unable to find user stranger" in result.out + result.err

    @pytest.mark.since("1.42")  # dockerd 20.10 asks for capabilities that a host may not have
    def test_privileged(self, docker: Docker) -> None:
        plain = docker("exec", "box", "grep", "CapEff", "/proc/self/status").split()[1]
        more = docker("exec", "--privileged", "box", "grep", "CapEff", "/proc/self/status").split()[1]
        assert int(more, 16) > int(plain, 16)

    def test_terminal(self, docker: Docker) -> None:
        with docker.terminal("exec", "-it", "box", "sh", rows=33, columns=99) as terminal:
            terminal.send(b"stty size; tty; echo $TERM\n")
            terminal.expect(b"33 99\r\n")
            terminal.expect(b"/dev/pts/0\r\n")
            terminal.expect(b"xterm")
            terminal.grow()
            terminal.send(b"exit 5\n")
            assert terminal.wait() == 5

    def test_detach_keys(self, docker: Docker, api: Api) -> None:
        with docker.terminal("exec", "-it", "--detach-keys", "ctrl-x,x", "box", "cat") as terminal:
            terminal.send(b"hello\n")
            terminal.expect(b"hello\r\nhello")
            terminal.send(b"\x18x")
            terminal.wait()
        time.sleep(0.2)  # it would be gone by now
        assert docker("exec", "box", "pidof", "cat") != ""

    def test_output_that_nobody_reads_any_more(self, docker: Docker) -> None:
        process = docker.spawn(
            "exec", "box", "sh", "-c", "echo up; yes | head -n 300000; echo done > /tmp/end; sleep 60"
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.kill()
        process.communicate()
        eventually(lambda: docker.result("exec", "box", "cat", "/tmp/end").out == "done\n")

    def test_detached(self, docker: Docker) -> None:
        docker("exec", "-d", "box", "sh", "-c", "echo done > /tmp/marker")
        eventually(lambda: docker.result("exec", "box", "cat", "/tmp/marker").out == "done\n")

    def test_inspect(self, api: Api) -> None:
        created = api("POST", "/containers/box/exec", {"Cmd": ["sh", "-c", "exit 3"], "AttachStdout": True})
        assert created.status == 201
        identifier = created.json()["Id"]
        before = api("GET", f"/exec/{identifier}/json").json()
        assert (before["Running"], before["ExitCode"], before["Pid"]) == (False, None, 0)
        assert before["ProcessConfig"]["entrypoint"] == "sh"
        assert before["ProcessConfig"]["arguments"] == ["-c", "exit 3"]
        sock, status, _ = api.hijack(f"/exec/{identifier}/start", {"Detach": False})
        assert status == 101
        while sock.recv(4096):
            continue
        sock.close()
        eventually(lambda: api("GET", f"/exec/{identifier}/json").json()["Running"] is False)
        assert api("GET", f"/exec/{identifier}/json").json()["ExitCode"] == 3

    def test_start_without_upgrade(self, api: Api) -> None:
        identifier = api("POST", "/containers/box/exec", {"Cmd": ["echo", "hi"], "AttachStdout": True}).json()["Id"]
        sock, status, data = api.hijack(f"/exec/{identifier}/start", {"Detach": False}, upgrade=False)
        assert status == 200
        while chunk := sock.recv(4096):
            data += chunk
        sock.close()
        assert joined(data) == b"hi\n"

    def test_start_twice(self, api: Api) -> None:
        identifier = api("POST", "/containers/box/exec", {"Cmd": ["true"]}).json()["Id"]
        assert api("POST", f"/exec/{identifier}/start", {"Detach": True}).status == 200
        assert api("POST", f"/exec/{identifier}/start", {"Detach": True}).status == 409

    def test_no_command(self, api: Api) -> None:
        answer = api("POST", "/containers/box/exec", {"AttachStdout": True})
        assert answer.status == 400
        assert answer.message == "No exec command specified"

    def test_exec_ids_are_listed_while_it_runs(self, docker: Docker, api: Api) -> None:
        docker("exec", "-d", "box", "sleep", "30")
        eventually(lambda: len(api("GET", "/containers/box/json").json()["ExecIDs"] or []) == 1)

    def test_paused(self, docker: Docker) -> None:
        docker("pause", "box")
        result = docker.fails("exec", "box", "true")
        assert "is paused, unpause the container before exec" in result.err
        docker("unpause", "box")

    def test_descriptors(self, docker: Docker) -> None:
        assert docker("exec", "box", "sh", "-c", "ls /proc/self/fd | wc -l") == "4"

    def test_many_at_once(self, docker: Docker) -> None:
        running = [docker.spawn("exec", "box", "echo", str(number)) for number in range(8)]
        assert [int(process.communicate(timeout=30)[0]) for process in running] == list(range(8))


def test_stopped_container(docker: Docker) -> None:
    identifier = docker("create", IMAGE)
    result = docker.fails("exec", identifier, "true")
    assert f"{identifier} is not running" in result.err


def test_unknown_container(docker: Docker) -> None:
    assert "No such container: nobody" in docker.fails("exec", "nobody", "true").err


def test_unknown_exec(api: Api) -> None:
    answer = api("GET", "/exec/0123/json")
    assert answer.status == 404
    assert "No such exec instance" in json.loads(answer.body)["message"]


def test_an_exec_goes_with_its_container(docker: Docker, api: Api, image: str) -> None:
    docker("run", "-d", "--name", "brief", IMAGE, "sleep", "600")
    made = [api("POST", "/containers/brief/exec", {"Cmd": ["true"]}).json()["Id"] for _ in range(2)]
    assert api("POST", f"/exec/{made[0]}/start", {"Detach": True}).status == 200
    assert [api("GET", f"/exec/{each}/json").status for each in made] == [200, 200]
    docker("rm", "-f", "brief")
    eventually(lambda: [api("GET", f"/exec/{each}/json").status for each in made] == [404, 404])


def test_children_that_hold_the_output_are_not_waited_for(docker: Docker) -> None:
    docker("run", "-d", "--name", "box", IMAGE, "sleep", "600")
    assert docker("exec", "box", "sh", "-c", "sleep 60 & echo done", timeout=20) == "done"
