"""`ps` and `inspect`: columns, filters, formats, order, sizes, ports; `top`, `stats`, `diff`."""

import json

import pytest

from tests.support.busybox import IMAGE
from tests.support.http import Api
from tests.support.stock import Docker, eventually


def names(docker: Docker, *options: str) -> set[str]:
    return set(docker("ps", "-a", "--format", "{{.Names}}", *options).split())


def listed(docker: Docker, **filters: str) -> set[str]:
    return names(docker, *(part for key, value in filters.items() for part in ("--filter", f"{key}={value}")))


def test_only_running_ones_by_default(docker: Docker) -> None:
    docker("create", "--name", "stopped", IMAGE)
    docker("run", "-d", "--name", "running", IMAGE, "sleep", "60")
    assert docker("ps", "--format", "{{.Names}}") == "running"
    assert names(docker) == {"running", "stopped"}


def test_table(docker: Docker) -> None:
    docker("run", "-d", "--name", "shown", "-p", "127.0.0.1::80", IMAGE, "sleep", "60")
    header, line = docker("ps").splitlines()
    assert header.split() == ["CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    assert '"sleep 60"' in line
    assert "->80/tcp" in line
    assert "Up " in line


def test_newest_first_limit_and_latest(docker: Docker) -> None:
    for name in ("one", "two", "three"):
        docker("create", "--name", name, IMAGE)
    assert docker("ps", "-a", "--format", "{{.Names}}").split() == ["three", "two", "one"]
    assert docker("ps", "-n", "2", "--format", "{{.Names}}").split() == ["three", "two"]
    assert docker("ps", "-l", "--format", "{{.Names}}") == "three"


def test_filters(docker: Docker) -> None:
    docker("create", "--name", "alpha", "-l", "kind=a", IMAGE)
    docker("create", "--name", "beta", "-l", "kind=b", "-v", "data:/data", "--expose", "81", IMAGE)
    docker("run", "-d", "--name", "gamma", "-p", "127.0.0.1::82", "--network", "bridge", IMAGE, "sleep", "60")
    docker.result("run", "--name", "delta", "--network", "none", IMAGE, "sh", "-c", "exit 3")
    first = docker("inspect", "-f", "{{.Id}}", "alpha")
    assert listed(docker, name="et") == {"beta"}
    assert listed(docker, name="^/beta$") == {"beta"}
    assert listed(docker, id=first[:10]) == {"alpha"}
    assert listed(docker, label="kind") == {"alpha", "beta"}
    assert listed(docker, label="kind=b") == {"beta"}
    assert listed(docker, status="running") == {"gamma"}
    assert listed(docker, status="created") == {"alpha", "beta"}
    assert listed(docker, exited="3") == {"delta"}
    assert listed(docker, ancestor="busybox") == {"alpha", "beta", "gamma", "delta"}
    assert listed(docker, ancestor="other") == set()
    assert listed(docker, volume="data") == {"beta"}
    assert listed(docker, volume="/data") == {"beta"}
    assert listed(docker, network="none") == {"delta"}
    assert listed(docker, publish="82") == {"gamma"}
    assert listed(docker, expose="80-90/tcp") >= {"gamma"}
    assert listed(docker, before="gamma") == {"alpha", "beta"}
    assert listed(docker, since="beta") == {"gamma", "delta"}
    docker("rm", "-f", "beta")
    docker("volume", "rm", "data")


@pytest.mark.since("1.42")  # some gave 500 before
@pytest.mark.parametrize(
    "filters",
    [{"nonsense": ["x"]}, {"status": ["flying"]}, {"health": ["great"]}, {"exited": ["x"]}, {"before": ["nobody"]}],
)
def test_wrong_filters(api: Api, filters: dict) -> None:
    assert api("GET", "/containers/json", query={"filters": filters}).status in (400, 404)


def test_filters_in_the_old_form(api: Api, docker: Docker) -> None:
    docker("create", "--name", "alpha", "-l", "kind=a", IMAGE)
    answer = api("GET", "/containers/json", query={"all": 1, "filters": {"label": {"kind=a": True}}})
    assert [container["Names"] for container in answer.json()] == [["/alpha"]]


def test_size(api: Api, docker: Docker) -> None:
    docker("run", "--name", "big", IMAGE, "sh", "-c", "head -c 1000000 /dev/zero > /file")
    entry = api("GET", "/containers/json", query={"all": 1, "size": 1}).json()[0]
    assert 1_000_000 <= entry["SizeRw"] < 1_100_000
    assert entry["SizeRootFs"] > entry["SizeRw"]
    assert "SizeRw" not in api("GET", "/containers/big/json").json()
    assert api("GET", "/containers/big/json", query={"size": 1}).json()["SizeRw"] >= 1_000_000
    assert "1MB (virtual" in docker("ps", "-as", "--format", "{{.Size}}")


def test_list_entry(api: Api, docker: Docker) -> None:
    identifier = docker("run", "-d", "--name", "entry", "-l", "a=b", "-v", "/tmp:/host:ro", IMAGE, "sleep", "60")
    entry = api("GET", "/containers/json").json()[0]
    assert entry["Id"] == identifier
    assert entry["Names"] == ["/entry"]
    assert entry["Image"] in (IMAGE, "busybox")
    assert entry["ImageID"].startswith("sha256:")
    assert (entry["Command"], entry["State"], entry["Labels"]) == ("sleep 60", "running", {"a": "b"})
    assert entry["HostConfig"]["NetworkMode"] in ("bridge", "default")
    assert entry["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    mount = entry["Mounts"][0]
    assert (mount["Type"], mount["Source"], mount["Destination"], mount["RW"]) == ("bind", "/tmp", "/host", False)


def test_inspect(api: Api, docker: Docker, daemon) -> None:
    identifier = docker("run", "-d", "--name", "seen", IMAGE, "sleep", "60")
    shown = api("GET", "/containers/seen/json").json()
    assert shown["Id"] == identifier
    assert (shown["Path"], shown["Args"], shown["Name"]) == ("sleep", ["60"], "/seen")
    assert (shown["State"]["Running"], shown["State"]["Status"]) == (True, "running")
    assert shown["Config"]["Hostname"] == identifier[:12]
    assert shown["Config"]["Cmd"] == ["sleep", "60"]
    assert shown["HostConfig"]["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}
    assert shown["HostConfig"]["LogConfig"]["Type"] == "json-file"
    assert shown["HostConfig"]["ShmSize"] == 64 << 20
    assert shown["HostConfig"]["Binds"] is None
    for field in ("ResolvConfPath", "HostnamePath", "HostsPath", "LogPath"):
        assert shown[field].startswith(daemon.data_root), field
    network = shown["NetworkSettings"]["Networks"]["bridge"]
    assert network["Gateway"] == daemon.address
    assert network["IPPrefixLen"] == 24
    assert network["MacAddress"].count(":") == 5


def test_inspect_of_several_and_missing(docker: Docker) -> None:
    docker("create", "--name", "one", IMAGE)
    result = docker.fails("inspect", "one", "nobody")
    assert [entry["Name"] for entry in json.loads(result.out)] == ["/one"]
    assert "nobody" in result.err


def test_top(api: Api, docker: Docker) -> None:
    docker("run", "-d", "--name", "t1", IMAGE, "sh", "-c", "sleep 77 & sleep 78")
    eventually(lambda: "sleep 77" in docker("top", "t1"))
    answer = api("GET", "/containers/t1/top").json()
    assert answer["Titles"] == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert all(len(row) == 8 for row in answer["Processes"])
    assert {row[-1] for row in answer["Processes"]} >= {"sleep 77", "sleep 78"}
    assert docker("top", "t1", "-o", "pid,comm").splitlines()[0].split() == ["PID", "COMMAND"]
    docker("kill", "t1")
    assert "is not running" in docker.fails("top", "t1").err


def test_stats(api: Api, docker: Docker) -> None:
    docker("run", "-d", "--name", "s1", "-m", "64m", IMAGE, "sleep", "60")
    shown = api("GET", "/containers/s1/stats", query={"stream": 0}).json()
    assert shown["memory_stats"]["limit"] == 64 << 20
    assert 0 < shown["memory_stats"]["usage"] < 64 << 20
    assert shown["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert shown["cpu_stats"]["system_cpu_usage"] > shown["precpu_stats"]["system_cpu_usage"] > 0
    assert shown["cpu_stats"]["online_cpus"] >= 1
    assert shown["pids_stats"]["current"] == 1
    assert shown["networks"]["eth0"]["rx_bytes"] >= 0
    line = docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}")
    assert line.startswith("s1 ")
    assert line.endswith("/ 64MiB 1")


@pytest.mark.since("1.41")
def test_stats_one_shot(api: Api, docker: Docker) -> None:
    docker("run", "-d", "--name", "s1", IMAGE, "sleep", "60")
    shown = api("GET", "/v1.41/containers/s1/stats", query={"stream": 0, "one-shot": 1}).json()
    assert shown["precpu_stats"]["cpu_usage"]["total_usage"] == 0
    assert shown["cpu_stats"]["cpu_usage"]["total_usage"] > 0


def test_stats_stream(api: Api, docker: Docker) -> None:
    docker("run", "-d", "--name", "s1", IMAGE, "sleep", "60")
    records = api.lines("/containers/s1/stats")
    first, second = next(records), next(records)
    records.close()
    assert first["read"] < second["read"]


def test_stats_of_a_stopped_container(api: Api, docker: Docker) -> None:
    docker("create", "--name", "s1", IMAGE)
    shown = api("GET", "/containers/s1/stats", query={"stream": 0}).json()
    assert shown["cpu_stats"]["cpu_usage"]["total_usage"] == 0


def test_diff(docker: Docker) -> None:
    docker("run", "--name", "d1", IMAGE, "sh", "-c", "rm /etc/shadow; echo > /etc/new; mkdir -p /a/b; chmod 700 /home")
    assert set(docker("diff", "d1").splitlines()) == {
        "C /etc",
        "D /etc/shadow",
        "A /etc/new",
        "A /a",
        "A /a/b",
        "C /home",
    }


def test_diff_of_an_unchanged_container(api: Api, docker: Docker) -> None:
    identifier = docker("create", IMAGE)
    answer = api("GET", f"/containers/{identifier}/changes")
    assert answer.status == 200
    assert answer.json() in ([], None)
