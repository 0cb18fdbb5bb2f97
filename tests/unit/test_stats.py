"""Counters read from files as the kernel writes them, and the sampler's promise not to keep anybody waiting."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

import msgspec
import pytest
from msgspec import UNSET
from msgspec.structs import replace

from corten.engine import stats as engine_stats
from corten.engine.stats import Stats
from corten.linux.cgroup import CgroupLayout
from corten.model.container import HostConfig
from corten.model.record import Record, RunState
from corten.model.stats import BlkioEntry
from corten.runtime import stats
from tests.support.hosts import host

MEMORY_STAT = "anon 1000\nfile 2000\ninactive_file 300\n"


@pytest.fixture
def v2(tmp_path):
    group = tmp_path / "corten/abc"
    group.mkdir(parents=True)
    files = {
        "cpu.stat": "usage_usec 5000\nuser_usec 3000\nsystem_usec 2000\n"
        "nr_periods 7\nnr_throttled 2\nthrottled_usec 9\n",
        "memory.current": "4096\n",
        "memory.max": "max\n",
        "memory.stat": MEMORY_STAT,
        "pids.current": "3\n",
        "pids.max": "max\n",
        "io.stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n254:1 \n",
    }
    for name, text in files.items():
        (group / name).write_text(text)
    return host(cgroups=CgroupLayout("v2", {}, str(tmp_path), frozenset(("cpu", "memory", "pids", "io"))))


@pytest.fixture
def v1(tmp_path):
    files = {
        "cpuacct/cpuacct.usage": "5000000\n",
        "cpuacct/cpuacct.usage_percpu": "2000000 3000000 \n",
        "cpuacct/cpuacct.usage_sys": "2000000\n",
        "cpuacct/cpuacct.usage_user": "3000000\n",
        "cpu/cpu.stat": "nr_periods 7\nnr_throttled 2\nthrottled_time 9000\n",
        "memory/memory.usage_in_bytes": "4096\n",
        "memory/memory.max_usage_in_bytes": "8192\n",
        "memory/memory.limit_in_bytes": "1048576\n",
        "memory/memory.failcnt": "1\n",
        "memory/memory.stat": MEMORY_STAT,
        "pids/pids.current": "3\n",
        "pids/pids.max": "max\n",
        "blkio/blkio.throttle.io_service_bytes_recursive": "8:0 Read 10\n8:0 Write 20\nTotal 30\n",
        "blkio/blkio.bfq.io_service_bytes_recursive": "Total 0\n",
    }
    for name, text in files.items():
        controller, file = name.split("/")
        directory = tmp_path / controller / "corten/abc"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / file).write_text(text)
    mounts = {name: str(tmp_path / name) for name in ("cpu", "cpuacct", "memory", "pids", "blkio")}
    return host(cgroups=CgroupLayout("v1", mounts, "", frozenset()))


def test_v2_sample(v2):
    sample = stats.Reader(v2).sample("/corten/abc", os.getpid())
    usage = sample.cpu_stats.cpu_usage
    assert (usage.total_usage, usage.usage_in_usermode, usage.usage_in_kernelmode) == (5_000_000, 3_000_000, 2_000_000)
    assert usage.percpu_usage is UNSET
    assert msgspec.structs.astuple(sample.cpu_stats.throttling_data) == (7, 2, 9000)
    assert sample.cpu_stats.online_cpus == 4 and sample.cpu_stats.system_cpu_usage > 0
    memory = sample.memory_stats
    assert (memory.usage, memory.limit, memory.max_usage) == (4096, 8 << 30, UNSET)
    assert memory.stats == {"anon": 1000, "file": 2000, "inactive_file": 300}
    assert (sample.pids_stats.current, sample.pids_stats.limit) == (3, (1 << 64) - 1)
    assert sample.blkio_stats.io_service_bytes_recursive == [
        BlkioEntry(major=8, minor=0, op="read", value=10),
        BlkioEntry(major=8, minor=0, op="write", value=20),
    ]
    assert sample.blkio_stats.io_serviced_recursive is None


def test_v1_sample(v1):
    sample = stats.Reader(v1).sample("/corten/abc", 0)
    usage = sample.cpu_stats.cpu_usage
    assert (usage.total_usage, usage.percpu_usage) == (5_000_000, [2_000_000, 3_000_000])
    assert (usage.usage_in_usermode, usage.usage_in_kernelmode) == (3_000_000, 2_000_000)
    memory = sample.memory_stats
    assert (memory.usage, memory.max_usage, memory.limit, memory.failcnt) == (4096, 8192, 1 << 20, 1)
    assert (sample.pids_stats.current, sample.pids_stats.limit) == (3, UNSET)
    assert [entry.op for entry in sample.blkio_stats.io_service_bytes_recursive] == ["Read", "Write"]
    assert sample.networks is UNSET


def test_written_keys_are_the_apis(v1):
    sample = stats.Reader(v1).sample("/corten/abc", 0)
    document = msgspec.json.decode(msgspec.json.encode(sample))
    assert set(document) >= {
        "read",
        "preread",
        "cpu_stats",
        "precpu_stats",
        "memory_stats",
        "pids_stats",
        "blkio_stats",
    }
    assert "networks" not in document and document["num_procs"] == 0 and document["storage_stats"] == {}
    assert document["precpu_stats"] == {
        "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    }


def test_a_container_that_is_gone_reads_as_nothing(v2):
    sample = stats.Reader(v2).sample("/corten/gone", 1 << 30)
    assert sample.cpu_stats.cpu_usage.total_usage == 0 and sample.networks is UNSET


def test_proc_stat():
    text = "cpu  1 2 3 4 5 6 7 800 900 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n"
    assert stats.system_cpu(text) == 28 * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))


class FakeContainer:
    def __init__(self, **state):
        self.record = Record(id="abc", name="web", created=1, state=RunState(**state))


def run(v2, job):
    async def main():
        with ThreadPoolExecutor(1) as pool:
            container = FakeContainer(status="running", pid=os.getpid(), started_at=5)
            service = Stats(v2, pool, lambda: [container])
            try:
                return await asyncio.wait_for(job(service, container), 20)
            finally:
                await service.close()

    return asyncio.run(main())


def test_once_has_a_predecessor_and_one_shot_has_none(v2):
    async def job(service, container):
        return await service.once(container), await service.once(container, one_shot=True)

    full, bare = run(v2, job)
    assert full.id == "abc" and full.name == "web"
    assert 0 < full.preread < full.read and full.precpu_stats.cpu_usage.total_usage == 5_000_000
    assert bare.read and bare.preread == 0 and bare.precpu_stats.system_cpu_usage is UNSET


def test_later_questions_do_not_wait(v2, monkeypatch):
    async def job(service, container):
        await service.once(container)
        waits = []

        async def sleep(seconds):
            waits.append(seconds)

        await asyncio.sleep(0.15)
        monkeypatch.setattr(engine_stats.asyncio, "sleep", sleep)
        sample = await service.once(container)
        monkeypatch.undo()
        return sample, [wait for wait in waits if wait != engine_stats.INTERVAL]

    sample, waits = run(v2, job)
    assert sample.preread and waits == []


def test_the_idle_container_is_sampled_too(v2, monkeypatch):
    monkeypatch.setattr(engine_stats, "INTERVAL", 0.05)
    monkeypatch.setattr(engine_stats, "IDLE_INTERVAL", 0.05)

    async def job(service, container):
        await service.once(FakeContainer(status="exited"), one_shot=True)  # wakes the sampler
        for _ in range(200):
            if service._traces.get("abc") and service._traces["abc"].newest:
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.12)
        return await service._sample(container)

    assert run(v2, job).preread > 0


def test_a_stopped_container_has_empty_statistics(v2):
    async def job(service, container):
        return await service.once(FakeContainer(status="exited"))

    stats_of_stopped = run(v2, job)
    assert (stats_of_stopped.id, stats_of_stopped.name, stats_of_stopped.read) == ("abc", "web", 0)


def test_counters_of_another_run_are_no_predecessor(v2):
    async def job(service, container):
        await service.once(container)
        container.record = replace(container.record, state=replace(container.record.state, started_at=6))
        return await service.once(container, one_shot=True), await service._sample(container)

    _, second = run(v2, job)
    assert second.preread == 0


def test_stream_until_removed(v2, monkeypatch):
    monkeypatch.setattr(engine_stats, "INTERVAL", 0.12)

    async def job(service, container):
        seen = []
        async with aclosing(service.stream(container)) as samples:
            async for sample in samples:
                seen.append(sample)
                if len(seen) == 2:
                    container.record = replace(container.record, state=RunState(status="exited"))
                if len(seen) == 3:
                    container.record = replace(container.record, state=RunState(status="removing"))
        return seen

    first, second, stopped = run(v2, job)
    assert first.read and second.preread == first.read and stopped.read == 0


def test_host_network_has_no_counters(v2):
    async def job(service, container):
        container.record = replace(container.record, host_config=HostConfig(network_mode="host"))
        return await service.once(container, one_shot=True)

    assert run(v2, job).networks is UNSET
