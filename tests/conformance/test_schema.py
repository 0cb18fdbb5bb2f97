"""Answers against the published schema: every JSON answer has the fields and types that the Engine API describes."""

import time

import pytest

from tests.support import schema
from tests.support.busybox import IMAGE
from tests.support.http import Api
from tests.support.stock import Docker

pytestmark = [
    pytest.mark.skipif(not schema.PATH, reason="the API's description does not lie beside the repository"),
    pytest.mark.since("1.50"),  # the description is that of a new version
]

UNDESCRIBED = {
    "GraphDriver", "Storage",  # which of them is there depends on the store
    "ExitCode",  # null while an exec has not ended
    "MemorySwappiness",  # null when it was not set, also with Docker
    "LayersSize", "Images", "Containers", "Volumes", "BuildCache",  # /system/df keeps them for older clients
}  # fmt: skip


def check(api: Api, path: str, shown: str, query: dict | None = None) -> None:
    answer = api("GET", shown, query=query)
    assert answer.status == 200, answer.body
    found = schema.answer_faults("GET", path, 200, answer.json())
    assert not [text for text in found if text.partition(":")[0].rpartition(".")[2] not in UNDESCRIBED]


@pytest.fixture
def box(docker: Docker) -> str:
    options = ("-p", "127.0.0.1::80", "-v", "schema:/data", "--tmpfs", "/t", "-m", "64m", "--health-cmd", "true")
    docker("run", "-d", "--name", "box", "-l", "a=b", *options, IMAGE, "sleep", "60")
    yield "box"
    docker("rm", "-f", "box")
    docker("volume", "rm", "schema")


@pytest.mark.parametrize(
    ("path", "shown", "query"),
    [
        ("/containers/json", "/containers/json", {"all": 1, "size": 1}),
        ("/containers/{id}/json", "/containers/box/json", {"size": 1}),
        ("/containers/{id}/top", "/containers/box/top", None),
        ("/containers/{id}/changes", "/containers/box/changes", None),
        ("/containers/{id}/stats", "/containers/box/stats", {"stream": 0, "one-shot": 1}),
        ("/images/json", "/images/json", {"shared-size": 1, "manifests": 1}),
        ("/images/{name}/json", "/images/busybox/json", None),
        ("/images/{name}/history", "/images/busybox/history", None),
        ("/volumes", "/volumes", None),
        ("/volumes/{name}", "/volumes/schema", None),
        ("/networks", "/networks", None),
        ("/networks/{id}", "/networks/bridge", None),
        ("/info", "/info", None),
        ("/version", "/version", None),
        ("/system/df", "/system/df", None),
    ],
)
@pytest.mark.usefixtures("box")
def test_answer(api: Api, path: str, shown: str, query: dict | None) -> None:
    check(api, path, shown, query)


@pytest.mark.usefixtures("box")
def test_exec(api: Api) -> None:
    created = api("POST", "/containers/box/exec", {"Cmd": ["true"]})
    assert not schema.answer_faults("POST", "/containers/{id}/exec", 201, created.json())
    check(api, "/exec/{id}/json", f"/exec/{created.json()['Id']}/json")


def test_created_container(api: Api) -> None:
    created = api("POST", "/containers/create", {"Image": IMAGE})
    assert not schema.answer_faults("POST", "/containers/create", 201, created.json())
    check(api, "/containers/{id}/json", f"/containers/{created.json()['Id']}/json")


def test_stopped_container(api: Api, docker: Docker) -> None:
    identifier = docker("run", "-d", IMAGE, "true")
    docker("wait", identifier)
    check(api, "/containers/{id}/json", f"/containers/{identifier}/json")


def test_error(api: Api) -> None:
    answer = api("GET", "/containers/nobody/json")
    assert not schema.faults({"$ref": "#/definitions/ErrorResponse"}, answer.json())


def test_events(api: Api, docker: Docker) -> None:
    docker("create", IMAGE)
    events = list(api.lines("/v1.52/events", {"since": 1, "until": time.time()}))
    assert events
    for event in events:
        assert not schema.faults({"$ref": "#/definitions/EventMessage"}, event)
