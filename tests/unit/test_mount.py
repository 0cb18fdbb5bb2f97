"""How mounts find out what the kernel can do."""

import errno
import os

import pytest

from corten.linux import mount

KERNELS = {
    "before 6.5": (None, False),
    "without lowerdir+": ({"source", "lowerdir"}, False),
    "with lowerdir+": ({"source", "lowerdir", "lowerdir+"}, True),
}


@pytest.mark.parametrize("name", KERNELS)
def test_single_lower_directories(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Old kernels collect every option, known or not; None stands for that."""
    known, answer = KERNELS[name]

    def fsconfig_string(fd: int, key: str, value: str) -> None:
        if known is not None and key not in known:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), key)

    monkeypatch.setattr(mount, "fsopen", lambda kind: os.open("/dev/null", os.O_RDONLY))
    monkeypatch.setattr(mount, "fsconfig_string", fsconfig_string)
    assert mount.takes_single_lowers.__wrapped__() is answer
