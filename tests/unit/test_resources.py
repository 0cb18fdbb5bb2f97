import pytest

from corten.errors import InvalidArgument
from corten.model.container import HostConfig, RestartPolicy, ThrottleDevice, Ulimit
from corten.runtime import limits, resources
from tests.support.hosts import ALL_LIMITS, host


def test_nothing_asked_nothing_set():
    assert resources.oci(HostConfig()) == {}


def test_everything():
    config = HostConfig(
        memory=64 << 20,
        memory_reservation=32 << 20,
        memory_swappiness=10,
        oom_kill_disable=True,
        nano_cpus=1_500_000_000,
        cpu_shares=512,
        cpuset_cpus="0-1",
        cpuset_mems="0",
        pids_limit=100,
        blkio_weight=300,
        blkio_device_read_bps=[ThrottleDevice(path="/dev/zero", rate=1024)],
    )
    assert resources.oci(config) == {
        "memory": {
            "limit": 64 << 20,
            "reservation": 32 << 20,
            "swap": 128 << 20,
            "swappiness": 10,
            "disableOOMKiller": True,
        },
        "cpu": {"shares": 512, "period": 100_000, "quota": 150_000, "cpus": "0-1", "mems": "0"},
        "blockIO": {"weight": 300, "throttleReadBpsDevice": [{"major": 1, "minor": 5, "rate": 1024}]},
        "pids": {"limit": 100},
    }


@pytest.mark.parametrize(
    ("memory", "swap", "expected"), [(100, 0, 200), (100, 150, 150), (100, -1, -1), (0, 0, None), (0, -1, -1)]
)
def test_swap(memory, swap, expected):
    got = resources.oci(HostConfig(memory=memory, memory_swap=swap)).get("memory", {}).get("swap")
    assert got == expected


def test_hosts_without_swap_accounting():
    assert resources.oci(HostConfig(memory=100), swap=False) == {"memory": {"limit": 100}}


def test_unlimited_pids():
    assert resources.oci(HostConfig(pids_limit=0)) == {"pids": {"limit": 4194304}}
    assert resources.oci(HostConfig(pids_limit=-1)) == {"pids": {"limit": 4194304}}


def test_fit_discards_with_dockers_words():
    config = HostConfig(memory=64 << 20, memory_swappiness=5, blkio_weight=100, pids_limit=5)
    fitted, warnings = resources.fit(config, host(limits=ALL_LIMITS - {"swappiness", "blkio_weight"}))
    assert fitted.memory_swappiness is None and fitted.blkio_weight == 0 and fitted.pids_limit == 5
    assert warnings == [
        "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. "
        "Memory swappiness discarded.",
        "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
    ]
    assert resources.fit(config, host()) == (config, [])


def test_update_merges_only_what_is_sent():
    old = HostConfig(memory=64 << 20, memory_swap=128 << 20, cpu_shares=100, restart_policy=RestartPolicy(name="no"))
    new = resources.update(old, HostConfig(memory=32 << 20, pids_limit=7))
    assert (new.memory, new.memory_swap, new.cpu_shares, new.pids_limit) == (32 << 20, 128 << 20, 100, 7)
    assert new.restart_policy == RestartPolicy(name="no")
    assert resources.update(old, HostConfig()) == old


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (HostConfig(cpu_period=1000), HostConfig(nano_cpus=1), "CPU Period has already been set"),
        (HostConfig(nano_cpus=1), HostConfig(cpu_quota=1000), "NanoCPUs has already been set"),
        (HostConfig(memory=10, memory_swap=20), HostConfig(memory=30), "Memory limit should be smaller"),
        (
            HostConfig(auto_remove=True),
            HostConfig(restart_policy=RestartPolicy(name="always")),
            "AutoRemove is enabled",
        ),
    ],
)
def test_update_conflicts(old, new, text):
    with pytest.raises(InvalidArgument, match=text):
        resources.update(old, new)


def test_ulimits():
    wanted = [Ulimit(name="nofile", soft=2048, hard=1 << 20), Ulimit(name="core", soft=-1, hard=-1)]
    got, warnings = limits.rlimits(wanted, {"nproc": (5, 6)}, host())
    assert {entry["type"]: (entry["soft"], entry["hard"]) for entry in got} == {
        "RLIMIT_NPROC": (5, 6),
        "RLIMIT_NOFILE": (2048, 1 << 20),
        "RLIMIT_CORE": ((1 << 64) - 1, (1 << 64) - 1),
    }
    assert warnings == []
    weak = host(bounding=frozenset())
    got, warnings = limits.rlimits(wanted, {}, weak)
    assert got[0] == {"type": "RLIMIT_NOFILE", "soft": 2048, "hard": 4096}
    assert len(warnings) == 1 and "nofile" in warnings[0]


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (Ulimit(name="files", soft=1, hard=1), "invalid ulimit type: files"),
        (Ulimit(name="nofile", soft=2, hard=1), "soft limit must be less than or equal to hard limit: 2 > 1"),
        (Ulimit(name="nofile", soft=-1, hard=1), "soft limit must be less"),
    ],
)
def test_bad_ulimits(limit, text):
    with pytest.raises(InvalidArgument, match=text):
        limits.check([limit])
