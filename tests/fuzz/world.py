"""What the requests find: images, containers in every state, execs, volumes. ``refresh`` makes it so again."""

import random
import socket
from typing import Any

from tests.support import busybox, layers
from tests.support.http import Api, Response

CHATTER = "i=0; while true; do echo line $i; echo wrong $i >&2; i=$((i+1)); sleep 0.05; done"
CONTAINERS: dict[str, dict[str, Any]] = {
    "made": {"Cmd": ["true"]},
    "done": {"Cmd": ["sh", "-c", "echo out; echo err >&2; exit 3"]},
    "runs": {"Cmd": ["sleep", "600"], "OpenStdin": True, "Volumes": {"/anonymous": {}}},
    "term": {"Cmd": ["cat"], "OpenStdin": True, "Tty": True},
    "pipe": {"Cmd": ["cat"], "OpenStdin": True, "StdinOnce": True},
    "chat": {"Cmd": ["sh", "-c", CHATTER], "HostConfig": {"LogConfig": {"Config": {"max-size": "64k"}}}},
    "held": {"Cmd": ["sleep", "600"], "HostConfig": {"Binds": ["fuzz-data:/data"], "Tmpfs": {"/t": "size=1m"}}},
}
IMAGES = ("busybox:latest", "fuzz/second:1")
VOLUMES = ("fuzz-data", "fuzz-spare")
SPARE = 12
"""So many other containers may be there before they are removed."""


class World:
    """One daemon's objects. ``ids`` maps a kind of path parameter to the ids and names that exist."""

    def __init__(self, socket_path: str) -> None:
        self.api = Api(socket_path, timeout=120)
        self.rootfs = busybox.rootfs_tar()
        self.layer = layers.archive(layers.directory("etc"), layers.member("etc/second", b"2\n"))
        self.archive = layers.docker_archive([self.layer], [IMAGES[1]])
        self.ids: dict[str, list[str]] = {}
        self.seeds: dict[str, str] = {}
        self.others: list[str] = []

    def pick(self, kind: str, chance: random.Random) -> str:
        return chance.choice(self.ids.get(kind) or ["nothing"])

    def refresh(self, calm: bool = False) -> None:
        """Everything there again, and not much more than that. Unless *calm*, clients may undo it at once."""
        for patience in (2, 1, 0):
            try:
                self._refresh()
            except AssertionError:
                if calm and not patience:
                    raise
            else:
                return

    def _refresh(self) -> None:
        self._images()
        self._containers()
        self._volumes()
        execs = self._execs()
        images = self.must(self.api("GET", "/images/json"), 200).json()
        networks = self.must(self.api("GET", "/networks"), 200).json()
        seeds = list(self.seeds.values())
        self.ids = {
            "container": seeds * 3 + [each[:12] for each in seeds] + self.others,
            "exec": execs,
            "image": [*IMAGES, *(image["Id"] for image in images), "busybox"],
            "volume": list(VOLUMES),
            "network": ["bridge", "host", "none", *(network["Id"] for network in networks)],
            "plugin": ["some/plugin:latest"],
        }

    def clear(self) -> None:
        """Nothing there."""
        for container in self.must(self.api("GET", "/containers/json", query={"all": 1}), 200).json():
            self.must(self.api("DELETE", f"/containers/{container['Id']}", query={"force": 1, "v": 1}), 204, 404, 409)
        self.api("POST", "/volumes/prune", query={"filters": {"all": ["true"]}})
        self.api("POST", "/images/prune", query={"filters": {"dangling": ["false"]}})
        self.seeds.clear()

    @staticmethod
    def must(answer: Response, *statuses: int) -> Response:
        assert answer.status in statuses, f"{answer.status} {answer.body[:500]!r}"
        return answer

    def _images(self) -> None:
        listed = self.must(self.api("GET", "/images/json"), 200).json()
        tags = [tag for image in listed for tag in image["RepoTags"] or ()]
        for tag in [tag for tag in tags if tag not in IMAGES][5:]:
            self.api("DELETE", f"/images/{tag}", query={"force": 1})
        # other contents may have been given the names
        sizes = {tag: image["Size"] for image in listed for tag in image["RepoTags"] or ()}
        if sizes.get(IMAGES[0], 0) < len(self.rootfs) // 2 or not self._runs():
            query = {"fromSrc": "-", "repo": "busybox", "tag": "latest", "changes": "CMD sh"}
            self.must(self.api("POST", "/images/create", self.rootfs, query=query), 200)
        if IMAGES[1] not in tags:
            self.must(self.api("POST", "/images/load", self.archive), 200)
        self.must(self.api("POST", "/images/prune"), 200)

    def _runs(self) -> bool:
        """Whether the first image is one whose shell can be started."""
        config = self.must(self.api("GET", f"/images/{IMAGES[0]}/json"), 200).json()
        return (config.get("Config") or {}).get("Cmd") == ["sh"] and not (config.get("Config") or {}).get("Entrypoint")

    def _containers(self) -> None:
        listed = self.must(self.api("GET", "/containers/json", query={"all": 1}), 200).json()
        seeds = {identifier: name for name, identifier in self.seeds.items()}
        others = [each["Id"] for each in listed if each["Id"] not in seeds]
        self.others = others[:SPARE] if len(others) <= 2 * SPARE else []
        for identifier in set(others) - set(self.others):
            self.api("DELETE", f"/containers/{identifier}", query={"force": 1, "v": 1})
        states = {each["Id"]: each["State"] for each in listed}
        for name, config in CONTAINERS.items():
            wanted = {"made": "created", "done": "exited", "held": "paused"}.get(name, "running")
            known = self.seeds.get(name, "")
            if states.get(known) == wanted:
                continue
            if known in states:
                self.api("DELETE", f"/containers/{known}", query={"force": 1, "v": 1})
            self.seeds[name] = self._container(config, wanted)

    def _container(self, config: dict[str, Any], wanted: str) -> str:
        body = {"Image": IMAGES[0], **config}
        identifier: str = self.must(self.api("POST", "/containers/create", body), 201).json()["Id"]
        if wanted != "created":
            self.must(self.api("POST", f"/containers/{identifier}/start"), 204)
        if wanted == "exited":
            self.must(self.api("POST", f"/containers/{identifier}/wait"), 200)
        if wanted == "paused":
            self.must(self.api("POST", f"/containers/{identifier}/pause"), 204)
        return identifier

    def _volumes(self) -> None:
        self.must(self.api("POST", "/volumes/prune", query={"filters": {"all": ["true"]}}), 200)
        for name in VOLUMES:
            self.must(self.api("POST", "/volumes/create", {"Name": name}), 201)

    def _execs(self) -> list[str]:
        found = []
        for command, start in ((["true"], None), (["cat"], {"Detach": True}), (["true"], {"Detach": True})):
            body = {"Cmd": command, "AttachStdout": True, "AttachStdin": True}
            made = self.must(self.api("POST", f"/containers/{self.seeds['runs']}/exec", body), 201).json()["Id"]
            if start:
                self.must(self.api("POST", f"/exec/{made}/start", start), 200)
            found.append(made)
        return found

    def works(self) -> None:
        """A container runs, from create to its output."""
        self.refresh(calm=True)
        body = {"Image": IMAGES[0], "Cmd": ["echo", "alive"]}
        identifier = self.must(self.api("POST", "/containers/create", body), 201).json()["Id"]
        self.must(self.api("POST", f"/containers/{identifier}/start"), 204)
        self.must(self.api("POST", f"/containers/{identifier}/wait"), 200)
        logs = self.must(self.api("GET", f"/containers/{identifier}/logs", query={"stdout": 1}), 200)
        assert b"alive" in logs.body, logs.body
        self.must(self.api("DELETE", f"/containers/{identifier}"), 204)


def connect(path: str, timeout: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(timeout)
    sock.connect(path)
    return sock
