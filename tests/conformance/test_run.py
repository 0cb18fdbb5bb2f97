"""`run`: output, exit codes, streams, names, working directory, user, entrypoint, environment."""

import pytest

from tests.support.busybox import IMAGE
from tests.support.stock import Docker


def test_prints_and_exits_with_zero(docker: Docker) -> None:
    assert docker("run", "--rm", IMAGE, "echo", "hello") == "hello"


def test_exit_code_of_the_program(docker: Docker) -> None:
    docker.fails("run", "--rm", IMAGE, "sh", "-c", "exit 42", code=42)


def test_exit_code_of_a_signal(docker: Docker) -> None:
    docker.fails("run", "--rm", IMAGE, "sh", "-c", "sh -c 'kill -9 $$'; exit $?", code=137)


def test_exit_code_of_a_killed_container(docker: Docker) -> None:
    docker("run", "-d", "--name", "victim", IMAGE, "sleep", "60")
    docker("kill", "victim")
    assert docker("wait", "victim") == "137"


def test_125_for_a_wrong_request(docker: Docker) -> None:
    result = docker.fails("run", "--rm", "--memory", "1m", IMAGE, "true", code=125)
    assert "Minimum memory limit allowed is 6MB" in result.err


def test_126_for_what_cannot_be_executed(docker: Docker) -> None:
    result = docker.fails("run", "--rm", IMAGE, "/etc/passwd", code=126)
    assert "permission denied" in result.err.lower()


def test_127_for_what_is_not_there(docker: Docker) -> None:
    result = docker.fails("run", "--rm", IMAGE, "no-such-program", code=127)
    assert "executable file not found in $PATH" in result.err


def test_127_for_a_missing_path(docker: Docker) -> None:
    result = docker.fails("run", "--rm", IMAGE, "/no/such", code=127)
    assert "no such file or directory" in result.err


def test_a_failed_start_leaves_a_created_container_with_its_code(docker: Docker) -> None:
    docker.fails("run", "--name", "broken", IMAGE, "no-such-program", code=127)
    state = docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}} {{.State.Running}}", "broken")
    assert state == "created 127 false"
    assert "not found" in docker("inspect", "-f", "{{.State.Error}}", "broken")


def test_missing_image_with_pull_never(docker: Docker) -> None:
    result = docker.fails("run", "--rm", "--pull", "never", "no-such-image:tag", code=125)
    assert "No such image: no-such-image:tag" in result.err


def test_taken_name(docker: Docker) -> None:
    first = docker("create", "--name", "mine", IMAGE)
    result = docker.fails("run", "--name", "mine", IMAGE, code=125)
    expected = f'Conflict. The container name "/mine" is already in use by container "{first}"'
    assert expected in result.err
    assert "You have to remove (or rename) that container to be able to reuse that name." in result.err


def test_invalid_name(docker: Docker) -> None:
    result = docker.fails("create", "--name", "-x!", IMAGE)
    assert "Invalid container name (-x!), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed" in result.err


def test_streams_stay_apart(docker: Docker) -> None:
    result = docker.result("run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2")
    assert (result.out, result.err) == ("out\n", "err\n")


def test_standard_input_and_its_end(docker: Docker) -> None:
    assert docker("run", "--rm", "-i", IMAGE, "wc", "-c", stdin=b"x" * 100_000) == "100000"


def test_large_output_arrives_whole(docker: Docker) -> None:
    assert len(docker("run", "--rm", IMAGE, "seq", "1", "200000")) == 1288894


def test_detached_gives_the_id(docker: Docker) -> None:
    identifier = docker("run", "-d", IMAGE, "sleep", "60")
    assert len(identifier) == 64
    assert docker("inspect", "-f", "{{.State.Status}} {{.State.Pid}}", identifier).startswith("running ")


def test_generated_name(docker: Docker) -> None:
    name = docker("inspect", "-f", "{{.Name}}", docker("create", IMAGE))
    assert name.startswith("/")
    assert "_" in name


def test_working_directory_is_made(docker: Docker) -> None:
    assert docker("run", "--rm", "-w", "/made/for/me", IMAGE, "pwd") == "/made/for/me"


def test_relative_working_directory_is_refused(docker: Docker) -> None:
    result = docker.fails("run", "--rm", "-w", "relative", IMAGE, "pwd", code=125)
    assert "the working directory 'relative' is invalid, it needs to be an absolute path" in result.err


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("user", "1000 1000 1000 2000"),
        ("1000", "1000 1000 1000 2000"),
        ("1000:0", "1000 0 0"),
        ("user:extra", "1000 2000 2000"),
        ("4321", "4321 0 0"),
        ("4321:8765", "4321 8765 8765"),
        ("0", "0 0 0"),
    ],
)
def test_user_forms(docker: Docker, user: str, expected: str) -> None:
    shown = docker("run", "--rm", "-u", user, IMAGE, "sh", "-c", "echo $(id -u) $(id -g) $(id -G)")
    assert shown == expected


def test_unknown_user(docker: Docker) -> None:
    result = docker.result("run", "--rm", "-u", "stranger", IMAGE, "id")
    assert result.code in (125, 126)
    assert "unable to find user stranger" in result.err


def test_group_add(docker: Docker) -> None:
    groups = docker("run", "--rm", "-u", "1000:1000", "--group-add", "extra", "--group-add", "777", IMAGE, "id", "-G")
    assert set(groups.split()) == {"1000", "2000", "777"}


def test_entrypoint_and_arguments(docker: Docker) -> None:
    assert docker("run", "--rm", "--entrypoint", "echo", IMAGE, "a", "b c") == "a b c"


def test_entrypoint_drops_the_images_command(docker: Docker) -> None:
    created = docker("create", "--entrypoint", "true", IMAGE)
    assert docker("inspect", "-f", "{{.Path}} {{json .Args}} {{json .Config.Cmd}}", created) == "true [] null"


def test_no_command_at_all(docker: Docker, api, rootfs_tar: bytes) -> None:
    assert api("POST", "/images/create", rootfs_tar, query={"fromSrc": "-", "repo": "nothing"}).status == 200
    result = docker.fails("create", "nothing")
    assert "no command specified" in result.err.lower()


def test_environment(docker: Docker) -> None:
    shown = docker("run", "--rm", "-e", "A=1", "-e", "B=two words", "-h", "box", IMAGE, "env").splitlines()
    assert {"A=1", "B=two words", "HOSTNAME=box", "HOME=/root"} <= set(shown)
    assert any(line.startswith("PATH=/usr/local/sbin:/usr/local/bin") for line in shown)


def test_home_follows_the_user(docker: Docker) -> None:
    assert docker("run", "--rm", "-u", "user", IMAGE, "sh", "-c", "echo $HOME") == "/home/user"


def test_terminal_environment(docker: Docker) -> None:
    assert docker("run", "--rm", "-t", IMAGE, "sh", "-c", "echo $TERM; tty") == "xterm\r\n/dev/pts/0"


def test_hostname_and_domain(docker: Docker) -> None:
    script = "hostname; cat /proc/sys/kernel/domainname; grep -c box.example.org /etc/hosts"
    shown = docker("run", "--rm", "-h", "box", "--domainname", "example.org", IMAGE, "sh", "-c", script)
    assert shown.splitlines() == ["box", "example.org", "1"]


def test_hostname_defaults_to_the_short_id(docker: Docker) -> None:
    created = docker("create", IMAGE, "hostname")
    assert docker("start", "-a", created) == created[:12]


def test_labels(docker: Docker) -> None:
    created = docker("create", "-l", "a=b", "-l", "empty", IMAGE)
    assert docker("inspect", "-f", "{{json .Config.Labels}}", created) == '{"a":"b","empty":""}'


def test_cidfile(docker: Docker, tmp_path) -> None:
    path = tmp_path / "cid"
    identifier = docker("run", "-d", "--cidfile", str(path), IMAGE, "true")
    assert path.read_text() == identifier


def test_sleeping_container_ends_by_a_forwarded_signal(docker: Docker) -> None:
    process = docker.spawn(
        "run",
        "--rm",
        "--name",
        "trapper",
        IMAGE,
        "sh",
        "-c",
        "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 7


def test_auto_remove(docker: Docker) -> None:
    docker("run", "--rm", "--name", "gone", IMAGE, "true")
    assert docker("ps", "-aq", "--filter", "name=gone") == ""


def test_restart_policy_and_auto_remove_exclude_each_other(docker: Docker) -> None:
    docker.fails("run", "--rm", "--restart", "always", IMAGE, code=125)


def test_init(docker: Docker) -> None:
    assert "init" in docker("run", "--rm", "--init", IMAGE, "cat", "/proc/1/comm")


def test_no_init(docker: Docker) -> None:
    assert docker("run", "--rm", IMAGE, "cat", "/proc/1/comm") == "cat"


def test_no_descriptor_of_the_host_is_open(docker: Docker) -> None:
    assert docker("run", "--rm", IMAGE, "sh", "-c", "ls /proc/self/fd | wc -l") == "4"  # one is ls's own
    docker("run", "-d", "--name", "sleeper", IMAGE, "sleep", "60")
    assert docker("exec", "sleeper", "ls", "/proc/1/fd").split() == ["0", "1", "2"]


def test_image_platform_that_is_not_there(docker: Docker) -> None:
    result = docker.result("run", "--rm", "--pull", "never", "--platform", "linux/s390x", IMAGE, "true")
    assert result.code == 125
