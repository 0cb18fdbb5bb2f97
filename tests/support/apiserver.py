"""The API server in a thread of its own, over a fake engine, and raw sockets to talk to it."""

import asyncio
import json
import os
import shutil
import socket
import tempfile
import threading

from msgspec.structs import replace

from corten import errors
from corten.api.server import create_app
from corten.engine.events import Events
from corten.engine.places import Places
from corten.model.container import ContainerConfig, EndpointSettings, HostConfig, MountPoint
from corten.model.exec import ExecState
from corten.model.record import Record, RunState

ID = "0123456789abcdef" * 4
SECOND = 1_000_000_000


def record(container_id=ID, name="web", **changes):
    config = changes.pop("config", ContainerConfig(image="busybox:latest", cmd=["top"], labels={"tier": "front"}))
    values = {
        "id": container_id,
        "name": name,
        "created": 1_700_000_000 * SECOND,
        "image": "sha256:" + "a" * 64,
        "manifest_digest": "sha256:" + "b" * 64,
        "manifest_media_type": "application/vnd.oci.image.manifest.v1+json",
        "manifest_size": 525,
        "platform_architecture": "amd64",
        "path": "top",
        "config": config,
        "host_config": HostConfig(network_mode="bridge", port_bindings={"80/tcp": []}),
        "endpoints": {"bridge": EndpointSettings(network_id="c" * 64, ip_address="172.17.0.2", ip_prefix_len=16)},
        "ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "81/tcp": None},
        "mounts": [MountPoint(type="volume", name="data", source="/v/data/_data", destination="/data", driver="local")],
        "state": RunState(status="running", pid=42, started_at=1_700_000_000 * SECOND),
    }
    return Record(**{**values, **changes})


class FakeContainer:
    def __init__(self, rec):
        self.record = rec
        self.exec_ids = []

    @property
    def state(self):
        return self.record.state

    def become(self, **changes):
        self.record = replace(self.record, state=replace(self.record.state, **changes))


class FakeContainers:
    def __init__(self):
        self.items = {}
        self.calls = []
        self.exit = None
        self.cancelled = threading.Event()

    def add(self, rec):
        self.items[rec.id] = FakeContainer(rec)
        return self.items[rec.id]

    def get(self, ref):
        for item in self.items.values():
            if ref in (item.record.id, item.record.name) or item.record.id.startswith(ref):
                return item
        raise errors.NotFound(f"No such container: {ref}")

    def list(self):
        return list(self.items.values())

    async def create(self, name, config, host, endpoints, platform):
        self.calls.append(("create", name, config, host, endpoints, platform))
        return ID, ["careful"]

    async def start(self, ref):
        item = self.get(ref)
        if item.state.status == "running":
            raise errors.NotModified("already")
        item.become(status="running")

    def wait(self, ref, condition):
        self.get(ref)
        self.calls.append(("wait", ref, condition))

        self.exit = asyncio.get_running_loop().create_future()

        async def waiter():
            try:
                return await self.exit
            except asyncio.CancelledError:
                self.cancelled.set()
                raise

        return waiter()

    async def rename(self, ref, new):
        raise RuntimeError("a bug")

    async def update(self, ref, host, sent):
        self.calls.append(("update", host, sent))
        return []


class FakeAttachments:
    def __init__(self, containers):
        self.containers = containers
        self.attached = None

    def check_attach(self, ref):
        if self.containers.get(ref).state.status == "paused":
            raise errors.Conflict("container is paused")

    def check_detach_keys(self, keys):
        if keys == "bad":
            raise errors.InvalidArgument("invalid detach keys")

    async def attach(self, ref, peer, **options):
        """Echo in upper case until stdin ends, then say so on stderr."""
        self.attached = (peer, options)
        peer.write(1, b"hello\n")
        await peer.drain()
        while data := await peer.read():
            peer.write(1, data.upper())
            await peer.drain()
        peer.write(2, b"eof")


class FakeViews:
    def places(self, ref):
        return Places(hosts=f"/data/{ref}/hosts")

    async def sizes(self, ref):
        return 10, 20


class FakeExecs:
    def __init__(self):
        self.states = {}

    async def create(self, ref, options):
        exec_id = "e" * 64
        self.states[exec_id] = ExecState(id=exec_id, container_id=ID, options=options)
        return exec_id

    def inspect(self, exec_id):
        if exec_id not in self.states:
            raise errors.NotFound(f"No such exec instance: {exec_id}")
        return self.states[exec_id]

    def check_start(self, exec_id):
        if self.inspect(exec_id).started:
            raise errors.Conflict(f"exec command {exec_id} is already running")

    async def start(self, exec_id, peer, detach, tty, console_size):
        state = self.states[exec_id]
        self.states[exec_id] = replace(state, started=True)
        if state.options.cmd == ["missing"]:
            raise errors.StartFailed("no such program", 127)
        if peer is not None:
            peer.write(1, b"out")
            while data := await peer.read():
                peer.write(2, data)


class FakeSystem:
    def __init__(self):
        self.uploaded = 0


class FakeBackend:
    def __init__(self):
        self.containers = FakeContainers()
        self.attachments = FakeAttachments(self.containers)
        self.views = FakeViews()
        self.execs = FakeExecs()
        self.events = Events()
        self.system = FakeSystem()
        self.images = None

    def greet(self):
        pass


class ApiServer:
    """Runs until ``close``. ``path`` is its socket."""

    def __init__(self, backend=None):
        self.backend = backend or FakeBackend()
        self.directory = tempfile.mkdtemp(prefix="corten-api-test-")
        self.path = os.path.join(self.directory, "api.sock")
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.server = self.run(self._start())

    async def _start(self):
        server = create_app(self.backend)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(self.path)
        await server.serve(sock)
        return server

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def call(self, function, *args):
        async def job():
            return function(*args)

        return self.run(job())

    def connect(self):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(10)
        client.connect(self.path)
        return client

    def request(self, method, path, body=None, headers=None):
        """Status, headers (lower case) and body of one request on a connection of its own."""
        lines = [f"{method} {path} HTTP/1.1", "Host: docker", "Connection: close"]
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            lines.append(f"Content-Length: {len(data)}")
            if not headers or "Content-Type" not in headers:
                lines.append("Content-Type: application/json")
        else:
            data = b""
        lines += [f"{key}: {value}" for key, value in (headers or {}).items()]
        with self.connect() as client:
            client.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
            return parse(read_all(client), method)

    def close(self):
        self.run(self.server.close(timeout=1))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()
        shutil.rmtree(self.directory)


def read_all(client):
    data = b""
    while chunk := client.recv(65536):
        data += chunk
    return data


def read_until(client, mark):
    data = b""
    while mark not in data:
        chunk = client.recv(65536)
        assert chunk, f"closed after {data!r}"
        data += chunk
    return data


def parse(data, method="GET"):
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        key, _, value = line.partition(":")
        headers[key.strip().lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = dechunk(body)
    if method != "HEAD" and "content-length" in headers:
        assert len(body) == int(headers["content-length"])
    return int(lines[0].split(" ")[1]), headers, body


def dechunk(data):
    found = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            assert data == b"\r\n"
            return found
        found, data = found + data[:length], data[length + 2 :]


def frames(data):
    """Docker's multiplexed frames as (stream, bytes)."""
    found = []
    while data:
        length = int.from_bytes(data[4:8], "big")
        found.append((data[0], data[8 : 8 + length]))
        data = data[8 + length :]
    return found
