"""`logs`: streams, follow, since, until, tail, timestamps, details, terminals, drivers, rotation."""

import re
import time

from tests.support.busybox import IMAGE
from tests.support.http import Api, frames
from tests.support.stock import Docker, eventually


def finished(docker: Docker, script: str, *options: str) -> str:
    identifier = docker("run", "-d", *options, IMAGE, "sh", "-c", script)
    docker("wait", identifier)
    return identifier


def test_streams(docker: Docker) -> None:
    result = docker.result("logs", finished(docker, "echo out; echo err >&2"))
    assert (result.out, result.err) == ("out\n", "err\n")


def test_one_stream(api: Api, docker: Docker) -> None:
    identifier = finished(docker, "echo out; echo err >&2")
    answer = api("GET", f"/containers/{identifier}/logs", query={"stderr": 1})
    assert frames(answer.body) == [(2, b"err\n")]
    neither = api("GET", f"/containers/{identifier}/logs")
    assert neither.status == 400
    assert "you must choose at least one stream" in neither.message


def test_tail(docker: Docker) -> None:
    identifier = finished(docker, "seq 1 100")
    assert docker("logs", "--tail", "3", identifier).split() == ["98", "99", "100"]
    assert docker("logs", "--tail", "0", identifier) == ""
    assert len(docker("logs", "--tail", "all", identifier).split()) == 100
    assert len(docker("logs", "-n", "1000", identifier).split()) == 100


def test_timestamps(docker: Docker) -> None:
    shown = docker("logs", "-t", finished(docker, "echo hi"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z hi", shown)


def test_since_and_until(docker: Docker) -> None:
    identifier = finished(docker, "echo one; sleep 1.1; echo two")
    first, second = (line.split()[0] for line in docker("logs", "-t", identifier).splitlines())
    assert docker("logs", "--since", second, identifier) == "two"
    assert docker("logs", "--until", first, identifier) == "one"
    assert docker("logs", "--since", "1h", identifier).split() == ["one", "two"]
    assert docker("logs", "--until", "1h", identifier) == ""


def test_follow_ends_with_the_container(docker: Docker) -> None:
    identifier = docker("run", "-d", IMAGE, "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.2; done")
    assert docker("logs", "-f", identifier).split() == ["1", "2", "3"]


def test_follow_shows_lines_as_they_come(docker: Docker) -> None:
    identifier = docker(
        "run", "-d", IMAGE, "sh", "-c", "echo first; while [ ! -e /go ]; do sleep 0.05; done; echo second; sleep 60"
    )
    process = docker.spawn("logs", "-f", identifier)
    assert process.stdout is not None
    assert process.stdout.readline() == b"first\n"
    docker("exec", identifier, "touch", "/go")
    assert process.stdout.readline() == b"second\n"
    process.kill()
    process.communicate()


def test_follow_goes_on_over_a_restart(docker: Docker) -> None:
    identifier = finished(docker, "echo again")
    docker("start", identifier)
    docker("wait", identifier)
    assert docker("logs", identifier).split() == ["again", "again"]


def test_partial_line_is_kept(docker: Docker) -> None:
    result = docker.result("logs", finished(docker, "printf 'no newline'"))
    assert result.out == "no newline"


def test_long_lines_come_back_whole(docker: Docker) -> None:
    identifier = finished(docker, "head -c 70000 /dev/zero | tr '\\0' x; echo; echo end")
    lines = docker("logs", identifier).splitlines()
    assert [len(line) for line in lines] == [70000, 3]
    assert docker("logs", "--tail", "1", identifier) == "end"


def test_bytes_are_not_changed(docker: Docker) -> None:
    result = docker.result("logs", finished(docker, "printf 'a\\r\\n\\ttab \\303\\251\\n\\n\\nend\\n'"))
    assert result.out == "a\r\n\ttab é\n\n\nend\n"


def test_terminal_is_raw(api: Api, docker: Docker) -> None:
    identifier = finished(docker, "echo hi", "-t")
    answer = api("GET", f"/containers/{identifier}/logs", query={"stdout": 1})
    assert answer.body == b"hi\r\n"


def test_details(docker: Docker) -> None:
    identifier = finished(docker, "echo hi", "--log-opt", "labels=kind", "--label", "kind=test")
    assert docker("logs", "--details", identifier) == "kind=test hi"


def test_none_driver(docker: Docker) -> None:
    identifier = finished(docker, "echo hi", "--log-driver", "none")
    assert "configured logging driver does not support reading" in docker.fails("logs", identifier).err


def test_local_driver(docker: Docker) -> None:
    identifier = finished(docker, "echo hi; echo there", "--log-driver", "local")
    assert docker("logs", identifier).split() == ["hi", "there"]


def test_unknown_driver(docker: Docker) -> None:
    result = docker.result("run", "--rm", "--log-driver", "nonsense", IMAGE, "true")
    assert result.code == 125
    assert "nonsense" in result.err


def test_unknown_option(docker: Docker) -> None:
    result = docker.fails("run", "--rm", "--log-opt", "nonsense=1", IMAGE, "true", code=125)
    assert "unknown log opt 'nonsense' for json-file log driver" in result.err


def test_rotation_keeps_the_newest(docker: Docker) -> None:
    options = ("--log-opt", "max-size=20k", "--log-opt", "max-file=3")
    identifier = docker("run", "-d", *options, IMAGE, "sh", "-c", "seq 1 200000; sleep 60")

    def last_line() -> bool:
        return docker("logs", "--tail", "1", identifier) == "200000"

    eventually(last_line, timeout=20)
    time.sleep(1.2)  # the turn of a file may come a moment after the last line
    numbers = [int(line) for line in docker("logs", identifier).split()]
    assert numbers[-1] == 200000
    assert len(numbers) < 200000
    assert numbers == list(range(numbers[0], 200001))


def test_logs_of_a_running_flood_can_be_tailed(docker: Docker) -> None:
    identifier = docker("run", "-d", IMAGE, "yes", "abcdefghij")
    eventually(lambda: docker("logs", "--tail", "2", identifier).splitlines() == ["abcdefghij"] * 2)
    docker("kill", identifier)


def test_unknown_container(docker: Docker) -> None:
    assert "No such container: nobody" in docker.fails("logs", "nobody").err


def test_created_container_has_none(docker: Docker) -> None:
    assert docker("logs", docker("create", IMAGE)) == ""
