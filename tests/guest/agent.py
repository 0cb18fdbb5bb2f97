"""``python -m tests.guest.agent DISK SEED [OPERATIONS]``: what happens on the machine whose power is cut.

Mounts DISK, starts a daemon whose data root is there, and writes lines to standard output, which is outside of what the
cut reaches: ``STATE`` with everything that is there after the start, then for each operation ``TRY`` before the request
and ``ACK`` after its answer, each with what it changes as JSON: object -> value, null for one that is removed; ``SUMS``
is what layers consist of.
"""

import hashlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import Any

from corten.store.treesum import tree_sum
from tests.support import ledger
from tests.support.daemon import Daemon
from tests.support.layers import archive, busybox_layer, directory, docker_archive, member

UNKNOWN = "?"
"""The value of what only the answer tells."""
LIMIT = 6
"""Objects of a kind; then one is removed."""


class Agent:
    def __init__(self, disk: str, seed: int) -> None:
        self.chance = random.Random(seed)
        self.seed = seed
        self.numbers = iter(range(1 << 30))
        self.daemon = Daemon(kind="cortend")
        say("BASE", self.daemon.base, self.daemon.address)
        os.makedirs(self.daemon.data_root)
        subprocess.run(["mount", "-t", "ext4", "-o", "errors=remount-ro", disk, self.daemon.data_root], check=True)
        self.daemon.start(timeout=60)
        self.state: dict[str, Any] = {}

    # what is there

    def observe(self) -> dict[str, Any]:
        """Object -> value, the layers' sums, and what is wrong."""
        found: dict[str, Any] = {}
        wrong = self.damage()
        deadline = time.monotonic() + 60
        while self.waiting() and time.monotonic() < deadline:
            time.sleep(0.1)
        for each in self.get("/images/json"):
            for name in each["RepoTags"] or ():
                found[f"image:{name}"] = each["Id"]
        anonymous = set()
        for each in self.get("/containers/json?all=1"):
            one = self.get(f"/containers/{each['Id']}/json")
            found[f"container:{one['Name'][1:]}"] = self.container(one)
            anonymous |= {mount["Name"] for mount in one["Mounts"] if len(mount["Name"]) == 64}
        for each in self.get("/volumes")["Volumes"] or ():
            name = each["Name"]
            if len(name) == 64:
                if name not in anonymous:
                    wrong.append(f"anonymous volume {name} belongs to nobody")
                continue
            found[f"volume:{name}"] = {"labels": each["Labels"], "files": contents(each["Mountpoint"])}
        wrong += ledger.settled(self.daemon, 20)
        self.state = found
        return {"objects": found, "wrong": wrong, "sums": self.sums()}

    def waiting(self) -> bool:
        """Whether a container that its policy wants running does not run yet."""
        for each in self.get("/containers/json?all=1"):
            one = self.get(f"/containers/{each['Id']}/json")
            if one["State"]["Status"] in ("exited", "restarting") and self.container(one)["wanted"]:
                return True
        return False

    @staticmethod
    def container(one: dict[str, Any]) -> dict[str, Any]:
        wanted = one["Config"]["Labels"]["policy"] == "yes" and one["State"]["Status"] in ("running", "restarting")
        return {"labels": one["Config"]["Labels"], "wanted": wanted}

    def damage(self) -> list[str]:
        """Blobs whose bytes are not those of their digest, layers whose files are not those that were unpacked."""
        wrong = []
        data = self.daemon.data_root
        for name in os.listdir(f"{data}/content/blobs/sha256"):
            with open(f"{data}/content/blobs/sha256/{name}", "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != name:
                    wrong.append(f"blob {name} is damaged")
        with closing(sqlite3.connect(f"file:{data}/state.db?mode=ro", uri=True)) as records:
            for chain_id, *row in records.execute("SELECT chain_id, entries, size, digest FROM layer_sums"):
                found = tree_sum(self.layer(chain_id))
                if [found.entries, found.size, found.digest] != row:
                    wrong.append(f"layer {chain_id} is damaged: {found} and not {row}")
        return wrong

    def layer(self, chain_id: str) -> str:
        return f"{self.daemon.data_root}/snapshots/layers/{chain_id.removeprefix('sha256:')}"

    def sums(self) -> dict[str, str]:
        """Every layer's sum over its files' names, looks and contents."""
        names = os.listdir(f"{self.daemon.data_root}/snapshots/layers")
        whole = [name for name in names if not name.startswith("new-")]
        return {name: tree_sum(self.layer(name), contents=True).digest for name in whole}

    def get(self, path: str) -> Any:
        answer = self.daemon.api("GET", path)
        assert answer.status == 200, (path, answer)
        return answer.json()

    # operations

    def step(self) -> None:
        kinds = {kind: [key.partition(":")[2] for key in self.state if key.startswith(kind)] for kind in KINDS}
        choices = [self.load, self.volume, self.load, self.create]
        if kinds["image"]:
            choices += [self.tag, self.remove_image] if len(kinds["image"]) < LIMIT else [self.remove_image] * 6
        if kinds["container"]:
            choices += [self.start, self.stop, self.commit, self.rename, self.remove]
            choices += [self.remove] * 6 if len(kinds["container"]) >= LIMIT else []
        if kinds["volume"]:
            choices += [self.write, self.remove_volume]
            choices += [self.remove_volume] * 6 if len(kinds["volume"]) >= LIMIT else []
        operation = self.chance.choice(choices)
        operation({kind: self.chance.choice(names) if names else "" for kind, names in kinds.items()})

    def do(self, changes: dict[str, Any], method: str, path: str, body: object = None) -> Any:
        """Say it, do it, say that it is done."""
        say("TRY", changes)
        answer = self.daemon.api(method, path, body)
        assert answer.status < 400 and b"errorDetail" not in answer.body, (method, path, answer)
        for key, value in changes.items():
            if value == UNKNOWN:
                changes[key] = self.get(f"/images/{key.partition(':')[2]}/json")["Id"]
        self.done(changes)
        if path.startswith(("/images/load", "/commit")):
            say("SUMS", self.sums())
        return answer

    def done(self, changes: dict[str, Any]) -> None:
        say("ACK", changes)
        self.state.update(changes)
        self.state = {key: value for key, value in self.state.items() if value is not None}

    def name(self, kind: str) -> str:
        return f"{kind}{self.seed}x{next(self.numbers)}"

    def load(self, some: dict[str, str]) -> None:
        names = [f"{self.name('i')}:1" for _ in range(2)]
        files = [
            member(f"deep/er/{number}", self.chance.randbytes(self.chance.randrange(1 << 17))) for number in range(12)
        ]
        top = archive(directory("deep"), directory("deep/er", mode=0o2775), *files)
        changes: dict[str, Any] = {f"image:{name}": UNKNOWN for name in names}
        self.do(changes, "POST", "/images/load", docker_archive([busybox_layer(), top], names))

    def tag(self, some: dict[str, str]) -> None:
        name = self.name("i")
        target = self.state[f"image:{some['image']}"]
        self.do({f"image:{name}:1": target}, "POST", f"/images/{some['image']}/tag?repo={name}&tag=1")

    def remove_image(self, some: dict[str, str]) -> None:
        self.do({f"image:{some['image']}": None}, "DELETE", f"/images/{some['image']}?force=1")

    def create(self, some: dict[str, str]) -> None:
        if not some["image"]:
            return self.load(some)
        name, policy = self.name("c"), self.chance.choice(("yes", "no"))
        labels = {"number": name, "policy": policy}
        volume = some["volume"] or self.name("v")
        changes: dict[str, Any] = {f"container:{name}": {"labels": labels, "wanted": False}}
        if not some["volume"]:
            changes[f"volume:{volume}"] = {"labels": None, "files": {}}
        host: dict[str, Any] = {"Binds": [f"{volume}:/data"], "NetworkMode": "none"}
        if policy == "yes":
            host["RestartPolicy"] = {"Name": "unless-stopped"}
        body = {"Image": some["image"], "Cmd": ["/bin/busybox", "sleep", "1000"], "Labels": labels, "HostConfig": host}
        self.do(changes, "POST", f"/containers/create?name={name}", {**body, "Volumes": {"/anonymous": {}}})
        return None

    def turned(self, name: str, on: bool) -> dict[str, Any]:
        labels = self.state[f"container:{name}"]["labels"]
        return {f"container:{name}": {"labels": labels, "wanted": on and labels["policy"] == "yes"}}

    def start(self, some: dict[str, str]) -> None:
        self.do(self.turned(some["container"], True), "POST", f"/containers/{some['container']}/start")

    def stop(self, some: dict[str, str]) -> None:
        self.do(self.turned(some["container"], False), "POST", f"/containers/{some['container']}/stop?t=0")

    def commit(self, some: dict[str, str]) -> None:
        name = self.name("i")
        changes: dict[str, Any] = {f"image:{name}:1": UNKNOWN}
        self.do(changes, "POST", f"/commit?container={some['container']}&repo={name}&tag=1", {})

    def rename(self, some: dict[str, str]) -> None:
        old, new = some["container"], self.name("c")
        changes = {f"container:{old}": None, f"container:{new}": self.state[f"container:{old}"]}
        self.do(changes, "POST", f"/containers/{old}/rename?name={new}")

    def remove(self, some: dict[str, str]) -> None:
        self.do({f"container:{some['container']}": None}, "DELETE", f"/containers/{some['container']}?force=1&v=1")

    def volume(self, some: dict[str, str]) -> None:
        name = self.name("v")
        labels = {"number": name}
        changes: dict[str, Any] = {f"volume:{name}": {"labels": labels, "files": {}}}
        self.do(changes, "POST", "/volumes/create", {"Name": name, "Labels": labels})

    def write(self, some: dict[str, str]) -> None:
        """A program that syncs what it has written, as a database in a container does."""
        key = f"volume:{some['volume']}"
        place = self.get(f"/volumes/{some['volume']}")["Mountpoint"]
        data, file_name = self.chance.randbytes(30_000), f"file{next(self.numbers)}"
        files = {**self.state[key]["files"], file_name: hashlib.sha256(data).hexdigest()}
        fd = os.open(f"{place}/{file_name}", os.O_WRONLY | os.O_CREAT)
        os.write(fd, data)
        os.fsync(fd)
        os.close(fd)
        fd = os.open(place, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        self.done({key: {"labels": self.state[key]["labels"], "files": files}})

    def remove_volume(self, some: dict[str, str]) -> None:
        users = [each for each in self.get("/containers/json?all=1") if any(
            mount.get("Name") == some["volume"] for mount in each["Mounts"]
        )]  # fmt: skip
        if not users:
            self.do({f"volume:{some['volume']}": None}, "DELETE", f"/volumes/{some['volume']}")


KINDS = ("image", "container", "volume")


def contents(place: str) -> dict[str, str]:
    found = {}
    for name in os.listdir(place):
        if name.startswith("file"):
            with open(f"{place}/{name}", "rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def say(*words: object) -> None:
    texts = [word if isinstance(word, str) else json.dumps(word) for word in words]
    sys.stdout.write(" ".join(texts) + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    agent = Agent(arguments[0], int(arguments[1]))
    say("STATE", agent.observe())
    for _ in range(int(arguments[2]) if len(arguments) > 2 else 1 << 30):
        try:
            agent.step()
        except Exception as error:  # noqa: BLE001 - after the cut everything fails; before it, this is looked at
            say("FAILED", f"{type(error).__name__}: {error}"[:2000])
            return 1
    say("STATE", agent.observe())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
