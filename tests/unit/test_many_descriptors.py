"""Descriptors above 1023, which select(2) does not know: a daemon with 340 containers has them."""

import fcntl
import os
import resource
from collections.abc import Iterator

import pytest

from corten.engine.rootview import process_root
from corten.runtime import conmon

HIGH = 1100


@pytest.fixture
def crowded() -> Iterator[None]:
    """Every descriptor below HIGH is taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < HIGH + 100:
        pytest.skip(f"this host allows {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, HIGH + 100), hard))
    taken = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)]
    while taken[-1] < HIGH:
        taken.append(fcntl.fcntl(taken[0], fcntl.F_DUPFD_CLOEXEC, 3))
    yield
    for descriptor in taken:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_monitor_answers(crowded: None) -> None:
    reader, writer = os.pipe()
    assert reader > 1023
    try:
        os.write(writer, b'{"data": 17}\n')
        assert conmon._read_sync(reader) == (17, "")
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.skipif(os.geteuid() != 0, reason="opens another process's root")
def test_the_root_of_a_process(crowded: None) -> None:
    with open("/proc/self/cgroup") as file:
        mark = file.read()[:1]
    root = process_root(os.getpid(), mark)
    assert root > 1023
    os.close(root)
