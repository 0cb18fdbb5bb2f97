"""Many clients at once, each doing anything to a few containers: no answer is a bug, and nothing is left."""

import random
import threading
import time

from tests.support.busybox import IMAGE
from tests.support.daemon import Daemon
from tests.support.http import Api

SECONDS = 6.0
CLIENTS = 6
NAMES = ("st0", "st1", "st2")


def create(api: Api, chance: random.Random, name: str):
    restart = chance.choice(("always", "no", "on-failure"))
    host = {
        "RestartPolicy": {"Name": restart},
        "AutoRemove": restart == "no" and chance.random() < 0.4,
        "PortBindings": {"80/tcp": [{}]},
    }
    script = chance.choice(("sleep 100", "exit 3", "sleep 0.1"))
    body = {"Image": IMAGE, "Cmd": ["sh", "-c", script], "HostConfig": host}
    return api("POST", "/containers/create", body, query={"name": name})


def act(api: Api, chance: random.Random, name: str):
    verb = chance.choice(
        (
            "create",
            "start",
            "stop",
            "restart",
            "kill",
            "rm",
            "pause",
            "unpause",
            "rename",
            "update",
            "exec",
            "prune",
            "commit",
        )
    )
    path = f"/containers/{name}"
    if verb == "create":
        return verb, create(api, chance, name)
    if verb == "rm":
        return verb, api("DELETE", path, query={"force": 1})
    if verb == "rename":
        return verb, api("POST", f"{path}/rename", query={"name": chance.choice(NAMES)})
    if verb == "update":
        return verb, api("POST", f"{path}/update", {"CpuShares": 512})
    if verb == "commit":
        return verb, api("POST", "/commit", query={"container": name, "repo": "made"})
    if verb == "prune":
        return verb, api("POST", "/containers/prune")
    if verb == "exec":
        made = api("POST", f"{path}/exec", {"Cmd": ["true"]})
        return verb, api("POST", f"/exec/{made.json()['Id']}/start", {"Detach": True}) if made.status == 201 else made
    query = {"t": 0} if verb in ("stop", "restart") else None
    return verb, api("POST", f"{path}/{verb}", query=query)


def test_anything_at_once(rootfs_tar) -> None:
    bugs: list[str] = []

    def client(number: int) -> None:
        chance, api = random.Random(number), Api(daemon.socket, timeout=60)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            verb, answer = act(api, chance, chance.choice(NAMES))
            # Docker answers 500, too, to the thaw of what is not paused, and when a run ends in the middle of an exec
            expected = b"not paused" in answer.body or b"OCI runtime exec failed" in answer.body
            if answer.status >= 500 and not expected:
                bugs.append(f"{verb}: {answer.status} {answer.body!r}")

    with Daemon() as daemon:
        api = daemon.api
        api("POST", "/images/create", rootfs_tar, query={"fromSrc": "-", "repo": "busybox", "tag": "latest"})
        clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
        for each in clients:
            each.start()
        for each in clients:
            each.join()
        assert not bugs, bugs[:10]
        for name in NAMES:
            assert api("DELETE", f"/containers/{name}", query={"force": 1}).status in (204, 404)
        assert api("GET", "/containers/json", query={"all": 1}).json() == []
        for name in NAMES:  # none is taken by a container that has gone
            assert create(api, random.Random(0), name).status == 201
            assert api("DELETE", f"/containers/{name}").status == 204
        assert not daemon.settled(ignore=("processes", "rules"))
        daemon.restart()
        assert api("GET", "/containers/json", query={"all": 1}).json() == [], "a removed container came back"
