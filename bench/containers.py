"""Figures of containers: run, create, start, remove, exec, many at once, list, inspect, the CLI's own ps."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

from bench.engines import Engine
from bench.group import NO_WISH, Figure, Group, lap, times_faster, times_faster_than_best, under
from tests.support.http import Api, UnixConnection

SLEEPER = {"Image": "busybox:latest", "Cmd": ["sleep", "3600"]}
PARALLEL = 50
LISTED = 100


def request(connection: HTTPConnection, method: str, path: str, body: Any = None) -> bytes:
    answer = Api.send(connection, method, path, body, None, None)
    data = answer.read()
    assert answer.status < 300, data
    return data


def run(engine: Engine) -> list[float]:
    with lap() as taken:
        engine.docker("run", "--rm", "busybox:latest", "true")
    return [taken.milliseconds]


def life(engine: Engine) -> list[float]:
    with closing(UnixConnection(engine.socket, 60)) as connection:
        with lap() as created:
            identifier = json.loads(request(connection, "POST", "/containers/create", SLEEPER))["Id"]
        with lap() as started:
            request(connection, "POST", f"/containers/{identifier}/start")
        with lap() as removed:
            request(connection, "DELETE", f"/containers/{identifier}?force=1")
    return [created.milliseconds, started.milliseconds, removed.milliseconds]


def one_running(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "bench", "busybox:latest", "sleep", "3600")


def execute(engine: Engine) -> list[float]:
    with lap() as taken:
        engine.docker("exec", "bench", "true")
    return [taken.milliseconds]


def at_once(engine: Engine) -> list[float]:
    def create_and_start(_: int) -> None:
        created = engine.api("POST", "/containers/create", SLEEPER)
        assert created.status == 201, created.body
        started = engine.api("POST", f"/containers/{created.json()['Id']}/start")
        assert started.status == 204, started.body

    with lap() as taken, ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(create_and_start, range(PARALLEL)))
    engine.settle()
    return [taken.seconds]


def a_hundred(engine: Engine) -> None:
    for number in range(LISTED):
        created = engine.api("POST", "/containers/create", SLEEPER, query={"name": f"bench{number}"})
        assert created.status == 201, created.body
    for number in range(10):
        assert engine.api("POST", f"/containers/bench{number}/start").status == 204


def look(engine: Engine) -> list[float]:
    with closing(UnixConnection(engine.socket, 60)) as connection:
        request(connection, "GET", "/containers/json?all=1")
        with lap() as listed:
            request(connection, "GET", "/containers/json?all=1")
        with lap() as inspected:
            request(connection, "GET", "/containers/bench5/json")
    return [listed.milliseconds, inspected.milliseconds]


def own_ps(engine: Engine) -> list[float]:
    with lap() as stock:
        engine.docker("ps")
    with lap() as own:
        subprocess.run(corten("ps"), env=engine.docker.environment, check=True, capture_output=True)
    return [own.milliseconds, stock.milliseconds, own.milliseconds / stock.milliseconds]


def corten(*arguments: str) -> list[str]:
    """The installed command beside this interpreter."""
    return [f"{sys.prefix}/bin/corten", *arguments]


GROUPS = (
    Group("run", (Figure("run --rm busybox true", "stock CLI", "ms", times_faster(5)),), run),
    Group(
        "life",
        (
            Figure("create", "API", "ms", times_faster_than_best(1)),
            Figure("start", "API", "ms", times_faster(5)),
            Figure("rm -f of a running one", "API", "ms", times_faster(5)),
        ),
        life,
    ),
    Group("exec", (Figure("exec true", "stock CLI", "ms", times_faster(2.5)),), execute, prepare=one_running),
    Group(
        "parallel",
        (Figure("50 create+start at once", "API", "s", times_faster_than_best(4)),),
        at_once,
        repetitions=3,
        quick=1,
    ),
    Group(
        "list",
        (
            Figure("list of 100", "API", "ms", under(8, "ms")),
            Figure("inspect", "API", "ms", under(1, "ms")),
        ),
        look,
        prepare=a_hundred,
        repetitions=15,
    ),
    Group(
        "ps",
        (
            Figure("corten ps", "CLI", "ms", NO_WISH),
            Figure("docker ps", "CLI", "ms", NO_WISH),
            Figure("corten ps against docker ps", "CLI", "times", under(3, "times")),
        ),
        own_ps,
        prepare=one_running,
        engines=("cortend",),
    ),
)
