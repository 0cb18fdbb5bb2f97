"""Cases 4 and 5: a hostile container swaps what another start is about to mount on, mask or make read-only.

The swapping is done on the host's side of the shared volume, by renameat2(RENAME_EXCHANGE) without a pause: what a
container with a small C program can do, only faster.
"""

import json
import os
from pathlib import Path

import pytest

from tests.attack.hostile import SOAK, rounds, swapping
from tests.support.busybox import IMAGE
from tests.support.daemon import Daemon
from tests.support.http import Api, joined
from tests.support.stock import Docker

STARTS = 1500
"""In a long run; the names are swapped some hundred times during each."""


def data_of(docker: Docker, volume: str) -> str:
    docker("volume", "create", volume)
    return docker("volume", "inspect", "-f", "{{.Mountpoint}}", volume)


def test_target_swapped_for_a_link_stays_inside(daemon: Daemon, docker: Docker, image: str, tmp_path: Path) -> None:
    """CVE-2021-30465: the mount of a volume inside another one lands in the container's root only."""
    (tmp_path / "host-marker").write_text("host")
    shared, other = data_of(docker, "shared"), data_of(docker, "other")
    os.mkdir(f"{shared}/place")
    os.symlink("../../../../../../../../..", f"{shared}/root")
    Path(other, "other-marker").write_text("other")
    look = f"test -e /s/place{tmp_path}/host-marker && echo HOST; test -e {tmp_path}/host-marker && echo HOST; true"

    def start() -> None:
        result = docker.result("run", "--rm", "-v", "shared:/s", "-v", "other:/s/place", IMAGE, "sh", "-c", look)
        assert "HOST" not in result.out
        assert other not in Path("/proc/self/mountinfo").read_text()

    with swapping(f"{shared}/place", f"{shared}/root") as count:
        assert rounds(start, STARTS) > 3
    assert count[0] > (100_000 if SOAK else 1000)
    assert sorted(os.listdir(tmp_path)) == ["host-marker"]
    assert os.listdir(other) == ["other-marker"]
    assert daemon.answers()


def test_subpath_swapped_for_a_link_stays_inside(docker: Docker, image: str, tmp_path: Path) -> None:
    """The same with a path below a volume: never a folder of the host."""
    (tmp_path / "host-marker").write_text("host")
    shared = data_of(docker, "with-subpath")
    os.mkdir(f"{shared}/sub")
    os.symlink(f"../../../../../../../../../../{tmp_path}", f"{shared}/way")
    mount = "type=volume,source=with-subpath,target=/x,volume-subpath=sub"
    codes = set()

    def start() -> None:
        result = docker.result("run", "--rm", "--mount", mount, IMAGE, "ls", "-a", "/x")
        assert "host-marker" not in result.out
        codes.add(result.code)

    with swapping(f"{shared}/sub", f"{shared}/way") as count:
        assert rounds(start, STARTS) > 3
    assert count[0] > (100_000 if SOAK else 1000)
    assert 0 in codes


def start_and_read(api: Api, body: dict) -> tuple[int, str]:
    identifier = api("POST", "/containers/create", body).json()["Id"]
    try:
        status = api("POST", f"/containers/{identifier}/start").status
        if status != 204:
            return status, ""
        api("POST", f"/containers/{identifier}/wait")
        shown = api("GET", f"/containers/{identifier}/logs", query={"stdout": 1})
        return status, joined(shown.body).decode()
    finally:
        api("DELETE", f"/containers/{identifier}", query={"force": 1})


@pytest.mark.parametrize("lists", ["masked", "readonly"])
def test_masks_hold_while_their_places_are_swapped(
    daemon: Daemon, api: Api, docker: Docker, image: str, tmp_path: Path, lists: str
) -> None:
    """CVE-2025-31133, -52881, CVE-2019-19921: places of masks lie in a shared volume and turn into links meanwhile.

    The standard masks are in place in every container that starts, and a file of the host that the links point at
    keeps its content, owner, mode and mounts.
    """
    (tmp_path / "victim").write_text("precious")
    before = (tmp_path / "victim").stat()
    shared = data_of(docker, f"masks-{lists}")
    os.mkdir(f"{shared}/place")
    Path(f"{shared}/place/file").write_text("x")
    os.symlink("../../../../../../../proc", f"{shared}/other")
    os.symlink(f"../../../../../../../..{tmp_path}/victim", f"{shared}/victim")
    plain = api("POST", "/containers/create", {"Image": IMAGE}).json()["Id"]
    host = api("GET", f"/containers/{plain}/json").json()["HostConfig"]
    mine = ["/s/place", "/s/place/file", "/s/place/sys", "/s/victim"]
    masked, readonly = host["MaskedPaths"], host["ReadonlyPaths"]
    settings = {
        "Binds": [f"masks-{lists}:/s"],
        "MaskedPaths": [*mine, *masked] if lists == "masked" else masked,
        "ReadonlyPaths": [*mine, *readonly] if lists == "readonly" else readonly,
    }
    script = "cat /proc/keys /proc/timer_list /proc/kcore 2>/dev/null | wc -c; ls /sys/firmware 2>/dev/null | wc -w;"
    script += "for f in sysrq-trigger sys/kernel/core_pattern sys/kernel/hostname irq/x bus/x fs/x; do"
    script += " ( : >> /proc/$f ) 2>/dev/null && echo WRITABLE $f; done; echo end"
    body = {"Image": IMAGE, "Cmd": ["sh", "-c", script], "HostConfig": settings}
    mounts = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    seen = set()

    def start() -> None:
        status, text = start_and_read(api, body)
        assert status in (204, 400, 500)
        if status == 204:
            assert text.split() == ["0", "0", "end"], text
        seen.add(status)

    with swapping(f"{shared}/place", f"{shared}/other") as count:
        assert rounds(start, STARTS) > 3
    assert count[0] > 1000
    after = (tmp_path / "victim").stat()
    assert (tmp_path / "victim").read_text() == "precious"
    assert (after.st_mode, after.st_uid, after.st_ctime_ns) == (before.st_mode, before.st_uid, before.st_ctime_ns)
    left = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()} - mounts
    assert not [place for place in left if place.startswith(("/proc", str(tmp_path)))]
    api("DELETE", f"/containers/{plain}")


@pytest.mark.parametrize("target", ["/dev", "/proc", "/proc/sys", "/proc/self", "/proc/sysrq-trigger", "/dev/../proc"])
def test_volumes_over_what_the_runtime_trusts(clean: Daemon, api: Api, image: str, target: str) -> None:
    """CVE-2025-31133: who shares /dev can turn /dev/null, the source of every mask, into a link. Refused."""
    for host in (
        {"Binds": [f"trusted:{target}"]},
        {"Mounts": [{"Type": "volume", "Source": "trusted", "Target": target}]},
        {"Binds": [f"/tmp:{target}"]},
    ):
        created = api("POST", "/containers/create", {"Image": IMAGE, "Cmd": ["true"], "HostConfig": host})
        if created.status == 201:
            started = api("POST", f"/containers/{created.json()['Id']}/start")
            assert started.status in (400, 500), (json.dumps(host), started.status)
    clean.remove_containers()
    api("DELETE", "/volumes/trusted")
