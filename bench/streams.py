"""Figures of bytes: 200 MB of lines through the log and back, a big image in and out."""

import os
import subprocess

from bench import images
from bench.engines import Engine
from bench.group import Figure, Group, lap, times_faster, times_faster_than_best
from tests.support.stock import Docker

LINE = "x" * 99
"""With its end 100 bytes; two million of them."""
LINES = 2_000_000


def to_nowhere(docker: Docker, *arguments: str) -> None:
    subprocess.run(["docker", *arguments], env=docker.environment, check=True, stdout=subprocess.DEVNULL)


def flood(engine: Engine) -> list[float]:
    with lap() as written:
        identifier = engine.docker("run", "-d", "busybox:latest", "sh", "-c", f"yes {LINE} | head -n {LINES}")
        assert engine.docker("wait", identifier, timeout=120) == "0"
    with lap() as read:
        to_nowhere(engine.docker, "logs", identifier)
    engine.settle()
    return [written.seconds, read.seconds]


def archive(engine: Engine) -> str:
    return f"{engine.base}/big.tar"


def make_archive(engine: Engine) -> None:
    images.big(archive(engine))
    os.sync()


def in_and_out(engine: Engine) -> list[float]:
    with lap() as loaded:
        engine.docker("load", "-i", archive(engine), timeout=300)
    os.sync()
    with lap() as saved:
        to_nowhere(engine.docker, "save", "-o", f"{engine.base}/saved.tar", "big:latest")
    os.unlink(f"{engine.base}/saved.tar")
    engine.docker("rmi", "-f", "big:latest")
    os.sync()
    return [loaded.seconds, saved.seconds]


def drop_archive(engine: Engine) -> None:
    os.unlink(archive(engine))


GROUPS = (
    Group(
        "logs",
        (
            Figure("200 MB of lines to stdout", "stock CLI", "s", times_faster(1, "podman")),
            Figure("logs of them", "stock CLI", "s", times_faster_than_best(5)),
        ),
        flood,
        repetitions=3,
        quick=1,
    ),
    Group(
        "image",
        (
            Figure("load of 630 MB, 8 layers, 4,800 files", "stock CLI", "s", times_faster_than_best(2)),
            Figure("save of it", "stock CLI", "s", times_faster(1, "podman")),
        ),
        in_and_out,
        prepare=make_archive,
        finish=drop_archive,
        repetitions=3,
        quick=1,
    ),
)
