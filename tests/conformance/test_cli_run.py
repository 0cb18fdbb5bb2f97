"""``corten run``, ``exec``, ``attach`` and ``start``: streams, exit codes, terminal, signals, detach keys."""

import signal
import time
from collections.abc import Iterator

import pytest

from tests.support.busybox import IMAGE
from tests.support.cortencli import Corten
from tests.support.daemon import Daemon


@pytest.fixture(scope="module")
def corten(daemon: Daemon, image: str) -> Iterator[Corten]:
    cli = Corten(daemon.url)
    yield cli
    cli.close()


def eventually(check, seconds=10):
    deadline = time.monotonic() + seconds
    while not (result := check()):
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)
    return result


def test_both_streams_and_the_exit_code(corten):
    result = corten.fails("run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7", code=7)
    assert (result.out, result.err) == ("out\n", "err\n")


def test_input_is_passed_on_to_its_end(corten):
    data = b"x" * 300_000 + b"\nend\n"
    assert corten.result("run", "--rm", "-i", IMAGE, "cat", stdin=data).out.encode() == data


@pytest.mark.parametrize(("command", "code"), [("no-such-program", 127), ("/etc", 126)])
def test_what_cannot_be_started(corten, command, code):
    result = corten.fails("run", "--rm", IMAGE, command, code=code)
    assert result.err.startswith("corten: Error response from daemon: ")
    assert result.err.endswith("\n\nRun 'corten run --help' for more information\n")


def test_a_missing_image_that_must_not_be_pulled(corten):
    result = corten.fails("run", "--pull", "never", "no-such-image", code=125)
    assert result.err.startswith("corten: Error response from daemon: No such image: no-such-image:latest\n")


def test_a_pull_policy_that_nobody_knows(corten):
    result = corten.fails("run", "--pull", "often", IMAGE, code=125)
    assert result.err.startswith(
        'corten: invalid pull option: \'often\': must be one of "always", "missing" or "never"\n'
    )


def test_detached_prints_the_id_and_logs_tell_the_rest(corten):
    identifier = corten("run", "-d", "--name", "back", IMAGE, "sh", "-c", "echo a; echo b >&2")
    assert len(identifier) == 64
    assert corten("wait", "back") == "0"
    result = corten.result("logs", "back")
    assert (result.out, result.err) == ("a\n", "b\n")
    assert corten("logs", "-n", "1", "--timestamps", "back").count("T") >= 0
    assert corten("rm", "back") == "back"


def test_a_terminal_has_our_size_and_follows_it(corten):
    script = "read x; stty size; read x; stty size; exit 4"
    with corten.terminal("run", "--rm", "-it", IMAGE, "sh", "-c", script, rows=30, columns=90) as screen:
        time.sleep(0.5)  # dockerd 20.10 learns the size only after the start
        screen.send(b"\r")
        screen.expect(b"30 90")
        screen.resize(40, 100)
        time.sleep(0.3)  # the new size travels by a request of its own
        screen.send(b"\r")
        screen.expect(b"40 100")
        assert screen.wait() == 4


def test_the_detach_keys_leave_the_container_running(corten):
    with corten.terminal("run", "--name", "kept", "-it", IMAGE, "sh") as screen:
        screen.insist(b"echo re''ady\r", b"ready")
        screen.send(b"\x10\x11")
        assert screen.wait() == 0
    assert corten("inspect", "-f", "{{.State.Running}}", "kept") == "true"
    with corten.terminal("attach", "--detach-keys", "ctrl-x", "kept") as screen:
        screen.insist(b"echo ag''ain\r", b"again")
        screen.send(b"\x18")
        assert screen.wait() == 1
    assert b"read escape sequence" in screen.seen
    with corten.terminal("attach", "kept") as screen:
        screen.insist(b"\r", b"#")
        screen.send(b"exit 5\r")
        assert screen.wait() == 5


def test_signals_reach_the_container(corten):
    script = "trap 'echo got; exit 9' TERM; echo up; while true; do sleep 0.1; done"
    process = corten.spawn("run", "--rm", IMAGE, "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert (out, process.returncode) == (b"got\n", 9)


def test_exec(corten):
    corten("run", "-d", "--name", "box", IMAGE, "sleep", "1000")
    assert corten("exec", "-e", "A=b", "-w", "/tmp", "box", "sh", "-c", "echo $A; pwd") == "b\n/tmp"
    assert corten.fails("exec", "box", "sh", "-c", "exit 3", code=3).out == ""
    assert corten("exec", "-i", "box", "cat", stdin=b"typed") == "typed"
    assert corten.result("exec", "box", "no-such-program").code in (126, 127)
    assert "No such container: nobody" in corten.fails("exec", "nobody", "true", code=1).err
    with corten.terminal("exec", "-it", "box", "sh", "-c", "tty; stty size; exit 6", rows=33, columns=77) as screen:
        screen.expect(b"/dev/pts/")
        assert screen.wait() == 6
    assert corten("exec", "-d", "box", "touch", "/tmp/made") == ""
    eventually(lambda: corten.result("exec", "box", "test", "-e", "/tmp/made").code == 0)


def test_start_attached_and_its_input(corten):
    corten("create", "--name", "again", "-i", IMAGE, "sh", "-c", "cat; exit 2")
    result = corten.fails("start", "-ai", "again", code=2, stdin=b"hello")
    assert result.out == "hello"
    assert corten("start", "again") == "again"
    result = corten.fails("start", "nobody", code=1)
    assert "Error: failed to start containers: nobody" in result.err


def test_a_terminal_is_asked_for_where_there_is_none(corten):
    assert corten.fails("run", "-it", IMAGE, "true", code=1, stdin=b"").err == "the input device is not a TTY\n"


def test_cidfile(corten, tmp_path):
    path = tmp_path / "cid"
    identifier = corten("create", "--cidfile", str(path), IMAGE)
    assert path.read_text() == identifier
    assert "container ID file found" in corten.fails("run", "--cidfile", str(path), IMAGE, code=125).err


def test_logs_follow_to_the_end(corten):
    corten("run", "-d", "--name", "slow", IMAGE, "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.2; done")
    assert corten("logs", "-f", "slow") == "1\n2\n3"
