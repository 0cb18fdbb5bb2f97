"""The daemon itself: reload, its doors, two side by side, logs of a remote driver over a crash."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

import pytest

from tests.support.busybox import IMAGE
from tests.support.daemon import REPOSITORY, Daemon
from tests.support.http import Api
from tests.support.stock import Docker, eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a daemon needs root")


def write_config(daemon: Daemon, **keys) -> None:
    with open(daemon.config_file, "w") as file:
        json.dump(keys, file)


def refused(daemon: Daemon, *words: str) -> str:
    """What another cortend, started with *words*, says before it gives up."""
    command = [sys.executable, "-m", "corten.daemon.main", "--config-file", "/dev/null"]
    command += ["--data-root", f"{daemon.base}/other", "--exec-root", f"{daemon.base}/other-exec", *words]
    environment = dict(os.environ, PYTHONPATH=REPOSITORY)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert not os.path.exists(f"{daemon.base}/other")
    return done.stderr


def test_reload(daemon: Daemon, api: Api) -> None:
    before = time.time()
    write_config(daemon, labels=["zone=a"], debug=True, mtu=1400)
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: api("GET", "/info").json()["Labels"] == ["zone=a"])
    info = api("GET", "/info").json()
    assert info["Debug"] is True
    wanted = json.dumps({"event": ["reload"], "daemon": [info["Name"]]})
    found = list(api.lines("/events", {"since": before, "until": time.time(), "filters": wanted}))
    assert [event["Actor"]["Attributes"]["labels"] for event in found] == ['["zone=a"]']
    eventually(lambda: "mtu takes a restart" in daemon.log_tail())
    write_config(daemon, labels=["zone=b"], colour="red")
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: "don't match any configuration option: colour" in daemon.log_tail())
    assert api("GET", "/info").json()["Labels"] == ["zone=a"]
    write_config(daemon)


def test_socket_belongs_to_root_and_a_group(daemon: Daemon) -> None:
    status = os.stat(daemon.socket)
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o660
    assert status.st_uid == 0


def test_second_daemon_is_refused(daemon: Daemon) -> None:
    assert f"process with PID {daemon.pid} is still running" in refused(daemon, "--pidfile", f"{daemon.base}/pid")
    pidfile = ("--pidfile", f"{daemon.base}/pid2")
    assert "another process is listening on it" in refused(daemon, *pidfile, "-H", daemon.url)
    assert daemon.answers()
    assert "without client certificates" in refused(daemon, *pidfile, "-H", "tcp://127.0.0.1:0")
    assert "don't match any configuration option: x" in refused(
        daemon, *pidfile, "--log-driver=none", "--config-file", _file(daemon, {"x": 1})
    )


def test_roots_belong_to_one_daemon(daemon: Daemon, docker: Docker, image: str) -> None:
    docker("run", "-d", "--name", "mine", IMAGE, "sleep", "600")
    for root in ("data_root", "exec_root"):
        second = Daemon()
        setattr(second, root, getattr(daemon, root))
        with pytest.raises(RuntimeError, match=f"{getattr(daemon, root)} is used by another cortend"):
            second.start()
        shutil.rmtree(second.base)
    assert docker("exec", "mine", "echo", "still here") == "still here"
    docker("rm", "-f", "mine")


def test_lost_records_are_no_reason_to_delete_the_rest(rootfs_tar: bytes) -> None:
    daemon = Daemon()
    docker = Docker(daemon.url)
    daemon.start()
    try:
        docker("import", "-", IMAGE, stdin=rootfs_tar)
        daemon.stop()
        saved = f"{daemon.base}/saved"
        os.mkdir(saved)
        for name in os.listdir(daemon.data_root):
            if name.startswith("state.db"):
                shutil.move(f"{daemon.data_root}/{name}", saved)
        with pytest.raises(RuntimeError, match=r"state\.db is missing"):
            daemon.start()
        for name in os.listdir(saved):
            shutil.move(f"{saved}/{name}", daemon.data_root)
        daemon.start()
        assert docker("run", "--rm", IMAGE, "echo", "all there") == "all there"
    finally:
        docker.close()
        left = daemon.close()
    assert not left


def _file(daemon: Daemon, content: dict) -> str:
    path = f"{daemon.base}/bad.json"
    with open(path, "w") as file:
        json.dump(content, file)
    return path


def test_stale_socket_after_a_crash(daemon: Daemon) -> None:
    daemon.kill()
    assert os.path.exists(daemon.socket)
    daemon.start()


def test_two_daemons_side_by_side(daemon: Daemon, docker: Docker, image: str, rootfs_tar: bytes) -> None:
    mine = docker("run", "-d", "--name", "same-name", IMAGE, "sleep", "60")
    with Daemon() as other:
        query = {"fromSrc": "-", "repo": "busybox", "tag": "latest"}
        assert other.api("POST", "/images/create", rootfs_tar, query=query).status == 200
        cli = Docker(other.url)
        theirs = cli("run", "-d", "--name", "same-name", IMAGE, "sleep", "60")
        assert mine != theirs
        assert other.api("GET", "/info").json()["ID"] != daemon.api("GET", "/info").json()["ID"]
        assert [row["Id"] for row in other.api("GET", "/containers/json").json()] == [theirs]
        other.restart()
        assert [row["Id"] for row in daemon.api("GET", "/containers/json").json()] == [mine]
        cli("rm", "-f", theirs)
        cli.close()
    assert docker("exec", mine, "echo", "alive") == "alive"
    docker("rm", "-f", mine)


def test_remote_log_over_a_crash(daemon: Daemon, docker: Docker, image: str) -> None:
    received = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, connection.makefile("rb") as file:
                    received.extend(line.rpartition(b": ")[2].strip() for line in file)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        address = f"syslog-address=tcp://127.0.0.1:{server.getsockname()[1]}"
        script = "echo one; until test -e /go; do sleep 0.05; done; echo two; printf three"
        name = docker("run", "-d", "--log-driver", "syslog", "--log-opt", address, IMAGE, "sh", "-c", script)
        eventually(lambda: docker("logs", name) == "one")
        eventually(lambda: os.path.exists(f"{daemon.data_root}/containers/{name}/{name}-json.log.position"))
        daemon.kill()
        daemon.start()
        docker("exec", name, "touch", "/go")
        assert docker("wait", name) == "0"
        eventually(lambda: b"three" in received)
        assert received == [b"one", b"two", b"three"]
        assert docker("logs", name) == "one\ntwo\nthree"
        server.shutdown(socket.SHUT_RDWR)
    docker("rm", name)


ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, "-m", "corten.daemon.main", *sys.argv[2:]])
"""


class Activated(Daemon):
    """Started as systemd starts a service with a socket unit."""

    def command(self) -> list[str]:
        words = super().command()
        words[words.index(self.url)] = "fd://"
        words = words[words.index("corten.daemon.main") + 1 :]
        return [sys.executable, "-c", ACTIVATE, str(self.listener.fileno()), *words]

    def start(self, timeout: float = 30) -> "Activated":
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.socket)
        self.listener.listen()
        self.listener.set_inheritable(True)
        popen = subprocess.Popen

        def passing(*arguments, **keywords):
            return popen(*arguments, pass_fds=[self.listener.fileno()], **keywords)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(subprocess, "Popen", passing)
            super().start(timeout)
        return self


def test_socket_activation(daemon: Daemon) -> None:
    activated = Activated()
    try:
        activated.start()
        assert activated.answers()
    finally:
        leaks = activated.close()
        activated.listener.close()
    assert not leaks
