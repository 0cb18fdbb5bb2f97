"""Case 24: who can reach the API at all: no TCP unless asked for, nothing from inside a container, no web page."""

import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import host
from tests.support.busybox import IMAGE
from tests.support.certificates import make_certificates
from tests.support.daemon import Daemon
from tests.support.http import Api
from tests.support.stock import Docker


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def daemon(port: int) -> Iterator[Daemon]:
    """A daemon that also listens on the host's loopback, without TLS: what CVE-2025-9074 found reachable."""
    if os.geteuid() != 0:
        pytest.skip("a daemon needs root")
    running = Daemon(arguments=["-H", f"tcp://127.0.0.1:{port}", "--insecure-tcp"])
    try:
        running.start()
        yield running
    finally:
        leaks = running.close()
    assert not leaks


@pytest.fixture(autouse=True)
def tidy(clean: Daemon, image: str) -> None:
    """Containers go after each test; the image is there before."""


def listening(pid: int) -> list[str]:
    """Local addresses of the TCP and UDP sockets on which a process waits for strangers."""
    sockets = set()
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            sockets.add(os.readlink(f"/proc/{pid}/fd/{number}"))
        except FileNotFoundError:
            continue
    found = []
    for table, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == state and f"socket:[{fields[9]}]" in sockets:
                found.append(f"{table} {fields[1]}")
    return found


def test_no_listener_unless_asked_for() -> None:
    """A daemon of defaults has its unix socket, for root and one group, and not a port."""
    with Daemon() as plain:
        assert listening(plain.pid) == []
        mode = os.stat(plain.socket).st_mode
        assert mode & 0o7777 == 0o660


@pytest.mark.parametrize("address", ["tcp://0.0.0.0:{}", "tcp://127.0.0.1:{}", "tcp://[::]:{}"])
def test_tcp_without_certificates_is_refused(address: str) -> None:
    """CVE-2021-4024's lesson: an open port takes an explicit flag, on every address."""
    other = Daemon(arguments=["-H", address.format(free_port())])
    try:
        with pytest.raises(RuntimeError, match="ended with 1"):
            other.start()
    finally:
        other.clean()


def addresses(daemon: Daemon) -> list[str]:
    """Every address of the host, and what a container might take for one."""
    found = [daemon.address, "127.0.0.1", "localhost", "0.0.0.0", "::1", "host.docker.internal"]
    bridge = host.bridge_with(daemon.address)
    for link in host.ip_json("addr"):
        for entry in link.get("addr_info", []):
            local = entry["local"]
            if entry["family"] == "inet6" and local.startswith("fe80") and link["ifname"] == bridge:
                found.append(f"{local}%eth0")
            elif not local.startswith(("127.", "fe80")):
                found.append(local)
    return sorted(set(found))


def asking(address: str, port: int, seconds: int = 4) -> str:
    """A shell command that tells whether somebody answers there."""
    request = "printf 'GET /_ping HTTP/1.0\\r\\n\\r\\n'"
    client = f"timeout {seconds} nc {address} {port} 2>/dev/null"
    return f"{request} | {client} | grep -q HTTP && echo REACHED {address} {port};"


def answering(listener: socket.socket) -> None:
    """Answer one client, to show that a client in a container would be answered."""
    sock, _ = listener.accept()
    with sock:
        sock.recv(1000)
        sock.sendall(b"HTTP/1.0 200 OK\r\n\r\n")


def test_port_on_loopback_is_not_reached_from_a_container(docker: Docker, daemon: Daemon, port: int) -> None:
    """CVE-2025-9074: gateway, bridge, 127/8, every address of the host, IPv6 link-local. Nobody answers."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(b"GET /_ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b" 200 " in sock.recv(100), "the port is there for the host itself"
    with socket.create_server((daemon.address, 0)) as control:
        control.settimeout(60)
        thread = threading.Thread(target=answering, args=[control])
        thread.start()
        targets = [(address, port) for address in addresses(daemon)]
        control_address = control.getsockname()
        asked = "".join(asking(address, number) for address, number in targets) + asking(*control_address, 60)
        options = ("--add-host", "host.docker.internal:host-gateway")
        shown = docker("run", "--rm", *options, IMAGE, "sh", "-c", asked + "echo end")
        thread.join()
    assert shown.split() == ["REACHED", *map(str, control_address), "end"]


def test_packets_for_loopback_from_a_container(docker: Docker, daemon: Daemon, port: int) -> None:
    """CVE-2020-8558: a container that may set routes sends packets for 127.0.0.1 to the gateway. Dropped.

    Also while a port is published on 127.0.0.1, for which some engines switch route_localnet on.
    """
    docker("run", "-d", "--name", "web", "-p", f"127.0.0.1:{free_port()}:80", IMAGE, "sleep", "600")
    steps = (
        "ip addr del 127.0.0.1/8 dev lo",
        "ip rule add pref 100 lookup local",
        "ip rule del pref 0",
        "ip rule add pref 1 to 127.0.0.0/8 lookup 99",
        f"ip route add 127.0.0.0/8 via {daemon.address} table 99",
        f"ip route get 127.0.0.1 | grep -q 'via {daemon.address}' && echo routed",
        asking("127.0.0.1", port),
        "echo end",
    )
    options = ("--cap-add", "NET_ADMIN", "--sysctl", "net.ipv4.conf.all.route_localnet=1")
    shown = docker("run", "--rm", *options, IMAGE, "sh", "-c", "\n".join(steps))
    assert shown.split() == ["routed", "end"]


def test_socket_is_not_in_a_container(docker: Docker, daemon: Daemon) -> None:
    """Neither by its path nor as an abstract address."""
    script = f"ls -d {daemon.base} {daemon.socket} /run/corten /var/run/docker.sock; grep -c corten /proc/net/unix"
    shown = docker.result("run", "--rm", IMAGE, "sh", "-c", script)
    assert shown.out.split() == ["0"]


def test_certificate_is_demanded(tmp_path: Path, docker: Docker) -> None:
    """TLS on every address: reached from a container, and of no use without a certificate of the CA."""
    path = make_certificates(tmp_path)
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    make_certificates(stranger)
    tls_port = free_port()
    files = ["--tlscacert", f"{path}/ca.pem", "--tlscert", f"{path}/server.pem", "--tlskey", f"{path}/server-key.pem"]
    with Daemon(arguments=["-H", f"tcp://0.0.0.0:{tls_port}", "--tlsverify", *files]) as other:
        for own in (None, stranger):
            context = ssl.create_default_context(cafile=f"{path}/ca.pem")
            if own is not None:
                context.load_cert_chain(f"{own}/client.pem", f"{own}/client-key.pem")
            with socket.create_connection(("127.0.0.1", tls_port), timeout=20) as raw:
                try:
                    with context.wrap_socket(raw, server_hostname="127.0.0.1") as sock:
                        sock.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
                        answer = sock.recv(1000)
                except (ssl.SSLError, ConnectionError):
                    answer = b""
            assert b"200" not in answer
        with socket.create_connection(("127.0.0.1", tls_port), timeout=20) as raw:
            raw.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200" not in raw.recv(1000)
        assert other.answers()


PAGES = {
    "user agent": {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"},
    "rebinding": {"Host": "evil.example", "User-Agent": "Mozilla/5.0", "Origin": "http://evil.example"},
    "origin": {"Origin": "http://evil.example"},
    "null origin": {"Origin": "null"},
    "fetch metadata": {"Sec-Fetch-Site": "cross-site"},
    "same origin": {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
    "navigation": {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
}


@pytest.mark.parametrize("what", list(PAGES))
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_web_pages_are_refused_on_tcp(port: int, api: Api, what: str, method: str) -> None:
    """A page that guesses the port, or whose name is rebound to 127.0.0.1 (DNS rebinding): refused before anything."""
    lines = [f"{name}: {value}" for name, value in ({"Host": "localhost"} | PAGES[what]).items()]
    path = "/containers/json" if method != "POST" else "/volumes/prune"
    head = f"{method} {path} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(head.encode())
        answer = sock.recv(4096)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b"Access-Control" not in answer


def test_pages_of_other_sites_are_refused_everywhere(api: Api) -> None:
    """Also where a user's certificate, or a forwarded socket, would let them in."""
    for value in ("cross-site", "same-site"):
        assert api("POST", "/volumes/prune", headers={"Sec-Fetch-Site": value}).status == 400
    assert (
        api("GET", "/_ping", headers={"Sec-Fetch-Site": "same-origin", "Origin": "https://own.example"}).status == 200
    )


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_forms_cannot_create(api: Api, kind: str) -> None:
    """Bodies that a page may send without asking first (simple requests) are not taken for JSON."""
    body = b'{"Image": "busybox:latest", "x": "="}'
    headers = {"Content-Type": kind} if kind else {}
    assert api("POST", "/containers/create", body, headers=headers).status == 400


def test_no_program_is_left_listening(daemon: Daemon) -> None:
    """Names of the listeners, for the record: the unix socket and the one port that was asked for."""
    assert len(listening(daemon.pid)) == 1
    listed = subprocess.run(["ss", "-xlp"], capture_output=True, text=True, check=False).stdout
    mine = [line for line in listed.splitlines() if f"pid={daemon.pid}," in line]
    assert not [line for line in mine if "@" in line.split()[4]]
