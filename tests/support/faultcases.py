"""The use cases that a daemon's death or a failing step may interrupt, for ``tests/system/test_faultpoints.py``.

A case prepares, acts, and then says whether what it asked for has happened (``happened``): wholly or not at all, which
it asserts. ``works`` uses what is there afterwards. ``REPEATED`` are the statuses of the same request when it has
happened already.
"""

import os

from corten.linux import cgroup
from tests.support.busybox import IMAGE
from tests.support.http import Response
from tests.support.layers import archive, busybox_layer, directory, docker_archive, member
from tests.support.stock import eventually
from tests.support.world import KEPT, MINE, PORT, WEB, World

SLEEP = ["sleep", "600"]
ANONYMOUS = {"/anonymous": {}}


class Case:
    REPEATED: frozenset[int] = frozenset({404})
    LATER = False
    """The answer does not wait for what is looked at."""

    def prepare(self, w: World) -> None:
        """Bring about what the request needs."""

    def act(self, w: World) -> Response | None:
        raise NotImplementedError

    def happened(self, w: World) -> bool:
        raise NotImplementedError

    def intact(self, w: World) -> None:
        """Whether it has happened or not, what was not asked for is as it was."""

    def works(self, w: World) -> None:
        """Once it has happened."""


class Create(Case):
    REPEATED = frozenset({409})

    def act(self, w):
        host = {"Binds": ["named:/named"]}
        body = {"Image": IMAGE, "Cmd": SLEEP, "Labels": MINE, "Volumes": ANONYMOUS, "HostConfig": host}
        return w.daemon.call("POST", "/containers/create", body, {"name": "made"})

    def happened(self, w):
        if w.there("containers", "made"):
            return True
        assert not w.volumes(), "volumes of a container that is not there"
        return False

    def works(self, w):
        found = w.inspect("made")
        assert found["Config"]["Labels"] == MINE
        assert {mount["Name"] for mount in found["Mounts"]} == w.volumes() and len(w.volumes()) == 2
        w.ok("POST", "/containers/made/start")
        assert w.execute("made", "ls", "/named", "/anonymous").split() == [b"/anonymous:", b"/named:"]


class Start(Case):
    REPEATED = frozenset({304})

    def prepare(self, w):
        host = {"PortBindings": PORT, "IpcMode": "shareable", "Memory": 64 << 20}
        body = {"Image": IMAGE, "Cmd": WEB, "Volumes": {"/home": {}}, "HostConfig": host}
        w.ok("POST", "/containers/create", body, {"name": "made"})

    def act(self, w):
        return w.daemon.call("POST", "/containers/made/start")

    def happened(self, w):
        status = w.status("made")
        assert status in ("created", "running"), status
        return status == "running"

    def works(self, w):
        eventually(lambda: w.fetch("made") == b"hello\n")
        assert w.execute("made", "ls", "/home") == b"user\n"
        (volume,) = w.volumes()
        assert os.listdir(f"{w.daemon.data_root}/volumes/{volume}") == ["_data"]
        assert w.inspect("made")["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]


class OnRunning(Case):
    def prepare(self, w):
        w.run("made", SLEEP, {"PortBindings": PORT, "IpcMode": "shareable"}, Volumes=ANONYMOUS)

    def alive(self, w):
        """Running and well, or ended; nothing between."""

        def certain() -> bool:
            if w.state("made") != "running":
                return True
            try:
                return w.execute("made", "echo", "here") == b"here\n"
            except AssertionError:
                return False  # it may be ending at this moment

        eventually(certain)
        status = w.status("made")
        assert status in ("running", "exited"), status
        return status == "running"


class Stop(OnRunning):
    REPEATED = frozenset({304})

    def act(self, w):
        return w.daemon.call("POST", "/containers/made/stop", query={"t": 0})

    def happened(self, w):
        return not self.alive(w)

    def works(self, w):
        assert w.inspect("made")["State"]["ExitCode"] == 137
        w.ok("POST", "/containers/made/start")
        assert self.alive(w)


class Kill(Stop):
    REPEATED = frozenset({409})

    def act(self, w):
        return w.daemon.call("POST", "/containers/made/kill")


class Restart(OnRunning):
    REPEATED = frozenset({204})

    def act(self, w):
        return w.daemon.call("POST", "/containers/made/restart", query={"t": 0})

    def happened(self, w):
        return self.alive(w)

    def works(self, w):
        assert self.alive(w)


class Pause(OnRunning):
    REPEATED = frozenset({409})

    def act(self, w):
        return w.daemon.call("POST", "/containers/made/pause")

    def happened(self, w):
        if w.status("made") == "paused":
            return True
        assert self.alive(w)
        return False

    def works(self, w):
        w.ok("POST", "/containers/made/unpause")
        assert self.alive(w)


class Unpause(Pause):
    REPEATED = frozenset({500})

    def prepare(self, w):
        super().prepare(w)
        w.ok("POST", "/containers/made/pause")

    def act(self, w):
        return w.daemon.call("POST", "/containers/made/unpause")

    def happened(self, w):
        return not super().happened(w)

    def works(self, w):
        assert self.alive(w)


class Remove(Case):
    def prepare(self, w):
        w.run("made", ["sh", "-c", "echo data > /anonymous/file; exit 3"], Volumes=ANONYMOUS)
        w.ok("POST", "/containers/made/wait")

    def act(self, w):
        return w.daemon.call("DELETE", "/containers/made", query={"v": 1})

    def happened(self, w):
        if not w.there("containers", "made"):
            eventually(lambda: not w.volumes())
            return True
        state = w.inspect("made")["State"]
        assert state["Status"] in ("exited", "dead") and state["ExitCode"] == 3
        return False


class RemoveRunning(OnRunning):
    def act(self, w):
        return w.daemon.call("DELETE", "/containers/made", query={"v": 1, "force": 1})

    def happened(self, w):
        if w.there("containers", "made"):
            assert w.status("made") == "dead" or self.alive(w) in (True, False)
            return False
        eventually(lambda: not w.volumes())
        return True


class AutoRemove(RemoveRunning):
    REPEATED = frozenset({404, 409})
    LATER = True

    def prepare(self, w):
        w.run("made", SLEEP, {"AutoRemove": True, "PortBindings": PORT}, Volumes=ANONYMOUS)

    def act(self, w):
        """Where the automatic removal has failed, somebody has to do it."""
        if w.state("made") == "dead":
            return w.daemon.call("DELETE", "/containers/made", query={"v": 1})
        return w.daemon.call("POST", "/containers/made/kill")

    def happened(self, w):
        eventually(lambda: w.state("made") in ("", "running", "dead"))
        return super().happened(w)


class Rename(OnRunning):
    def act(self, w):
        return w.daemon.call("POST", "/containers/made/rename", query={"name": "renamed"})

    def happened(self, w):
        old, new = w.there("containers", "made"), w.there("containers", "renamed")
        assert old != new
        return new

    def works(self, w):
        assert w.execute("renamed", "echo", "here") == b"here\n"


class Update(OnRunning):
    REPEATED = frozenset({200})
    LIMIT = 96 << 20

    def prepare(self, w):
        w.run("made", SLEEP, {"Memory": 64 << 20, "MemorySwap": -1})

    def act(self, w):
        return w.daemon.call("POST", "/containers/made/update", {"Memory": self.LIMIT, "MemorySwap": -1})

    def happened(self, w):
        assert self.alive(w)
        found = w.inspect("made")
        layout = cgroup.detect()
        path = layout.directory("memory", f"{w.daemon.cgroup_parent}/{found['Id']}")
        with open(f"{path}/memory.max" if layout.is_v2 else f"{path}/memory.limit_in_bytes") as file:
            applied = file.read().strip() == str(self.LIMIT)
        assert applied == (found["HostConfig"]["Memory"] == self.LIMIT)
        return applied


class Load(Case):
    """Two images above a layer that they share."""

    REPEATED = frozenset({200})

    def archive(self):
        base = busybox_layer()
        tops = [archive(directory("home"), member(f"home/{name}", name.encode())) for name in ("first", "second")]
        one = docker_archive([base, tops[0]], ["first:1"])
        two = docker_archive([base, tops[1], tops[0]], ["second:1", "second:2"])
        return one, two

    def act(self, w):
        return w.daemon.call("POST", "/images/load", self.archive()[1])

    def happened(self, w):
        there = {name: w.there("images", name) for name in ("second:1", "second:2")}
        assert len(set(there.values())) == 1, there
        return all(there.values())

    def works(self, w):
        assert w.output("second:1", "/bin/busybox", "cat", "/home/second", "/home/first") == b"secondfirst"


class Import(Case):
    REPEATED = frozenset({200})

    def act(self, w):
        query = {"fromSrc": "-", "repo": "imported", "tag": "1"}
        return w.daemon.call("POST", "/images/create", busybox_layer(), query)

    def happened(self, w):
        return w.there("images", "imported:1")

    def works(self, w):
        assert w.output("imported:1", "/bin/sh", "-c", "echo runs") == b"runs\n"


class Commit(OnRunning):
    REPEATED = frozenset({201})

    def prepare(self, w):
        super().prepare(w)
        w.execute("made", "sh", "-c", "echo mine > /file")

    def act(self, w):
        return w.daemon.call("POST", "/commit", {}, {"container": "made", "repo": "committed", "tag": "1"})

    def happened(self, w):
        assert self.alive(w), "the container was to be paused for the commit only"
        return w.there("images", "committed:1")

    def works(self, w):
        assert w.output("committed:1", "cat", "/file") == b"mine\n"


class Tag(Load):
    REPEATED = frozenset({201})

    def prepare(self, w):
        w.ok("POST", "/images/load", self.archive()[0])

    def act(self, w):
        return w.daemon.call("POST", "/images/first:1/tag", query={"repo": "another", "tag": "1"})

    def happened(self, w):
        assert w.there("images", "first:1")
        return w.there("images", "another:1")

    def works(self, w):
        assert w.output("another:1", "/bin/busybox", "cat", "/home/first") == b"first"


class RemoveImage(Load):
    REPEATED = frozenset({404})

    def prepare(self, w):
        w.ok("POST", "/images/load", self.archive()[0])
        w.ok("POST", "/images/load", self.archive()[1])
        w.ok("DELETE", "/images/second:2")

    def act(self, w):
        return w.daemon.call("DELETE", "/images/second:1")

    def happened(self, w):
        return not w.there("images", "second:1")

    def intact(self, w):
        assert w.output("first:1", "/bin/busybox", "cat", "/home/first") == b"first"
        if w.there("images", "second:1"):
            assert w.output("second:1", "/bin/busybox", "cat", "/home/second") == b"second"

    def works(self, w):
        """Nothing is there."""


class PruneImages(Load):
    REPEATED = frozenset({200})

    def prepare(self, w):
        for each in self.archive():
            w.ok("POST", "/images/load", each)

    def act(self, w):
        return w.daemon.call("POST", "/images/prune", query={"filters": {"dangling": ["false"]}})

    def happened(self, w):
        there = [w.there("images", name) for name in ("first:1", "second:1", "second:2")]
        assert len(set(there)) == 1
        return not there[0]

    def intact(self, w):
        if w.there("images", "second:1"):
            assert w.output("second:1", "/bin/busybox", "cat", "/home/second") == b"second"

    def works(self, w):
        """Nothing is there."""


class CreateVolume(Case):
    REPEATED = frozenset({201})

    def act(self, w):
        return w.daemon.call("POST", "/volumes/create", {"Name": "made", "Labels": MINE})

    def happened(self, w):
        return w.there("volumes", "made")

    def works(self, w):
        assert w.ok("GET", "/volumes/made").json()["Labels"] == MINE
        w.run("user", SLEEP, {"Binds": ["made:/data"]})
        assert w.execute("user", "sh", "-c", "echo x > /data/file; cat /data/file") == b"x\n"


class RemoveVolume(Case):
    NAMES = ("made",)

    def prepare(self, w):
        for name in self.NAMES:
            w.ok("POST", "/volumes/create", {"Name": name, "Labels": MINE})
            os.makedirs(f"{w.daemon.data_root}/volumes/{name}/_data/deep/er")
            with open(f"{w.daemon.data_root}/volumes/{name}/_data/deep/er/file", "w") as file:
                file.write("data")

    def act(self, w):
        return w.daemon.call("DELETE", "/volumes/made")

    def happened(self, w):
        for name in sorted(w.volumes()):
            found = w.ok("GET", f"/volumes/{name}").json()
            assert found["Labels"] == MINE
            with open(f"{found['Mountpoint']}/deep/er/file") as file:
                assert file.read() == "data"
        return not w.volumes()


class PruneVolumes(RemoveVolume):
    NAMES = ("made", "other")
    REPEATED = frozenset({200})

    def prepare(self, w):
        super().prepare(w)
        assert KEPT not in self.NAMES

    def act(self, w):
        return w.daemon.call("POST", "/volumes/prune", query={"filters": {"all": ["1"]}})


class PruneContainers(Case):
    REPEATED = frozenset({200})

    def prepare(self, w):
        for name in ("made", "other"):
            w.run(name, ["sh", "-c", "exit 3"])
            w.ok("POST", f"/containers/{name}/wait")

    def act(self, w):
        return w.daemon.call("POST", "/containers/prune")

    def happened(self, w):
        left = [name for name in ("made", "other") if w.there("containers", name)]
        for name in left:
            state = w.inspect(name)["State"]
            assert state["Status"] in ("exited", "dead") and state["ExitCode"] == 3
        return not left


CASES: dict[str, Case] = {
    kind.__name__: kind()
    for kind in (
        *(Create, Start, Stop, Kill, Restart, Pause, Unpause, Remove, RemoveRunning, AutoRemove, Rename, Update),
        *(Load, Import, Commit, Tag, RemoveImage, PruneImages),
        *(CreateVolume, RemoveVolume, PruneVolumes, PruneContainers),
    )
}
