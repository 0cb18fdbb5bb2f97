"""Figures of registries: images that come from one on this machine and go to another one.

The registry is Debian's docker-registry on loopback, the same data for all engines; what is pushed goes to one that
was empty a moment before, since nothing can be mounted or skipped there.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from bench import packed
from bench.engines import Engine, registry_ports
from bench.group import Figure, Group, lap, times_faster
from tests.support.registry import MISSING, Registry

SMALL = 100
PREPARED = os.path.join(os.path.dirname(os.path.dirname(__file__)), "build", "bench-registry")
"""The source's data: made once, used by every later run."""


def serve(port: int, data: str = "") -> Registry:
    """A running registry; its data go with it unless *data* says where they are to stay."""
    registry = Registry(
        more={
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"cache": {"blobdescriptor": "inmemory"}},
        }
    )
    registry.port, registry.host = port, f"127.0.0.1:{port}"
    registry.data = data or registry.data
    return registry.start()


class Source:
    """The registry with the prepared images, while an engine is measured."""

    def __init__(self) -> None:
        self.registry: Registry | None = None
        self.users = 0

    @property
    def host(self) -> str:
        assert self.registry is not None
        return self.registry.host

    def open(self) -> None:
        self.users += 1
        if self.registry is not None:
            return
        assert not MISSING, MISSING
        done = os.path.join(PREPARED, packed.VERSION)
        if not os.path.exists(done):
            shutil.rmtree(PREPARED, ignore_errors=True)
        self.registry = serve(registry_ports()[0], PREPARED)
        if not os.path.exists(done):
            packed.fill("127.0.0.1", self.registry.port, SMALL)
            os.mkdir(done)

    def close(self) -> None:
        self.users -= 1
        if not self.users and self.registry is not None:
            self.registry.close()
            self.registry = None


SOURCE = Source()


def prepare(engine: Engine) -> None:
    SOURCE.open()


def finish(engine: Engine) -> None:
    SOURCE.close()


@contextmanager
def pulled(engine: Engine, name: str) -> Iterator[float]:
    """The seconds that a pull took; afterwards the image is gone and the disk is quiet."""
    full = f"{SOURCE.host}/{name}"
    with lap() as taken:
        engine.docker("pull", "-q", full, timeout=300)
    os.sync()
    yield taken.seconds
    engine.docker("rmi", "-f", full)
    os.sync()


def transfers(engine: Engine) -> list[float]:
    with pulled(engine, "bench/eight:latest") as eight:
        push = pushed(engine, "bench/eight:latest")
    with pulled(engine, "bench/one:latest") as one:
        pass
    with pulled(engine, "bench/eight:latest"), pulled(engine, "bench/eight:next") as rest:
        pass
    return [eight, one, many(engine), push, rest]


def pushed(engine: Engine, name: str) -> float:
    target = serve(registry_ports()[1])
    try:
        there = f"{target.host}/{name}"
        engine.docker("tag", f"{SOURCE.host}/{name}", there)
        with lap() as taken:
            engine.docker("push", "-q", there, timeout=300)
        engine.docker("rmi", there)
    finally:
        target.close()
    os.sync()
    return taken.seconds


def many(engine: Engine) -> float:
    names = [f"{SOURCE.host}/bench/small{number}:latest" for number in range(SMALL)]
    with lap() as taken:
        for name in names:
            answer = engine.api("POST", "/images/create", query={"fromImage": name})
            assert answer.status == 200, answer.body
            assert b'"error"' not in answer.body, answer.body
    engine.docker("rmi", "-f", *names, timeout=300)
    os.sync()
    return taken.seconds


GROUPS = (
    Group(
        "registry",
        (
            Figure("pull of 500 MB in 8 layers", "stock CLI", "s", times_faster(2)),
            Figure("pull of 500 MB in one layer", "stock CLI", "s", times_faster(1)),
            Figure("pull of 100 small images", "API", "s", times_faster(1)),
            Figure("push of 500 MB in 8 layers", "stock CLI", "s", times_faster(2)),
            Figure("pull with 7 of 8 layers here", "stock CLI", "s", times_faster(1)),
        ),
        transfers,
        prepare=prepare,
        finish=finish,
        repetitions=3,
        quick=1,
    ),
)
