"""Debian's docker-registry on loopback, for tests: ``with Registry() as registry: registry.host``."""

import contextlib
import ctypes
import json
import os
import secrets
import shutil
import socket
import string
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from typing import Any

from tests.support.stock import PATIENCE

PROGRAM = shutil.which("docker-registry")
MISSING = None if PROGRAM else "docker-registry is not installed"


def htpasswd_line(user: str, password: str) -> str:
    """A line for htpasswd; the registry takes bcrypt alone."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    salt = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(21)) + "."
    hashed = library.crypt(password.encode(), f"$2b$05${salt}".encode())
    return f"{user}:$2y${hashed.decode()[4:]}\n"


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Registry:
    """A registry with its own directory. ``users`` (name → password) switches htpasswd on, ``token`` (keys of the
    token section: realm, service, issuer, rootcertbundle) the token flow, ``tls`` is (certificate, key); ``more`` is
    put over the configuration, section by section."""

    def __init__(
        self,
        *,
        users: dict[str, str] | None = None,
        token: dict[str, str] | None = None,
        tls: tuple[str, str] | None = None,
        more: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        self.base = tempfile.mkdtemp(prefix="ct-registry-", dir="/tmp")
        self.data = f"{self.base}/data"
        self.log_path = f"{self.base}/log"
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.tls = tls
        self.users = users or {}
        self.token = token
        self.more = more or {}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}"

    def configuration(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "info"},
            "storage": {"filesystem": {"rootdirectory": self.data}, "delete": {"enabled": True}},
            "http": {"addr": self.host},
        }
        if self.tls:
            config["http"]["tls"] = {"certificate": self.tls[0], "key": self.tls[1]}
        if self.users:
            path = f"{self.base}/htpasswd"
            with open(path, "w") as file:
                file.writelines(htpasswd_line(user, password) for user, password in self.users.items())
            config["auth"] = {"htpasswd": {"realm": "test", "path": path}}
        if self.token:
            config["auth"] = {"token": self.token}
        for section, values in self.more.items():
            config[section] = {**config.get(section, {}), **values}
        return config

    def start(self, timeout: float = 20) -> "Registry":
        """Start, or start again with the same data, and wait until it answers."""
        assert PROGRAM, MISSING
        path = f"{self.base}/config.yml"
        with open(path, "w") as file:
            json.dump(self.configuration(), file)  # JSON is YAML
        environment = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "serve", path], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        deadline = time.monotonic() + timeout * PATIENCE
        while not self.listens():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"the registry does not come up:\n{self.log()}")
            time.sleep(0.02)
        return self

    def listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def log(self) -> str:
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def requests(self) -> list[str]:
        """Of the requests so far, "METHOD PATH STATUS" each, out of the access log."""
        found = []
        for line in self.log().splitlines():
            if '] "' in line and "HTTP/1.1" in line:
                request, _, rest = line.split('"', 2)[1], "", line.split('"', 2)[2]
                method, path, _ = request.split(" ", 2)
                found.append(f"{method} {path} {rest.split()[0]}")
        return found

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """A plain GET, for registries without TLS."""
        request = urllib.request.Request(self.url + path, headers=headers or {})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10 * PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.base, ignore_errors=True)

    def __enter__(self) -> "Registry":
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()
