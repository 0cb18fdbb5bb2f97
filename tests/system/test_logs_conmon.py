"""Logs with a real conmon and crun: rotation loses nothing, following ends with the container, shipping goes on."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from types import SimpleNamespace

import pytest

from corten.engine.events import Events
from corten.engine.logs import LogOptions, Logs
from corten.engine.logservice import LogPaths, LogService
from corten.model.record import Record, RunState
from corten.runtime.logdrivers.options import Storage
from corten.runtime.logrotate import rotate_if_due
from corten.runtime.logs import LogQuery, LogReader

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("conmon", "crun"))), reason="needs root, conmon and crun"
)


class Run:
    """A container made with conmon; not started yet."""

    def __init__(self, directory, script, tty=False):
        self.id = f"corten-logs-{uuid.uuid4().hex[:12]}"
        self.directory = directory
        self.bundle = directory / "bundle"
        self.log = str(directory / "x-json.log")
        self.control = str(self.bundle / "ctl")
        binaries = self.bundle / "rootfs" / "bin"
        binaries.mkdir(parents=True)
        shutil.copy("/bin/busybox", binaries)
        for name in ("sh", "echo", "printf", "sleep", "seq", "test", "cat"):
            (binaries / name).symlink_to("busybox")
        subprocess.run(["crun", "spec"], cwd=self.bundle, check=True)
        spec = json.loads((self.bundle / "config.json").read_text())
        spec["process"].update(terminal=tty, args=["/bin/sh", "-c", script])
        spec["linux"]["namespaces"] = [n for n in spec["linux"]["namespaces"] if n["type"] != "network"]
        (self.bundle / "config.json").write_text(json.dumps(spec))
        self.monitor = 0

    def create(self):
        options = ["-c", self.id, "-u", self.id, "-n", self.id, "-r", shutil.which("crun"), "-b", str(self.bundle)]
        options += ["-p", str(self.directory / "pid"), "-P", str(self.directory / "monitor")]
        options += ["-l", f"k8s-file:{self.log}", "--exit-dir", str(self.directory), "--full-attach"]
        if json.loads((self.bundle / "config.json").read_text())["process"]["terminal"]:
            options.append("-t")
        subprocess.run(["conmon", *options], check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: (self.directory / "pid").exists() and os.path.exists(self.control))
        self.monitor = int((self.directory / "monitor").read_text())

    def start(self):
        subprocess.run(["crun", "start", self.id], check=True)

    def ended(self):
        return (self.directory / self.id).exists() and not alive(self.monitor)

    def delete(self):
        subprocess.run(["crun", "delete", "-f", self.id], stderr=subprocess.DEVNULL, check=False)
        if self.monitor:
            wait_until(lambda: not alive(self.monitor))

    def container(self, driver="json-file", **options):
        state = RunState(status="running", monitor_pid=self.monitor)
        record = Record(id=self.id, name="n", created=0, log_driver=driver, log_options=options, state=state)
        return SimpleNamespace(id=self.id, record=record, state=state)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def run(tmp_path):
    runs = []

    def make(script, tty=False, name="c"):
        directory = tmp_path / name
        directory.mkdir()
        made = Run(directory, script, tty)
        runs.append(made)
        made.create()
        return made

    yield make
    for made in runs:
        made.delete()


def text(path, **query):
    with LogReader(path, LogQuery(**query)) as reader:
        return b"".join(data for _, data in reader)


def numbers(count):
    return b"".join(b"%d\n" % n for n in range(1, count + 1))


@pytest.mark.parametrize("compress", [False, True])
def test_rotation_loses_nothing(run, compress):
    made = run("seq 1 20000; until test -e /go; do sleep 0.01; done; seq 20001 20100")
    made.start()
    wait_until(lambda: os.path.getsize(made.log) > 20000 * 46)
    storage = Storage(max_size=900_000, max_file=3, compress=compress)
    assert rotate_if_due(made.log, made.control, storage)
    assert os.path.exists(made.log)
    assert os.path.exists(f"{made.log}.1.gz" if compress else f"{made.log}.1")
    assert not rotate_if_due(made.log, made.control, storage)
    (made.bundle / "rootfs" / "go").touch()
    wait_until(made.ended)
    assert text(made.log) == numbers(20100)
    assert text(made.log, tail=150) == b"".join(b"%d\n" % n for n in range(19951, 20101))


def test_oldest_file_goes(run):
    made = run("until test -e /go; do sleep 0.01; done; seq 1 3000; sleep 60")
    made.start()
    for number in (1, 2):
        with open(f"{made.log}.{number}", "w") as file:
            file.write("old\n")
    (made.bundle / "rootfs" / "go").touch()
    wait_until(lambda: text(made.log, tail=1) == b"3000\n")
    assert rotate_if_due(made.log, made.control, Storage(max_size=1000, max_file=2, compress=False))
    assert sorted(os.path.basename(p) for p in map(str, made.directory.glob("x-json.log*"))) == [
        "x-json.log",
        "x-json.log.1",
        "x-json.log.2",
    ]
    assert text(made.log + ".1", tail=1) == b"3000\n"
    (made.directory / "x-json.log.2").unlink()


def test_what_came_too_fast_is_trimmed(run):
    made = run("seq 1 20000; sleep 60")
    made.start()
    wait_until(lambda: text(made.log, tail=1) == b"20000\n")
    assert rotate_if_due(made.log, made.control, Storage(max_size=10_000, max_file=3, compress=False))
    assert 19_000 < os.path.getsize(made.log + ".1") <= 20_000
    lines = text(made.log).splitlines()
    assert lines == [b"%d" % n for n in range(20001 - len(lines), 20001)]


def test_unfinished_rotation_is_finished(run):
    made = run("echo before; until test -e /go; do sleep 0.01; done; echo after")
    made.start()
    wait_until(lambda: text(made.log) == b"before\n")
    os.rename(made.log, f"{made.log}.1")  # and then the daemon died
    assert rotate_if_due(made.log, made.control, Storage(max_size=1000, max_file=2, compress=False))
    (made.bundle / "rootfs" / "go").touch()
    wait_until(made.ended)
    assert text(made.log) == b"before\nafter\n"
    assert text(made.log, tail=1) == b"after\n"


def test_terminal_output_survives_byte_for_byte(run):
    made = run(r"printf 'a\rb\tc\n\033[1mx\033[0m prompt> '", tty=True)
    made.start()
    wait_until(made.ended)
    assert text(made.log) == b"a\rb\tc\r\n\x1b[1mx\x1b[0m prompt> "


async def follow(logs, container, **options):
    return [chunk async for chunk in logs.read(container, LogOptions(follow=True, **options))]


def test_follow_over_a_rotation_until_the_end(run):
    made = run("seq 1 3000; until test -e /go; do sleep 0.01; done; seq 3001 3100; echo end >&2")

    async def scenario():
        logs = Logs(lambda _: made.log)
        reading = asyncio.create_task(follow(logs, made.container()))
        made.start()
        await asyncio.to_thread(wait_until, lambda: text(made.log, tail=1) == b"3000\n")
        storage = Storage(max_size=100_000, max_file=3, compress=True)
        assert await asyncio.to_thread(rotate_if_due, made.log, made.control, storage)
        (made.bundle / "rootfs" / "go").touch()
        chunks = await asyncio.wait_for(reading, 20)
        assert b"".join(data for stream, data in chunks if stream == 1) == numbers(3100)
        assert b"".join(data for stream, data in chunks if stream == 2) == b"end\n"
        assert await follow(logs, made.container(), tail=1, timestamps=False) == [(2, b"end\n")]
        await logs.close()

    asyncio.run(scenario())


def test_abandoned_follow_leaves_no_descriptor(run):
    made = run("echo x; sleep 60")

    async def scenario():
        logs = Logs(lambda _: made.log)
        made.start()
        reading = logs.read(made.container(), LogOptions(follow=True))
        assert await anext(reading) == (1, b"x\n")
        await reading.aclose()
        await logs.close()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            task = asyncio.create_task(follow(logs, made.container()))
            await asyncio.sleep(0.02)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await logs.close()
        assert len(os.listdir("/proc/self/fd")) <= before

    asyncio.run(scenario())


def test_service_rotates_and_ships_over_a_restart(run, tmp_path):
    made = run("seq 1 2000; until test -e /go; do sleep 0.01; done; seq 2001 2500; printf rest")
    received = []
    address = str(tmp_path / "syslog")

    async def scenario():
        server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        server.bind(address)
        server.setblocking(False)
        asyncio.get_running_loop().add_reader(server, lambda: received.append(server.recv(9999)))
        container = made.container(
            "syslog", **{"syslog-address": f"unixgram://{address}", "cache-max-size": "50k", "cache-max-file": "9"}
        )
        made.start()
        for wanted in (2000, 2501):
            logs = Logs(lambda _: made.log)
            service = LogService(logs, Events(), lambda: [container], lambda _: LogPaths(made.log, made.control))
            await service.start()
            await asyncio.to_thread(wait_until, lambda wanted=wanted: len(received) >= wanted)
            await asyncio.to_thread(wait_until, lambda: os.path.exists(made.log + ".1.gz"))
            await service.stop()
            await logs.close()
            (made.bundle / "rootfs" / "go").touch()
        asyncio.get_running_loop().remove_reader(server)
        server.close()

    asyncio.run(asyncio.wait_for(scenario(), 30))
    messages = [message.rpartition(b": ")[2] for message in received]
    assert messages == [*(b"%d" % n for n in range(1, 2501)), b"rest"]
    assert text(made.log) == numbers(2500) + b"rest"
