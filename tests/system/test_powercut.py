"""The power is cut amid a stream of changes: nothing that was acknowledged is lost, nothing that is there is damaged.

``make soak`` does it, on this machine and in a guest that is killed; a normal run only tries the disk that forgets.
``CORTEN_POWERCUTS="loop=20 guest=12"`` says how often.
"""

import os
import random
import socket
import struct

import pytest

from tests.guest import powercut
from tests.guest.volatile import BLOCK, VolatileDisk

ROUNDS = dict(word.split("=") for word in os.environ.get("CORTEN_POWERCUTS", "").split())


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", powercut.MACHINES)
def test_what_was_acknowledged_is_there_after_a_power_cut(kind: str) -> None:
    if kind not in ROUNDS:
        pytest.skip("takes minutes: make soak")
    if reason := powercut.missing(kind):
        pytest.skip(reason)
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    wrong = powercut.cuts(kind, int(ROUNDS[kind]), seed)
    assert not wrong, "\n".join(wrong)


class Client:
    """Just enough of NBD."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(address)
        self.take(18)
        self.socket.sendall(struct.pack(">I8sII", 1, b"IHAVEOPT", 1, 0))
        self.take(134)

    def take(self, length: int) -> bytes:
        return self.socket.recv(length, socket.MSG_WAITALL)

    def ask(self, kind: int, offset: int = 0, length: int = 0, data: bytes = b"", flags: int = 0) -> bytes:
        self.socket.sendall(struct.pack(">IHH8sQI", 0x25609513, flags, kind, b"handle--", offset, length) + data)
        assert self.take(16) == struct.pack(">II8s", 0x67446698, 0, b"handle--")
        return self.take(length) if kind == 0 else b""

    def write(self, block: int, text: bytes, flags: int = 0) -> None:
        self.ask(1, block * BLOCK, BLOCK, text.ljust(BLOCK), flags)

    def read(self, block: int) -> bytes:
        return self.ask(0, block * BLOCK, BLOCK).strip()


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "blocks"
    path.write_bytes(b" " * (64 * BLOCK))
    return path


def contents(disk) -> list[bytes]:
    data = disk.read_bytes()
    return [data[start : start + BLOCK].strip() for start in range(0, len(data), BLOCK)]


def test_the_disk_keeps_what_was_flushed_and_loses_of_the_rest(disk, tmp_path) -> None:
    outcomes = set()
    for seed in range(40):
        disk.write_bytes(b" " * (64 * BLOCK))
        served = VolatileDisk(str(disk), str(tmp_path / f"nbd{seed}"))
        client = Client(served.address)
        client.write(0, b"flushed")
        client.ask(3)
        client.write(0, b"second")
        client.write(0, b"third")
        client.write(1, b"through", flags=1)
        for block in range(2, 10):
            client.write(block, b"cached")
        assert (client.read(0), client.read(1), client.read(5)) == (b"third", b"through", b"cached")
        unflushed, lost = served.cut(random.Random(seed))
        assert unflushed == 9 and lost <= 9
        left = contents(disk)
        assert left[1] == b"through"
        assert left[0] in (b"flushed", b"second", b"third")
        outcomes.add((left[0], left[2:10].count(b"cached")))
        client.socket.close()
    assert {first for first, _ in outcomes} == {b"flushed", b"second", b"third"}
    assert any(0 < count < 8 for _, count in outcomes), "the cut never goes through the midst"


def test_a_part_of_a_block_does_not_change_the_rest_of_it(disk, tmp_path) -> None:
    served = VolatileDisk(str(disk), str(tmp_path / "nbd"))
    client = Client(served.address)
    client.write(3, b"0123456789")
    client.ask(1, 3 * BLOCK + 2, 3, b"xyz")
    assert client.read(3) == b"01xyz56789"
    served.close()
    assert contents(disk)[3] == b"01xyz56789"
    client.socket.close()
