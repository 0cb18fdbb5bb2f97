"""``python -m tests.guest.powercut loop|guest [ROUNDS [SEED]]``: cut the power of a machine at work, look, and again.

The daemon's data lies on an ext4 file system on a disk that forgets what was not flushed (``tests.guest.volatile``).
``guest`` is a real machine, qemu killed by SIGKILL and booted anew. ``loop`` is this machine: the disk comes through
FUSE and a loop device, its end takes the file system away with all that was not on the disk, and processes are killed;
the kernel goes on, so a round takes seconds. Needs root, qemu and mke2fs.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from typing import IO, Any

from tests.guest import agent, image, machine
from tests.guest.volatile import VolatileDisk
from tests.support.daemon import REPOSITORY
from tests.support.sweep import sweep

SIZE = 1 << 30


@dataclass
class Ledger:
    """What was acknowledged, and what was begun: object -> value."""

    known: dict[str, Any] = field(default_factory=dict)
    begun: dict[str, Any] = field(default_factory=dict)
    sums: dict[str, str] = field(default_factory=dict)
    acknowledged: int = 0

    def compare(self, state: dict[str, Any]) -> list[str]:
        """What is wrong with the state after the cut; it is the ground of the next round."""
        found, wrong = state["objects"], list(state["wrong"])
        for key in sorted(self.known.keys() | self.begun.keys() | found.keys()):
            allowed = [self.known.get(key)]
            if key in self.begun:
                allowed.append(self.begun[key])
            value = found.get(key)
            if value not in allowed and not (agent.UNKNOWN in allowed and value is not None):
                wrong.append(f"{key} is {value} and not one of {allowed}")
        for layer, digest in state["sums"].items():
            if self.sums.get(layer, digest) != digest:
                wrong.append(f"layer {layer} has other content than before")
        self.known, self.begun, self.sums = found, {}, state["sums"]
        return wrong

    def take(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "TRY":
            self.begun = json.loads(rest)
        elif word == "ACK":
            changes = json.loads(rest)
            self.known.update(changes)
            self.known = {key: value for key, value in self.known.items() if value is not None}
            self.begun = {}
            self.acknowledged += 1
        elif word == "SUMS":
            self.sums.update(json.loads(rest))


class LoopMachine:
    """This machine; see the module."""

    PATIENCE = 300.0
    WORK = (1.0, 9.0)

    def __init__(self, place: str, socket: str, seed: int) -> None:
        self.place = place
        self.base: list[str] = []
        self.disk = f"{place}/disk"
        open(self.disk, "w").close()
        node = f"driver=nbd,node-name=net,server.type=unix,server.path={socket}"
        export = f"type=fuse,id=disk,node-name=net,mountpoint={self.disk},writable=on"
        self.storage = subprocess.Popen(["qemu-storage-daemon", "--blockdev", node, "--export", export])
        while not os.path.ismount(self.disk):
            assert self.storage.poll() is None, "no disk through FUSE here"
            time.sleep(0.02)
        loop = subprocess.run(["losetup", "-f", "--show", self.disk], check=True, capture_output=True, text=True)
        self.device = loop.stdout.strip()
        environment = dict(os.environ, PYTHONPATH=REPOSITORY)
        command = [sys.executable, "-m", "tests.guest.agent", self.device, str(seed)]
        self.process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.output: IO[str] | None = self.process.stdout

    def kill(self) -> None:
        """After the disk's end: nothing that runs here goes on, nothing that is in memory gets to the disk."""
        self.process.kill()
        self.process.wait()
        if self.base:
            sweep(self.base[0], self.base[1])
        subprocess.run(["losetup", "-d", self.device], check=False)
        self.storage.kill()
        self.storage.wait()
        subprocess.run(["umount", "-l", self.disk], check=False, capture_output=True)


class GuestMachine:
    """A real one."""

    PATIENCE = 1200.0
    WORK = (5.0, 60.0)

    def __init__(self, place: str, socket: str, seed: int) -> None:
        self.base: list[str] = []
        command = f"python3 -m tests.guest.agent /dev/vdc {seed}"
        drive = f"driver=nbd,server.type=unix,server.path={socket},if=virtio"
        arguments = machine.arguments(image.system(), image.project(command), place, machine.ALONE)
        self.process = subprocess.Popen(
            [*arguments, "-drive", drive],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ, TMPDIR=place),
        )
        self.output: IO[str] | None = self.process.stdout

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


MACHINES = {"loop": LoopMachine, "guest": GuestMachine}


def missing(kind: str) -> str:
    """Why there can be no such machine here; "" when there can."""
    if os.geteuid() != 0:
        return "cutting the power needs root"
    if kind == "guest":
        return image.missing()
    for name in ("qemu-storage-daemon", "mke2fs", "losetup"):
        if shutil.which(name) is None:
            return f"{name} is not installed"
    return "" if os.path.exists("/dev/fuse") else "there is no FUSE"


def cuts(kind: str, rounds: int, seed: int) -> list[str]:
    """So many times: start, look whether all is well, work for a while, cut. What was wrong, in words."""
    chance = random.Random(seed)
    ledger = Ledger()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="powercut-") as place:
        disk = f"{place}/blocks"
        with open(disk, "wb") as file:
            file.truncate(SIZE)
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", disk], check=True, stdout=subprocess.DEVNULL)
        for number in range(rounds + 1):
            wrong += [f"round {number}: {text}" for text in one(kind, place, disk, ledger, chance, number == rounds)]
            print(f"round {number}: {ledger.acknowledged} acknowledged so far, {len(wrong)} wrong", flush=True)
            if wrong:
                break
    return wrong


def one(kind: str, place: str, disk: str, ledger: Ledger, chance: random.Random, last: bool) -> list[str]:
    """A boot, what is there, and unless it is the *last* the work and its end."""
    volatile = VolatileDisk(disk, f"{place}/nbd")
    running = MACHINES[kind](place, f"{place}/nbd", chance.randrange(1 << 30))
    watchdog = threading.Timer(running.PATIENCE, running.process.kill)
    watchdog.start()
    wrong: list[str] = []
    cut: threading.Timer | None = None
    assert running.output is not None
    try:
        for line in running.output:
            word, _, rest = line.rstrip("\n").partition(" ")
            if word == "BASE":
                running.base = rest.split()
            elif word == "STATE":
                wrong = ledger.compare(json.loads(rest))
                watchdog.cancel()
                if wrong or last:
                    break
                cut = threading.Timer(chance.uniform(*running.WORK), cut_now, [volatile, chance, running])
                cut.start()
            elif word == "FAILED" and not volatile.dead:
                wrong.append(rest)
                break
            elif not volatile.dead:
                ledger.take(line)
        else:
            if cut is None:
                wrong.append("the machine ended before it was up")
    finally:
        watchdog.cancel()
        if cut is not None:
            cut.cancel()
            cut.join()
        if not volatile.dead:
            volatile.cut(chance)
        running.kill()
    return wrong


def cut_now(volatile: VolatileDisk, chance: random.Random, running: LoopMachine | GuestMachine) -> None:
    total, lost = volatile.cut(chance)
    running.process.kill()
    print(f"cut: {total} blocks not flushed, {lost} of them lost", flush=True)


def main(arguments: list[str]) -> int:
    kind, rounds, seed = arguments[0], int([*arguments, "12"][1]), int([*arguments, "", str(time.time_ns())][2])
    print(f"{kind}, seed {seed}", flush=True)
    if reason := missing(kind):
        print(f"skipped: {reason}")
        return 0
    wrong = cuts(kind, rounds, seed)
    print("\n".join(wrong) or "nothing was lost and nothing is damaged")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
