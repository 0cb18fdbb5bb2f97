"""A daemon with a container that is not to be disturbed, and a store that is brought back to how it began."""

import http.client
from typing import Any

from tests.support import ledger
from tests.support.busybox import IMAGE
from tests.support.faulty import FaultyDaemon
from tests.support.http import Response, joined
from tests.support.stock import eventually

WEB = ["sh", "-c", "mkdir -p /www; echo hello > /www/index.html; exec httpd -f -p 80 -h /www"]
PORT = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}
MINE = {"made": "by the test"}
KEPT = "kept"


class World:
    """``begin`` once; ``reset`` before each round, ``renew`` where that is of no use any more."""

    def __init__(self, rootfs: bytes) -> None:
        self.rootfs = rootfs
        self.daemon = FaultyDaemon()
        self.bystander: dict[str, Any] = {}

    def renew(self) -> None:
        self.close()
        self.daemon = FaultyDaemon()
        self.begin()

    def close(self) -> dict[str, list[str] | int]:
        """What the daemon leaves on the host."""
        self.daemon.disarm()
        if self.daemon.process is not None and self.daemon.dies(0):
            self.daemon.start()
        return self.daemon.close()

    def begin(self) -> None:
        self.daemon.start()
        query = {"fromSrc": "-", "repo": "busybox", "tag": "latest", "changes": "CMD sh"}
        self.ok("POST", "/images/create", self.rootfs, query)
        self.ok("POST", "/volumes/create", {"Name": KEPT, "Labels": MINE})
        self.run("bystander", WEB, {"PortBindings": PORT, "Binds": [f"{KEPT}:/kept"]})
        self.bystander = self.inspect("bystander")
        self.images = {each["Id"] for each in self.ok("GET", "/images/json").json()}
        eventually(lambda: self.fetch("bystander") == b"hello\n")
        self.rules = ledger.rules(self.daemon)

    def ok(self, method: str, path: str, body: object = None, query: dict | None = None) -> Response:
        answer = self.daemon.call(method, path, body, query)
        assert succeeded(answer), (method, path, answer, self.daemon.log_tail(15))
        assert answer is not None
        return answer

    def run(self, name: str, command: list[str], host: dict | None = None, **config: object) -> str:
        body = {"Image": IMAGE, "Cmd": command, "HostConfig": host or {}, **config}
        identifier = str(self.ok("POST", "/containers/create", body, {"name": name}).json()["Id"])
        self.ok("POST", f"/containers/{identifier}/start")
        return identifier

    def inspect(self, name: str) -> dict[str, Any]:
        return dict(self.ok("GET", f"/containers/{name}/json").json())

    def there(self, kind: str, name: str) -> bool:
        """Whether the object is known; anything but 200 and 404 is a failure."""
        answer = self.daemon.call("GET", f"/{kind}/{name}" + ("" if kind == "volumes" else "/json"))
        assert answer is not None and answer.status in (200, 404), answer
        return answer.status == 200

    def status(self, name: str) -> str:
        return str(self.inspect(name)["State"]["Status"])

    def state(self, name: str) -> str:
        """As ``status``, "" when there is no such container."""
        answer = self.daemon.call("GET", f"/containers/{name}/json")
        assert answer is not None and answer.status in (200, 404), answer
        return str(answer.json()["State"]["Status"]) if answer.status == 200 else ""

    def execute(self, name: str, *command: str) -> bytes:
        made = self.ok("POST", f"/containers/{name}/exec", {"Cmd": command, "AttachStdout": True, "AttachStderr": True})
        sock, status, data = self.daemon.api.hijack(f"/exec/{made.json()['Id']}/start", {"Detach": False})
        with sock:
            while chunk := sock.recv(65536):
                data += chunk
        assert status in (101, 200), (status, data)
        return joined(data) + joined(data, 2)

    def output(self, image: str, *command: str) -> bytes:
        """What a container of *image* writes."""
        body = {"Image": image, "Cmd": command}
        identifier = self.ok("POST", "/containers/create", body).json()["Id"]
        self.ok("POST", f"/containers/{identifier}/start")
        assert self.ok("POST", f"/containers/{identifier}/wait").json()["StatusCode"] == 0
        logs = self.ok("GET", f"/containers/{identifier}/logs", query={"stdout": 1}).body
        self.ok("DELETE", f"/containers/{identifier}")
        return joined(logs)

    def fetch(self, name: str) -> bytes:
        """What its web server answers through the published port."""
        port = self.inspect(name)["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=5)
        try:
            connection.request("GET", "/index.html")
            return connection.getresponse().read()
        except OSError:
            return b""
        finally:
            connection.close()

    def volumes(self) -> set[str]:
        return {each["Name"] for each in self.ok("GET", "/volumes").json()["Volumes"] or ()} - {KEPT}

    def check(self) -> None:
        """Records, directories and host fit together, and the bystander goes on as if nothing had happened."""
        found = ledger.settled(self.daemon)
        assert not found, "\n".join(found)
        now = self.inspect("bystander")
        for key in ("Status", "Pid", "StartedAt"):
            assert now["State"][key] == self.bystander["State"][key]
        assert now["NetworkSettings"]["Ports"] == self.bystander["NetworkSettings"]["Ports"]
        assert now["NetworkSettings"]["Networks"] == self.bystander["NetworkSettings"]["Networks"]
        eventually(lambda: self.fetch("bystander") == b"hello\n")
        assert self.ok("GET", f"/volumes/{KEPT}").json()["Labels"] == MINE

    def reset(self) -> None:
        """Remove everything but the bystander, and find that nothing is left."""
        for each in self.ok("GET", "/containers/json", query={"all": 1}).json():
            if each["Id"] != self.bystander["Id"]:
                self.daemon.call("DELETE", f"/containers/{each['Id']}", query={"force": 1, "v": 1})
        for name in self.volumes():
            self.ok("DELETE", f"/volumes/{name}")
        for each in self.ok("GET", "/images/json", query={"all": 1}).json():
            if each["Id"] not in self.images:
                self.ok("DELETE", f"/images/{each['Id']}", query={"force": 1})
        for each in self.ok("GET", "/images/json").json():
            for name in each["RepoTags"] or ():
                if name != IMAGE:
                    self.ok("DELETE", f"/images/{name}")
        self.check()
        assert ledger.rules(self.daemon) == self.rules


def succeeded(answer: Response | None) -> bool:
    """A stream tells its failure after its status."""
    return answer is not None and answer.status < 400 and b'"errorDetail"' not in answer.body


def message(answer: Response) -> str:
    return answer.body.decode(errors="replace").lower()
