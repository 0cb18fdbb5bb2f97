"""Networks and published ports: bridge, address, ways in and out, ranges, random ports, loopback, UDP, hairpin."""

import re
import socket
import subprocess
import sys
import urllib.request

import pytest

from tests.support.busybox import IMAGE
from tests.support.http import Api
from tests.support.stock import Docker, eventually

SERVE = ("sh", "-c", "echo page of $(hostname) > /tmp/index.html; exec httpd -f -p 80 -h /tmp")


def fetch(host: str, port: int | str) -> str:
    shown = f"[{host}]" if ":" in host else host
    with urllib.request.urlopen(f"http://{shown}:{port}/index.html", timeout=5) as answer:
        return answer.read().decode().strip()


def page(host: str, port: int | str) -> str:
    """The page, which names the container that serves it; empty when nobody answers."""
    try:
        return fetch(host, port)
    except OSError:
        return ""


def answers(host: str, port: int | str) -> bool:
    return page(host, port).startswith("page of")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def host_address() -> str:
    """An address of this host that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("192.0.2.1", 9))
        return str(sock.getsockname()[0])


def published(docker: Docker, name: str, port: str = "80/tcp") -> int:
    return int(docker("port", name, port).splitlines()[0].rpartition(":")[2])


def test_address_and_gateway(docker: Docker, daemon) -> None:
    shown = docker("run", "--rm", IMAGE, "sh", "-c", "ip -4 addr show eth0; ip route")
    prefix = daemon.address.rpartition(".")[0]
    assert re.search(rf"inet {re.escape(prefix)}\.\d+/24", shown)
    assert f"default via {daemon.address} dev eth0" in shown


def test_containers_reach_each_other_and_the_gateway(docker: Docker, daemon) -> None:
    docker("run", "-d", "--name", "web", IMAGE, *SERVE)
    address = docker("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", "web")
    eventually(lambda: docker.result("run", "--rm", IMAGE, "wget", "-qO-", f"http://{address}/index.html").code == 0)
    assert docker.result("run", "--rm", IMAGE, "ping", "-c", "1", "-W", "3", daemon.address).code == 0


def test_published_port(docker: Docker) -> None:
    port = free_port()
    docker("run", "-d", "--name", "web", "-p", f"{port}:80", IMAGE, *SERVE)
    eventually(lambda: answers("127.0.0.1", port))
    assert answers(host_address(), port)
    assert f"0.0.0.0:{port}" in docker("port", "web")
    ours = page("127.0.0.1", port)
    docker("rm", "-f", "web")
    assert page("127.0.0.1", port) != ours  # another daemon may have taken the port


def test_several_starts_find_the_port_free(docker: Docker) -> None:
    port = free_port()
    docker("create", "--name", "web", "-p", f"{port}:80", IMAGE, *SERVE)
    for _ in range(3):
        docker("start", "web")
        eventually(lambda: answers("127.0.0.1", port))
        docker("stop", "-t", "0", "web")


def test_random_port(docker: Docker) -> None:
    docker("run", "-d", "--name", "web", "-p", "80", IMAGE, *SERVE)
    port = published(docker, "web")
    assert port > 1024
    eventually(lambda: answers("127.0.0.1", port))


def test_publish_all(docker: Docker) -> None:
    docker("run", "-d", "--name", "web", "-P", "--expose", "80", "--expose", "90/udp", IMAGE, *SERVE)
    assert {line.split(" -> ")[0] for line in docker("port", "web").splitlines()} == {"80/tcp", "90/udp"}
    port = published(docker, "web")
    eventually(lambda: answers("127.0.0.1", port))


def test_range(docker: Docker) -> None:
    docker("create", "--name", "range", "-p", "127.0.0.1:42300-42302:80-82", IMAGE, "sleep", "60")
    docker("start", "range")
    assert published(docker, "range", "81/tcp") == 42301


def test_range_of_candidates(docker: Docker) -> None:
    ports = set()
    for number in range(2):
        docker("run", "-d", "--name", f"web{number}", "-p", "127.0.0.1:42310-42315:80", IMAGE, "sleep", "60")
        ports.add(published(docker, f"web{number}"))
    assert len(ports) == 2
    assert ports <= set(range(42310, 42316))


def test_loopback_only(docker: Docker) -> None:
    docker("run", "-d", "--name", "web", "-p", "127.0.0.1::80", IMAGE, *SERVE)
    port = published(docker, "web")
    eventually(lambda: answers("127.0.0.1", port))
    assert page(host_address(), port) != page("127.0.0.1", port)


def test_taken_port(docker: Docker) -> None:
    docker("run", "-d", "-p", "127.0.0.1:42320:80", IMAGE, "sleep", "60")
    result = docker.fails("run", "--name", "second", "-p", "127.0.0.1:42320:80", IMAGE, "true", code=125)
    assert "port is already allocated" in result.err
    assert docker("inspect", "-f", "{{.State.Status}}", "second") == "created"
    for _ in range(3):  # the CLI waits for the next exit meanwhile; a failed start is none
        assert "waiting" not in docker.fails("run", "-d", "-p", "127.0.0.1:42320:80", IMAGE, "true", code=125).err


def test_port_that_a_program_holds(docker: Docker) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        result = docker.fails("run", "-p", f"127.0.0.1:{port}:80", IMAGE, "true", code=125)
    assert "address already in use" in result.err


@pytest.mark.parametrize("spec", ["99999:80", "80:99999", "x:80", "1-3:1-2", "80:80/ftp"])
def test_wrong_specifications(docker: Docker, spec: str) -> None:
    assert docker.result("run", "--rm", "-p", spec, IMAGE, "true").code == 125


ECHO = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("0.0.0.0", 53))
print("ready", flush=True)
while True:
    data, peer = sock.recvfrom(100)
    sock.sendto(data, peer)
"""


def test_udp(docker: Docker) -> None:
    docker("run", "-d", "--name", "echo", "-p", "127.0.0.1::53/udp", IMAGE, "sleep", "60")
    pid = docker("inspect", "-f", "{{.State.Pid}}", "echo")
    inside = subprocess.Popen(["nsenter", "-t", pid, "-n", sys.executable, "-c", ECHO], stdout=subprocess.PIPE)
    try:
        assert inside.stdout is not None
        assert inside.stdout.readline() == b"ready\n"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.connect(("127.0.0.1", published(docker, "echo", "53/udp")))
            sock.send(b"hello")
            assert sock.recv(100) == b"hello"
    finally:
        inside.kill()
        inside.communicate()


def test_hairpin(docker: Docker) -> None:
    docker("run", "-d", "--name", "web", "-p", "80", IMAGE, *SERVE)
    port = published(docker, "web")
    url = f"http://{host_address()}:{port}/index.html"
    eventually(lambda: docker.result("exec", "web", "wget", "-qO-", url).code == 0)
    assert docker.result("run", "--rm", IMAGE, "wget", "-qO-", url).code == 0


def test_ports_in_answers(api: Api, docker: Docker) -> None:
    docker("run", "-d", "--name", "web", "-p", "127.0.0.1:42330:80", "--expose", "81", IMAGE, "sleep", "60")
    ports = api("GET", "/containers/web/json").json()["NetworkSettings"]["Ports"]
    assert ports == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "42330"}], "81/tcp": None}
    listed = api("GET", "/containers/json").json()[0]["Ports"]
    assert {"IP": "127.0.0.1", "PrivatePort": 80, "PublicPort": 42330, "Type": "tcp"} in listed
    assert {"PrivatePort": 81, "Type": "tcp"} in listed
    docker("kill", "web")
    assert not api("GET", "/containers/web/json").json()["NetworkSettings"]["Ports"]


def test_ipv6_loopback(docker: Docker) -> None:
    docker("run", "-d", "--name", "web", "-p", "80", IMAGE, *SERVE)
    lines = [line for line in docker("port", "web").splitlines() if "[::]" in line]
    if not lines:
        pytest.skip("the daemon publishes on IPv4 alone here")
    eventually(lambda: answers("::1", lines[0].rpartition(":")[2]))


@pytest.mark.since("1.42")
def test_no_process_per_port(docker: Docker, daemon) -> None:
    docker("run", "-d", "--name", "web", "-p", "42340-42349:80-89", IMAGE, "sleep", "60")
    children = subprocess.run(["pgrep", "-P", str(daemon.pid)], capture_output=True, text=True, check=False).stdout
    assert len(children.split()) < 10


def test_host_network(docker: Docker) -> None:
    port = free_port()
    docker(
        "run",
        "-d",
        "--network",
        "host",
        IMAGE,
        "sh",
        "-c",
        f"echo page of host > /tmp/index.html; httpd -f -p {port} -h /tmp",
    )
    eventually(lambda: answers("127.0.0.1", port))


def test_container_network(docker: Docker) -> None:
    docker("run", "-d", "--name", "web", IMAGE, *SERVE)
    command = ("run", "--rm", "--network", "container:web", IMAGE, "wget", "-qO-", "http://127.0.0.1/index.html")
    eventually(lambda: docker.result(*command).code == 0)


class TestNetworkApi:
    def test_default_networks(self, api: Api, daemon) -> None:
        listed = {network["Name"]: network for network in api("GET", "/networks").json()}
        assert {"bridge", "host", "none"} <= set(listed)
        assert (listed["host"]["Driver"], listed["none"]["Driver"]) == ("host", "null")
        assert listed["bridge"]["IPAM"]["Config"][0]["Gateway"] == daemon.address

    def test_containers_of_a_network(self, api: Api, docker: Docker) -> None:
        identifier = docker("run", "-d", "--name", "web", IMAGE, "sleep", "60")
        shown = api("GET", "/networks/bridge").json()["Containers"]
        assert shown[identifier]["Name"] == "web"
        assert shown[identifier]["IPv4Address"].endswith("/24")

    def test_predefined_networks_stay(self, docker: Docker) -> None:
        result = docker.fails("network", "rm", "bridge")
        assert "bridge is a pre-defined network and cannot be removed" in result.err

    def test_unknown_network(self, docker: Docker) -> None:
        assert "network nobody not found" in docker.fails("network", "inspect", "nobody").err.lower()
        result = docker.result("run", "--rm", "--network", "nobody", IMAGE, "true")
        assert result.code == 125
        assert "network nobody not found" in result.err
