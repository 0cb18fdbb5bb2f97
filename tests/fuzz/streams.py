"""Hostile clients of streams: attach, exec, websockets, logs, events, stats, uploads that break off."""

import base64
import json
import random
import socket
import struct
import time
from collections.abc import Callable

from tests.fuzz import values
from tests.fuzz.exchange import build
from tests.fuzz.mutation import mutate
from tests.fuzz.operations import small_tar
from tests.fuzz.world import World, connect

FLOOD = ["sh", "-c", "yes | head -c 3000000"]
Scenario = Callable[[World, str, random.Random, float], None]


class Silent(AssertionError):
    """The server said nothing within the limit where it must."""


def hostile(world: World, path: str, chance: random.Random, limit: float) -> str:
    """One scenario; gives its name. Raises Silent when the server does not answer in time."""
    scenario = chance.choice(SCENARIOS)
    try:
        scenario(world, path, chance, limit)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the server may cut such a client at any time
    return scenario.__name__


def opened(path: str, data: bytes, limit: float) -> tuple[socket.socket, bytes]:
    """A connection on which ``data`` was sent and a head came back: the socket and what came with it."""
    sock = connect(path, limit)
    sock.sendall(data)
    received = b""
    try:
        while b"\r\n\r\n" not in received:
            part = sock.recv(65536)
            if not part:
                break
            received += part
    except TimeoutError:
        sock.close()
        raise Silent(f"no head within {limit} s after {data[:200]!r}") from None
    except ConnectionResetError:
        received = b""
    return sock, received


def leave(sock: socket.socket, chance: random.Random, limit: float) -> None:
    """Go in one of the ways in which clients go."""
    way = chance.randrange(5)
    try:
        if way == 1:
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(0.05)
            listen(sock, 20)
        elif way == 2:
            sock.settimeout(0.05)
            listen(sock, 3)
        elif way == 3:
            sock.shutdown(socket.SHUT_RD)
            time.sleep(0.02)
        elif way == 4:  # what is there is taken byte by byte
            sock.settimeout(0.05)
            listen(sock, 30, 1)
    finally:
        sock.close()


def listen(sock: socket.socket, times: int, size: int = 65536) -> None:
    try:
        for _ in range(times):
            if not sock.recv(size):
                return
    except TimeoutError:
        return


def noise(chance: random.Random) -> bytes:
    kinds = (
        b"echo hello\n", b"\x10\x11", b"\x03", b"\x04", b"\x00" * 10, chance.randbytes(chance.choice((1, 100, 70_000))),
        b"GET /_ping HTTP/1.1\r\n\r\n", b"x" * 300_000, b"\x01\x00\x00\x00\xff\xff\xff\xff", b"\x1b[6n", b"",
    )  # fmt: skip
    return chance.choice(kinds)


def upgrade(chance: random.Random) -> list[tuple[str, str]]:
    return [("Connection", "Upgrade"), ("Upgrade", chance.choice(("tcp", "tcp", "websocket", "x")))]


def attach(world: World, path: str, chance: random.Random, limit: float) -> None:
    target = f"/containers/{world.pick('container', chance)}/attach?stream=1&stdin=1&stdout=1&stderr=1&logs=1"
    with_upgrade = upgrade(chance) if chance.random() < 0.7 else []
    early = noise(chance) if chance.random() < 0.3 else b""
    sock, _ = opened(path, build("POST", target.encode(), with_upgrade) + early, limit)
    sock.settimeout(0.3)
    talk(sock, chance)
    leave(sock, chance, limit)


def talk(sock: socket.socket, chance: random.Random) -> None:
    """Send noise; a stream may take no more when nobody reads its other end."""
    try:
        for _ in range(chance.randrange(4)):
            sock.sendall(noise(chance))
    except TimeoutError:
        return


def execute(world: World, path: str, chance: random.Random, limit: float) -> None:
    command = chance.choice((["cat"], FLOOD, ["sh", "-c", "echo a; echo b >&2"], ["no-such"], ["sleep", "1"]))
    body = {"Cmd": command, "Tty": chance.random() < 0.3, "AttachStdin": True, "AttachStdout": True}
    made = world.api("POST", f"/containers/{world.seeds['runs']}/exec", body)
    if made.status != 201:
        return
    start = json.dumps({"Detach": False, "Tty": body["Tty"]}).encode()
    headers = [("Content-Type", "application/json"), *upgrade(chance)]
    sock, _ = opened(path, build("POST", f"/exec/{made.json()['Id']}/start".encode(), headers, start), limit)
    sock.settimeout(0.3)
    if chance.random() < 0.3:
        world.api("POST", f"/exec/{made.json()['Id']}/resize", query={"h": chance.randrange(99), "w": 7})
    talk(sock, chance)
    leave(sock, chance, limit)


def websocket(world: World, path: str, chance: random.Random, limit: float) -> None:
    key = base64.b64encode(chance.randbytes(chance.choice((16, 16, 16, 3)))).decode()
    headers = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    target = f"/containers/{world.pick('container', chance)}/attach/ws?stream=1&stdin=1&stdout=1"
    sock, _ = opened(path, build("GET", target.encode(), [*headers, ("Sec-WebSocket-Key", key)]), limit)
    sock.settimeout(0.3)
    try:
        for _ in range(chance.randrange(5)):
            sock.sendall(websocket_frame(chance))
    except TimeoutError:
        pass  # full: the other side is not read
    leave(sock, chance, limit)


def websocket_frame(chance: random.Random) -> bytes:
    """A frame whose length, mask, opcode or reserved bits may be wrong."""
    payload = chance.randbytes(chance.choice((0, 1, 125, 126, 5000)))
    first = chance.choice((0x82, 0x81, 0x02, 0x00, 0x88, 0x89, 0x8A, 0x83, 0xF2, 0x0F, 0x09))
    masked = 0x80 if chance.random() < 0.9 else 0
    size = chance.choice((len(payload),) * 6 + (0, 1 << 24, (1 << 63) + 5, len(payload) + 3))
    if size < 126:
        length = bytes((masked | size,))
    elif size < 65536:
        length = bytes((masked | 126,)) + struct.pack(">H", size)
    else:
        length = bytes((masked | 127,)) + struct.pack(">Q", size)
    frame = bytes((first,)) + length + b"\0\0\0\0" + payload
    return frame[: chance.randrange(len(frame)) + 1] if chance.random() < 0.2 else frame


def follow(world: World, path: str, chance: random.Random, limit: float) -> None:
    """Endless answers that are read slowly, not at all, or half."""
    container = world.seeds[chance.choice(("chat", "runs", "term"))]
    target = chance.choice((
        f"/containers/{container}/logs?follow=1&stdout=1&stderr=1&tail={chance.choice(('all', '0', '5'))}",
        f"/containers/{container}/stats", "/events", "/events?since=1", f"/containers/{container}/wait",
    ))  # fmt: skip
    method = "POST" if target.endswith("/wait") else "GET"
    sock, _ = opened(path, build(method, target.encode(), []), limit)
    if chance.random() < 0.3:
        sock.sendall(noise(chance)[:1000])
    leave(sock, chance, limit)


def upload(world: World, path: str, chance: random.Random, limit: float) -> None:
    """Archives that are wrong, or shorter or longer than announced."""
    target, data = chance.choice((
        (f"/containers/{world.pick('container', chance)}/archive?path=/tmp", small_tar()),
        ("/images/load", world.archive),
        ("/images/create?fromSrc=-&repo=fuzz/upload", small_tar()),
        ("/build", small_tar()),
    ))  # fmt: skip
    data = mutate(data, chance) if chance.random() < 0.8 else data
    announced = max(0, len(data) + chance.choice((0, 0, 0, 1, 5000, 1 << 40, -5)))
    method = "PUT" if "archive" in target else "POST"
    head = build(method, target.encode(), [("Content-Type", "application/x-tar"), ("Connection", "close")])
    head = head[:-2] + b"Content-Length: %d\r\n\r\n" % announced
    with connect(path, limit) as sock:
        for part in (head, data[: len(data) // 2], data[len(data) // 2 :]):
            sock.sendall(part)
        if chance.random() < 0.3:
            return
        if announced > len(data) or chance.random() < 0.5:
            sock.shutdown(socket.SHUT_WR)
        try:
            while sock.recv(65536):
                pass
        except TimeoutError:
            raise Silent(f"no end of the answer within {limit} s to {method} {target}") from None


def download(world: World, path: str, chance: random.Random, limit: float) -> None:
    """Archives that are fetched and dropped in the middle."""
    target = chance.choice((
        f"/containers/{world.seeds['runs']}/export", f"/containers/{world.seeds['made']}/archive?path=/bin",
        "/images/get?names=busybox&names=fuzz/second:1", "/images/busybox/get",
    ))  # fmt: skip
    sock, _ = opened(path, build("GET", target.encode(), []), limit)
    leave(sock, chance, limit)


def idle(world: World, path: str, chance: random.Random, limit: float) -> None:
    """Connections that say little and stay for a while."""
    socks = [connect(path, limit) for _ in range(chance.randint(1, 20))]
    for sock in socks:
        sock.sendall(chance.choice((b"", b"G", b"GET /info HTTP/1.1\r\nHost:", b"POST /build HTTP/1.1\r\n")))
    time.sleep(0.01)
    for sock in socks:
        sock.close()


def pipelined(world: World, path: str, chance: random.Random, limit: float) -> None:
    """Many requests at once on one connection; every one is answered, in order."""
    count = chance.randint(2, 30)
    targets = [chance.choice(("/_ping", "/version", "/containers/json", "/nothing")) for _ in range(count)]
    data = b"".join(build("GET", target.encode(), []) for target in targets)
    with connect(path, limit) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while part := sock.recv(65536):
                received += part
        except TimeoutError:
            raise Silent(f"{count} pipelined requests are not answered within {limit} s") from None
    answered = received.count(b"HTTP/1.1 ")
    assert answered == count, f"{answered} answers to {count} pipelined requests"


def names(world: World, path: str, chance: random.Random, limit: float) -> None:
    """Every kind of text as the name of something made."""
    name = values.text(chance)
    kind = chance.randrange(3)
    if kind == 0:
        world.api("POST", "/volumes/create", {"Name": name, "Labels": {name: name}})
    elif kind == 1:
        query = {"name": name.encode("utf-8", "replace").decode()}
        world.api("POST", f"/containers/{world.seeds['made']}/rename", query=query)
    else:
        world.api("POST", "/containers/create", {"Image": "busybox", "Cmd": [name], "Labels": {name: name}})


SCENARIOS: tuple[Scenario, ...] = (
    attach, attach, execute, execute, websocket, follow, follow, upload, upload, upload, download, idle, pipelined,
    names,
)  # fmt: skip
