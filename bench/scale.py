"""Figures of a thousand running containers: the list, the CLI's own ps, a new daemon taking them up."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from bench.containers import SLEEPER, corten, request
from bench.engines import Engine
from bench.group import NO_WISH, Figure, Group, lap, under
from tests.support.http import UnixConnection
from tests.support.stock import Docker

RUNNING = 1000
CLIENTS = 4
BODY = {**SLEEPER, "HostConfig": {"NetworkMode": "none"}}
"""The default network of an engine under test has 253 addresses."""


def a_thousand(engine: Engine) -> None:
    def start(number: int) -> None:
        created = engine.api("POST", "/containers/create", BODY, query={"name": f"scale{number}"})
        assert created.status == 201, created.body
        assert engine.api("POST", f"/containers/scale{number}/start").status == 204

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(start, range(RUNNING)))


def look(engine: Engine) -> list[float]:
    own = Docker(engine.url, corten()[0])
    try:
        engine.stop()
        with lap() as ready:
            engine.start()
        with closing(UnixConnection(engine.socket, 60)) as connection:
            with lap() as first:
                request(connection, "GET", "/containers/json")
            with lap() as listed:
                assert request(connection, "GET", "/containers/json").count(b'"Id":') == RUNNING
        with lap() as ps:
            own("ps")
        return [listed.milliseconds, first.milliseconds, ps.milliseconds, ready.seconds]
    finally:
        own.close()


GROUPS = (
    Group(
        "scale",
        (
            Figure("list of 1,000 running", "API", "ms", under(30, "ms")),
            Figure("the first one of a new daemon", "API", "ms", NO_WISH),
            Figure("corten ps of them", "CLI", "ms", NO_WISH),
            Figure("ready with 1,000 running", "-", "s", under(5, "s")),
        ),
        look,
        prepare=a_thousand,
        repetitions=5,
        quick=1,
        engines=("cortend",),
    ),
)
