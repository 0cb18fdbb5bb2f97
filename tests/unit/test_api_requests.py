"""Bodies of create requests, images and volumes in JSON, routing: what differs between versions of the API."""

import pytest

from corten import errors
from corten.api import imageshape
from corten.api.createrequest import CreateRequest
from corten.api.errors import PageNotFound, status_of
from corten.api.networkshape import inspect_document, request_of
from corten.api.routes import all_routes
from corten.api.routes.volumes import volume_document
from corten.api.routing import Route, Router
from corten.api.versions import split
from corten.model.image import (
    DeletedItem,
    ImageInspect,
    ImageMetadata,
    ImageRootFS,
    ImageSummary,
    Progress,
)
from corten.model.volume import Volume
from corten.network.record import Member, NetworkRecord, PoolConfig
from corten.oci.image import RunConfig
from corten.oci.manifest import Descriptor
from tests.support import schema

NEW = (1, 56)


def create(document, version=NEW):
    return CreateRequest({"Image": "x", **document}, version)


class TestCreate:
    def test_siblings_in_any_case(self):
        request = create({"HOSTCONFIG": {"Memory": 1}, "networkingconfig": {"endpointsconfig": {"n": None, "m": {}}}})
        assert request.host.memory == 1
        assert set(request.endpoints) == {"n", "m"}
        assert request.config.image == "x"

    def test_several_endpoints_since_1_44(self):
        document = {"NetworkingConfig": {"EndpointsConfig": {"a": {}, "b": {}}}}
        assert len(create(document, (1, 44)).endpoints) == 2
        with pytest.raises(errors.InvalidArgument, match="cannot be connected to network endpoints: a, b"):
            create(document, (1, 43))

    def test_defaults_of_old_versions(self):
        assert create({}, (1, 40)).host.cgroupns_mode == "host"
        assert create({}, (1, 41)).host.cgroupns_mode == ""
        assert create({}, (1, 39)).host.ipc_mode == "shareable"
        assert create({"HostConfig": {"Annotations": {"a": "b"}}}, (1, 42)).host.annotations is None
        assert create({"HostConfig": {"Annotations": {"a": "b"}}}, (1, 43)).host.annotations == {"a": "b"}

    def test_no_pids_limit(self):
        for value in (0, -1, None):
            assert create({"HostConfig": {"PidsLimit": value}}).host.pids_limit is None
        assert create({"HostConfig": {"PidsLimit": 5}}).host.pids_limit == 5

    def test_mac_address_of_the_container(self):
        request = create({"MacAddress": "02:00:00:00:00:01"}, (1, 43))
        assert request.endpoints["bridge"].mac_address == "02:00:00:00:00:01"
        assert not request.warnings
        assert create({"MacAddress": "02:00:00:00:00:01"}).warnings
        for host, other in (({"NetworkMode": "host"}, {}), ({}, {"bridge": {"MacAddress": "02:00:00:00:00:02"}})):
            with pytest.raises(errors.InvalidArgument):
                create(
                    {
                        "MacAddress": "02:00:00:00:00:01",
                        "HostConfig": host,
                        "NetworkingConfig": {"EndpointsConfig": other},
                    }
                )

    @pytest.mark.parametrize(
        "document",
        [
            {"HostConfig": []},
            {"NetworkingConfig": 1},
            {"NetworkingConfig": {"EndpointsConfig": []}},
            {"NetworkingConfig": {"EndpointsConfig": {"a": 1}}},
        ],
    )
    def test_wrong_types(self, document):
        with pytest.raises(errors.InvalidArgument):
            create(document)


def image(**changes):
    values = {
        "id": "sha256:1",
        "repo_tags": [],
        "repo_digests": [],
        "comment": "",
        "created": 0,
        "author": "",
        "config": RunConfig(cmd=["sh"]),
        "architecture": "arm64",
        "variant": "v8",
        "os": "linux",
        "os_version": "",
        "size": 7,
        "root_fs": ImageRootFS(type="layers", layers=["sha256:2"]),
        "metadata": ImageMetadata(last_tag_time=0),
        "descriptor": Descriptor(digest="sha256:1", size=3, media_type="m"),
    }
    return ImageInspect(**{**values, **changes})


def row(**changes):
    values = {
        "containers": 2,
        "created": 5_000_000_000,
        "id": "sha256:1",
        "labels": None,
        "parent_id": "",
        "descriptor": Descriptor(digest="sha256:1"),
        "repo_digests": [],
        "repo_tags": [],
        "shared_size": -1,
        "size": 7,
    }
    return ImageSummary(**{**values, **changes})


class TestImages:
    def test_config_by_version(self):
        newest = imageshape.inspect(image(), (1, 52))["Config"]
        assert newest == {"Cmd": ["sh"]}
        middle = imageshape.inspect(image(), (1, 50))["Config"]
        assert middle["Env"] is None
        assert "Hostname" not in middle
        old = imageshape.inspect(image(), (1, 49))["Config"]
        assert (old["Hostname"], old["Tty"], old["Cmd"]) == ("", False, ["sh"])

    def test_keys_by_version(self):
        oldest, newest = imageshape.inspect(image(), (1, 43)), imageshape.inspect(image(), NEW)
        for key in ("Parent", "DockerVersion", "Comment", "Author", "Container", "ContainerConfig", "VirtualSize"):
            assert key in oldest
            assert key not in newest
        assert oldest["Created"] == "0001-01-01T00:00:00Z"
        assert "Created" not in newest
        assert newest["Descriptor"] == {"mediaType": "m", "digest": "sha256:1", "size": 3}
        assert newest["Variant"] == "v8"

    def test_rows_by_version(self):
        assert imageshape.summary(row(), (1, 42))["RepoTags"] == ["<none>:<none>"]
        assert imageshape.summary(row(), (1, 43))["RepoTags"] == []
        assert imageshape.summary(row(), (1, 43))["VirtualSize"] == 7
        assert "VirtualSize" not in imageshape.summary(row(), (1, 44))
        assert imageshape.summary(row(), (1, 50))["Containers"] == -1
        assert imageshape.summary(row(), (1, 51))["Containers"] == 2
        assert imageshape.summary(row(), NEW)["Created"] == 5

    def test_progress(self):
        assert imageshape.progress(Progress(stream="x\n")) == {"stream": "x\n"}
        assert imageshape.progress(Progress(status="Loading", id="a", current=1, total=2)) == {
            "status": "Loading",
            "progressDetail": {"current": 1, "total": 2},
            "progress": "[=========================>                         ]       1B/2B",
            "id": "a",
        }
        assert imageshape.progress(Progress(status="sha256:1")) == {"status": "sha256:1"}
        assert imageshape.deleted(DeletedItem(deleted="a")) == {"Deleted": "a"}


class TestNetworksAndVolumes:
    def test_request(self):
        request = request_of(
            {
                "name": "n",
                "IPAM": {
                    "Config": [{"Subnet": "10.0.0.0/24", "IPRange": "10.0.0.0/25", "AuxiliaryAddresses": {"a": "b"}}]
                },
                "ConfigFrom": {"Network": "c"},
                "EnableIPv6": True,
            }
        )
        assert request.pools == [PoolConfig(subnet="10.0.0.0/24", ip_range="10.0.0.0/25", auxiliary={"a": "b"})]
        assert (request.name, request.config_from, request.enable_ipv4, request.enable_ipv6) == ("n", "c", True, True)

    def test_inspect(self):
        record = NetworkRecord(id="i", name="n", driver="bridge", created=0, pools=[PoolConfig(subnet="10.0.0.0/24")])
        member = Member(container_id="c", name="web", endpoint_id="e", mac="m", ipv4="10.0.0.2/24")
        document = inspect_document(record, [member])
        assert document["IPAM"]["Config"] == [{"Subnet": "10.0.0.0/24"}]
        assert document["Containers"]["c"]["IPv4Address"] == "10.0.0.2/24"

    def test_volume(self):
        document = volume_document(Volume(name="v", mountpoint="/m", created=1_700_000_000_900_000_000))
        assert document["CreatedAt"] == "2023-11-14T22:13:20Z"
        assert document["Labels"] is document["Options"] is None
        assert "UsageData" not in document


async def _handler(call):
    return None


class TestRouting:
    def test_names_with_slashes(self):
        router = Router([Route("GET", "/images/{name}/json", _handler), Route("GET", "/images/json", _handler)])
        assert router.match("GET", "/images/a/b/c:1/json")[1] == {"name": "a/b/c:1"}
        assert router.match("GET", "/images/json")[1] == {}
        for method, path in (("POST", "/images/json"), ("GET", "/images//json"), ("GET", "/images/a/jsonx")):
            with pytest.raises(PageNotFound):
                router.match(method, path)

    def test_every_described_endpoint_has_a_route(self):
        if not schema.PATH:
            pytest.skip("the API's description does not lie beside the repository")
        router = Router(all_routes())
        missing = []
        for path, methods in schema.document()["paths"].items():
            for method in methods:
                try:
                    router.match(method.upper(), path.replace("{", "").replace("}", ""))
                except PageNotFound:
                    missing.append((method, path))
        assert missing == []

    def test_versions_in_paths(self):
        assert split("/v1.47/info") == ((1, 47), "/info")
        assert split("/v1.47.3/info") == ((1, 47), "/info")
        assert split("/info") == ((1, 56), "/info")
        assert split("/version") == ((1, 56), "/version")
        assert split("/volumes/x") == ((1, 56), "/volumes/x")

    def test_statuses_follow_the_class(self):
        class Mine(errors.AlreadyExists):
            pass

        assert status_of(Mine("x")) == 409
        assert status_of(errors.StartFailed("x")) == 500
        assert status_of(ValueError("x")) == 500
        assert status_of(errors.NotSupported("x")) == 501
