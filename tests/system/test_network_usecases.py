"""Use cases of networks over the real thing: refusals with Docker's texts, filters, members, events."""

import asyncio
import os
from collections.abc import Iterator

import msgspec
import pytest

from corten import errors
from corten.engine.networks import NetworkUseCases
from corten.model.container import EndpointSettings
from corten.network.networks import Networks
from corten.network.record import NetworkRequest
from tests.support import netlab
from tests.support.netlab import World, record

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


class Recorder:
    """In the events' place."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str]]] = []

    def emit(self, kind: str, action: str, actor_id: str, attributes: dict[str, str]) -> None:
        self.seen.append((kind, action, attributes))


class Case:
    def __init__(self, lab: World, networks: Networks) -> None:
        self.lab, self.networks, self.events = lab, networks, Recorder()
        self.records = {"c1": record(1), "c2": record(2, "host"), "c3": record(3, "none")}
        self.use = NetworkUseCases(networks, self.events, self.records.__getitem__)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Iterator[Case]:
    with netlab.world(str(tmp_path_factory.mktemp("lab"))) as lab:
        yield Case(lab, lab.networks())


def test_the_three_are_there_and_found(case: Case) -> None:
    assert [(each.name, each.driver) for each in case.use.list()] == [
        ("bridge", "bridge"),
        ("host", "host"),
        ("none", "null"),
    ]
    bridge = case.use.get("bridge")
    assert case.use.get(bridge.id) == case.use.get(bridge.id[:12]) == bridge
    with pytest.raises(errors.NotFound, match="network nobody not found"):
        case.use.get("nobody")


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"driver": ["null"]}, ["none"]),
        ({"name": ["o"]}, ["host", "none"]),
        ({"type": ["builtin"]}, ["bridge", "host", "none"]),
        ({"type": ["custom"]}, []),
        ({"scope": ["swarm"]}, []),
        ({"dangling": ["true"]}, []),
        ({"dangling": ["false"]}, ["bridge", "host", "none"]),
        ({"label": ["x"]}, []),
        ({"driver": ["bridge", "host"], "name": ["host"]}, ["host"]),
    ],
)
def test_filters(case: Case, filters: dict[str, list[str]], names: list[str]) -> None:
    assert [each.name for each in case.use.list(filters)] == names


@pytest.mark.parametrize("filters", [{"x": ["y"]}, {"type": ["z"]}, {"dangling": ["perhaps"]}])
def test_wrong_filters(case: Case, filters: dict[str, list[str]]) -> None:
    with pytest.raises(errors.InvalidArgument, match="invalid filter"):
        case.use.list(filters)


def test_members_and_events_of_a_running_container(case: Case) -> None:
    case.events.seen.clear()
    wanted = case.records["c1"]
    endpoint = case.lab.run(lambda: case.networks.attach(wanted.id, wanted)).endpoints["bridge"]
    (member,) = case.use.members(case.use.get("bridge"))
    assert (member.container_id, member.name, member.endpoint_id) == (wanted.id, "c1", endpoint.endpoint_id)
    assert member.ipv4 == f"{endpoint.ip_address}/24"
    with pytest.raises(errors.Forbidden, match="endpoint with name c1 already exists in network bridge"):
        asyncio.run(case.use.connect("bridge", "c1", EndpointSettings()))
    case.lab.run(lambda: case.networks.detach(wanted.id))
    assert list(case.use.members(case.use.get("bridge"))) == []
    attributes = {"container": wanted.id, "name": "bridge", "type": "bridge"}
    assert case.events.seen == [("network", "connect", attributes), ("network", "disconnect", attributes)]


def test_predefined_networks_stay(case: Case) -> None:
    for name in ("bridge", "host", "none"):
        with pytest.raises(errors.Forbidden, match=f"{name} is a pre-defined network and cannot be removed"):
            asyncio.run(case.use.remove(name))
        with pytest.raises(errors.Forbidden, match=f"operation is not permitted on predefined {name} network"):
            asyncio.run(case.use.create(NetworkRequest(name=name)))
    assert asyncio.run(case.use.prune({})) == []


def test_what_can_never_be_connected(case: Case) -> None:
    with pytest.raises(errors.InvalidArgument, match="host network"):
        asyncio.run(case.use.connect("bridge", "c2", EndpointSettings()))
    with pytest.raises(errors.InvalidArgument, match="private"):
        asyncio.run(case.use.connect("bridge", "c3", EndpointSettings()))
    shared = msgspec.structs.replace(
        case.records["c1"],
        host_config=msgspec.structs.replace(case.records["c1"].host_config, network_mode="container:x"),
    )
    case.records["c4"] = shared
    with pytest.raises(errors.InvalidArgument, match="sharing network namespace"):
        asyncio.run(case.use.disconnect("bridge", "c4", False))
