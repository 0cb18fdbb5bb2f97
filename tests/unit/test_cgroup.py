import os

import pytest

from corten.linux import cgroup, controllers, host
from corten.linux.cgroup import CgroupLayout

V1_MOUNTS = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
"""


def unified(tmp_path, controllers_text):
    (tmp_path / "cgroup.controllers").write_text(controllers_text)
    return f"41 31 0:38 / {tmp_path} rw,relatime - cgroup2 cgroup2 rw\n"


def test_v1():
    layout = cgroup.detect(V1_MOUNTS)
    assert layout.version == "v1" and layout.api_version == "1"
    assert layout.controllers == {"cpu", "cpuacct", "memory", "systemd"}
    assert layout.directory("cpuacct", "/a/b") == "/sys/fs/cgroup/cpu,cpuacct/a/b"
    assert layout.directory("pids", "/a") == ""
    assert layout.directories("/a") == [f"/sys/fs/cgroup/{name}/a" for name in ("cpu,cpuacct", "memory", "systemd")]
    assert layout.crun_problem == ""


def test_v1_with_an_empty_unified_tree(tmp_path):
    layout = cgroup.detect(V1_MOUNTS + unified(tmp_path, ""))
    assert layout.version == "v1" and f"{tmp_path}/a" in layout.directories("/a")
    assert layout.crun_problem == ""


def test_hybrid_is_what_crun_refuses(tmp_path):
    layout = cgroup.detect(V1_MOUNTS + unified(tmp_path, "hugetlb\n"))
    assert layout.version == "hybrid"
    assert "mount -t cgroup -o hugetlb" in layout.crun_problem


def test_v2(tmp_path):
    layout = cgroup.detect(unified(tmp_path, "cpuset cpu io memory pids\n"))
    assert layout.version == "v2" and layout.is_v2 and layout.api_version == "2"
    assert layout.directory("memory", "/a") == f"{tmp_path}/a" and layout.directories("/a") == [f"{tmp_path}/a"]
    assert {"memory", "swap", "pids", "cpu_cfs", "cpuset", "blkio_throttle"} <= controllers.features(layout)
    assert not {"swappiness", "oom_kill_disable", "cpu_realtime"} & controllers.features(layout)


def test_v1_features_are_what_files_say(tmp_path):
    for name in (
        "memory/memory.limit_in_bytes",
        "cpu/cpu.shares",
        "blkio/blkio.weight",
        "blkio/blkio.bfq.weight_device",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    layout = CgroupLayout("v1", {name: str(tmp_path / name) for name in ("memory", "cpu", "blkio")}, "", frozenset())
    assert controllers.features(layout) == {"memory", "cpu_shares", "blkio_weight"}


@pytest.mark.parametrize(
    ("parent", "expected"),
    [("", "/corten/x"), ("/", "/x"), ("p", "/p/x"), ("/p/q/", "/p/q/x"), ("../../etc", "/etc/x"), ("//p", "/p/x")],
)
def test_container_path(parent, expected):
    assert cgroup.container_path("x", parent) == expected


def test_root_is_never_removed():
    with pytest.raises(ValueError, match="root cgroup"):
        cgroup.remove(CgroupLayout("v2", {}, "/nowhere", frozenset()), "/")


def test_remove_pids_and_counters_on_v2_files(tmp_path):
    """The files are plain ones here, so only what is read and which directories go away can be seen."""
    layout = CgroupLayout("v2", {}, str(tmp_path), frozenset(("memory",)))
    (tmp_path / "p/c/below").mkdir(parents=True)
    (tmp_path / "p/c/cgroup.procs").write_text("12\n13\n")
    (tmp_path / "p/c/below/cgroup.procs").write_text("14\n")
    (tmp_path / "p/c/memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    (tmp_path / "p/c/cgroup.events").write_text("populated 1\nfrozen 1\n")
    assert sorted(cgroup.pids(layout, "/p/c")) == [12, 13, 14]
    assert cgroup.oom_kills(layout, "/p/c") == 2 and cgroup.frozen(layout, "/p/c")
    cgroup.set_frozen(layout, "/p/c", False)
    assert (tmp_path / "p/c/cgroup.freeze").read_text() == "0"
    assert cgroup.pids(layout, "/gone") == [] and cgroup.oom_kills(layout, "/gone") == 0
    for file in ("cgroup.procs", "below/cgroup.procs", "memory.events", "cgroup.events", "cgroup.freeze"):
        os.unlink(tmp_path / "p/c" / file)
    cgroup.remove(layout, "/p/c")
    assert not cgroup.exists(layout, "/p/c") and cgroup.exists(layout, "/p")
    cgroup.remove(layout, "/p/c")


def test_number_sets():
    assert host.number_set("0-2,5") == {0, 1, 2, 5} and host.number_set("") == frozenset()
    for text in ("a", "1-", "-1", "2-1", "0-99999999999", "1,,2", "٣"):
        with pytest.raises(ValueError, match="not a list"):
            host.number_set(text)


def test_this_host_is_detected():
    found = host.detect()
    assert found.kernel_version >= (3, 0) and found.cpus >= 1 and found.memory_total > 0
    assert found.cgroups.version in ("v1", "hybrid", "v2")
    assert "nofile" in found.rlimits and "CAP_CHOWN" in found.bounding | {"CAP_CHOWN"}
