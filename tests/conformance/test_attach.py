"""`attach`: streams, terminal, detach keys, resize, replay, half-close, websocket, errors."""

import base64
import os
import socket

from tests.support.busybox import IMAGE
from tests.support.http import Api, joined
from tests.support.stock import Docker, eventually


def read_all(sock: socket.socket, data: bytes = b"") -> bytes:
    while chunk := sock.recv(65536):
        data += chunk
    return data


def test_run_on_a_terminal(docker: Docker) -> None:
    with docker.terminal("run", "--rm", "-it", IMAGE, "sh", rows=31, columns=91) as terminal:
        terminal.send(b"until [ \"$(stty size)\" = '31 91' ]; do sleep 0.05; done; echo starts with $(stty size)\n")
        terminal.expect(b"starts with 31 91")
        terminal.grow()
        terminal.send(b"\x03exit 17\n")
        assert terminal.wait() == 17


def test_only_the_last_of_quick_resizes_counts(docker: Docker, api: Api) -> None:
    docker("run", "-dit", "--name", "d1", IMAGE, "sh")
    for rows in range(21, 41):
        assert api("POST", "/containers/d1/resize", query={"h": rows, "w": 77}).status == 200
    with open(f"/proc/{docker('inspect', '-f', '{{.State.Pid}}', 'd1')}/fd/0") as terminal:
        eventually(lambda: os.get_terminal_size(terminal.fileno()) == (77, 40))


def test_detach_and_attach_again(docker: Docker) -> None:
    with docker.terminal("run", "-it", "--name", "d1", IMAGE, "sh") as terminal:
        terminal.send(b"echo one$((1))\n")
        terminal.expect(b"one1")
        terminal.send(b"\x10\x11")
        assert terminal.wait() == 0
    assert docker("inspect", "-f", "{{.State.Running}}", "d1") == "true"
    with docker.terminal("attach", "d1") as terminal:
        terminal.send(b"echo two$((2))\n")
        terminal.expect(b"two2")
        terminal.send(b"exit 4\n")
        assert terminal.wait() == 4


def test_own_detach_keys(docker: Docker) -> None:
    with docker.terminal("run", "-it", "--name", "d1", "--detach-keys", "a,b", IMAGE, "cat") as terminal:
        terminal.send(b"ac\n")
        terminal.expect(b"ac\r\nac")
        terminal.send(b"ab")
        assert terminal.wait() == 0
    assert docker("inspect", "-f", "{{.State.Running}}", "d1") == "true"


def test_invalid_detach_keys(docker: Docker) -> None:
    docker("run", "-dit", "--name", "d1", IMAGE, "sh")
    assert docker.result("attach", "--detach-keys", "nonsense!", "d1").code != 0


def test_two_clients_see_the_same(docker: Docker) -> None:
    docker("run", "-dit", "--name", "d1", IMAGE, "cat")
    with docker.terminal("attach", "d1") as first, docker.terminal("attach", "d1") as second:
        first.insist(b"hello\n", b"hello\r\nhello")
        second.insist(b"there\n", b"there\r\nthere")
        first.expect(b"there\r\nthere")


def test_attach_without_stdin_follows_to_the_end(docker: Docker) -> None:
    script = "while [ ! -e /go ]; do sleep 0.05; done; echo out; echo err >&2; exit 8"
    docker("run", "-d", "--name", "d1", IMAGE, "sh", "-c", script)
    process = docker.spawn("attach", "--no-stdin", "d1")
    eventually(lambda: docker.result("exec", "d1", "touch", "/go").code == 0)
    out, err = process.communicate(timeout=20)
    if process.returncode != 8:  # it attached after the end, and Docker says so
        assert b"cannot attach to a stopped container" in err
    else:
        assert (out, err) == (b"out\n", b"err\n")


def test_half_close_ends_stdin_only(api: Api, docker: Docker) -> None:
    body = {"Image": IMAGE, "Cmd": ["sh", "-c", "cat; echo end"], "OpenStdin": True, "StdinOnce": True}
    identifier = api("POST", "/containers/create", {**body, "AttachStdin": True, "AttachStdout": True}).json()["Id"]
    sock, status, data = api.hijack(f"/containers/{identifier}/attach?stream=1&stdin=1&stdout=1&stderr=1")
    assert status == 101
    api("POST", f"/containers/{identifier}/start")
    sock.sendall(b"first\nsecond\n")
    sock.shutdown(socket.SHUT_WR)
    assert joined(read_all(sock, data)) == b"first\nsecond\nend\n"
    sock.close()


def test_without_upgrade(api: Api, docker: Docker) -> None:
    identifier = docker("create", IMAGE, "echo", "hi")
    sock, status, data = api.hijack(f"/containers/{identifier}/attach?stream=1&stdout=1", upgrade=False)
    assert status == 200
    api("POST", f"/containers/{identifier}/start")
    assert joined(read_all(sock, data)) == b"hi\n"
    sock.close()


def test_replay_of_the_log(api: Api, docker: Docker) -> None:
    identifier = docker("run", "-d", IMAGE, "echo", "before")
    docker("wait", identifier)
    sock, _, data = api.hijack(f"/containers/{identifier}/attach?logs=1&stdout=1")
    assert joined(read_all(sock, data)) == b"before\n"
    sock.close()


def test_replay_then_stream(api: Api, docker: Docker) -> None:
    script = "echo before; while [ ! -e /go ]; do sleep 0.05; done; echo after"
    identifier = docker("run", "-d", IMAGE, "sh", "-c", script)
    eventually(lambda: docker("logs", identifier) == "before")
    sock, _, data = api.hijack(f"/containers/{identifier}/attach?logs=1&stream=1&stdout=1")
    docker("exec", identifier, "touch", "/go")
    assert joined(read_all(sock, data)) == b"before\nafter\n"
    sock.close()


def test_content_types(api: Api, docker: Docker) -> None:
    plain = docker("create", IMAGE, "true")
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(api.socket_path)
    path = f"/v1.42/containers/{plain}/attach?stream=1&stdout=1"
    sock.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode())
    header = sock.recv(4096).lower()
    sock.close()
    assert (
        b"http/1.1 101 upgraded" in header or b"400" in header.split(b"\r\n")[0]
    )  # 400: the daemon is older than 1.42
    if b" 101 " in header:
        assert b"content-type: application/vnd.docker.multiplexed-stream" in header


def test_errors(api: Api, docker: Docker) -> None:
    assert api("POST", "/containers/nobody/attach", query={"stream": 1, "stdout": 1}).status == 404
    identifier = docker("run", "-d", IMAGE, "sleep", "60")
    docker("pause", identifier)
    assert api("POST", f"/containers/{identifier}/attach", query={"stream": 1, "stdout": 1}).status == 409
    docker("unpause", identifier)
    docker("kill", identifier)
    assert "You cannot attach to a stopped container, start it first" in docker.fails("attach", identifier).err.replace(
        "cannot attach to a stopped container", "You cannot attach to a stopped container"
    ).replace("You You", "You")


def test_websocket(api: Api, docker: Docker) -> None:
    identifier = docker("run", "-dit", IMAGE, "cat")
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(api.socket_path)
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        f"GET /v1.41/containers/{identifier}/attach/ws?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: localhost\r\n"
        f"Upgrade: websocket\r\nConnection: Upgrade\r\nOrigin: http://localhost\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    seen = b""
    while b"\r\n\r\n" not in seen:
        seen += sock.recv(4096)
    assert seen.startswith(b"HTTP/1.1 101")
    payload, mask = b"ping\n", b"\1\2\3\4"
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    sock.sendall(bytes([0x82, 0x80 | len(payload)]) + mask + masked)
    while b"ping\r\nping\r\n" not in b"".join(seen.partition(b"\r\n\r\n")[2:]).replace(b"\x82", b"").replace(
        b"\x06", b""
    ):
        chunk = sock.recv(4096)
        assert chunk, seen
        seen += chunk
    sock.close()


def test_started_again_with_its_output(docker: Docker) -> None:
    """The client attaches before it starts; the container has ended once."""
    assert docker("run", "--name", "again", IMAGE, "echo", "seen") == "seen"
    assert docker("start", "-a", "again") == "seen"
    assert docker("start", "-ai", "again") == "seen"


def test_output_of_a_program_that_ends_at_once(docker: Docker) -> None:
    """On one processor it may have ended before anybody else got a turn."""
    for _ in range(20):
        assert docker("run", "--rm", "--network", "none", IMAGE, "echo", "hi") == "hi"
