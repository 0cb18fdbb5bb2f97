"""Values to JSON and back, list filters, status words, times: no sockets, no daemon."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from corten import errors
from corten.api import endpoints, filters, inspect, listfilter, times
from corten.api.decode import decode, sent_fields
from corten.api.encode import encode
from corten.api.keys import key_of
from corten.api.status import human_duration, status_text
from corten.api.summary import Summaries
from corten.engine.places import Places
from corten.model import container as model
from corten.model.container import ContainerConfig, EndpointSettings, HostConfig
from corten.model.record import HealthState, RunState
from tests.support import schema
from tests.support.apiserver import ID, SECOND, FakeContainer, record

NOW = 1_800_000_000 * SECOND


NULL_ALL_THE_SAME = ("MemorySwappiness: null", "OomKillDisable: null")
"""dockerd sends null there, whatever the description says."""


def definition_problems(name, document):
    if not schema.PATH:
        pytest.skip("the API's description does not lie beside the repository")
    found = schema.faults({"$ref": f"#/definitions/{name}"}, document)
    return [text for text in found if not any(known in text for known in NULL_ALL_THE_SAME)]


class TestKeys:
    @pytest.mark.parametrize(
        ("field", "key"),
        [
            ("stop_signal", "StopSignal"),
            ("dns", "Dns"),
            ("dns_options", "DnsOptions"),
            ("dns_names", "DNSNames"),
            ("uts_mode", "UTSMode"),
            ("cpu_shares", "CpuShares"),
            ("blkio_device_read_bps", "BlkioDeviceReadBps"),
            ("blkio_device_write_iops", "BlkioDeviceWriteIOps"),
            ("io_maximum_iops", "IOMaximumIOps"),
            ("container_id_file", "ContainerIDFile"),
            ("device_ids", "DeviceIDs"),
            ("ipv6_gateway", "IPv6Gateway"),
            ("host_ip", "HostIp"),
            ("mac_address", "MacAddress"),
            ("oom_kill_disable", "OomKillDisable"),
        ],
    )
    def test_spelling(self, field, key):
        assert key_of(field) == key

    def test_every_key_is_in_the_schema(self):
        full = encode(HostConfig(init=True, annotations={"a": "b"}, runtime="r", sysctls={"a": "b"}, tmpfs={"/a": ""}))
        full["ConsoleSize"] = [0, 0]
        assert definition_problems("HostConfig", full) == []
        config = ContainerConfig(
            stop_timeout=1, healthcheck=model.Healthcheck(test=["NONE"]), exposed_ports={"1/tcp": {}}
        )
        assert definition_problems("ContainerConfig", encode(config)) == []
        endpoint = EndpointSettings(ipam_config=model.EndpointIPAMConfig(ipv4_address="1.2.3.4"))
        assert definition_problems("EndpointSettings", encode(endpoint)) == []
        mount = model.MountSpec(
            type="volume",
            target="/a",
            bind_options=model.BindOptions(propagation="rprivate", non_recursive=True, create_mountpoint=True),
            volume_options=model.VolumeOptions(
                no_copy=True, subpath="x", driver_config=model.DriverConfig(name="local")
            ),
            tmpfs_options=model.TmpfsOptions(size_bytes=1, mode=2, options=[["noexec"]]),
        )
        assert definition_problems("Mount", encode(mount)) == []


class TestShape:
    def test_null_empty_and_omitted(self):
        document = encode(HostConfig(binds=[], cap_add=None))
        assert document["Binds"] == []
        assert document["CapAdd"] is None
        for key in ("Annotations", "StorageOpt", "Tmpfs", "Sysctls", "Runtime", "Mounts", "Init"):
            assert key not in document
        assert encode(HostConfig(init=False))["Init"] is False
        config = encode(ContainerConfig(stop_timeout=0))
        assert config["StopTimeout"] == 0
        assert config["Env"] is None
        assert "Healthcheck" not in config

    def test_any_letter_case_and_unknown_keys(self):
        host = decode(HostConfig, {"BINDS": ["a:b"], "iomaximumiops": 3, "Nonsense": {"x": 1}, "LogConfig": None})
        assert (host.binds, host.io_maximum_iops, host.log_config) == (["a:b"], 3, model.LogConfig())

    def test_null_list_items_are_empty_strings(self):
        assert decode(ContainerConfig, {"Env": ["a", None]}).env == ["a", ""]

    def test_text_for_a_list(self):
        config = decode(ContainerConfig, {"Cmd": "a b", "Entrypoint": ["x"]})
        assert (config.cmd, config.entrypoint) == (["a b"], ["x"])
        with pytest.raises(errors.InvalidArgument, match="Env: expected list, got string"):
            decode(ContainerConfig, {"Env": "a"})

    @pytest.mark.parametrize(
        ("document", "text"),
        [
            ({"Tty": 1}, "ContainerConfig.Tty: expected boolean, got integer"),
            ({"StopTimeout": True}, "ContainerConfig.StopTimeout: expected integer, got boolean"),
            ({"StopTimeout": 1.5}, "ContainerConfig.StopTimeout: expected integer, got number"),
            ({"Labels": {"a": 1}}, "ContainerConfig.Labels.a: expected string, got integer"),
            ({"Env": ["a", 2]}, r"ContainerConfig.Env\[1\]: expected string, got integer"),
            ({"Healthcheck": []}, "ContainerConfig.Healthcheck: expected object, got list"),
        ],
    )
    def test_wrong_types_name_the_field(self, document, text):
        with pytest.raises(errors.InvalidArgument, match=text):
            decode(ContainerConfig, document)

    def test_sent_fields(self):
        assert sent_fields(HostConfig, {"memory": 1, "BlkioDeviceReadIOps": None, "x": 1}) == {
            "memory",
            "blkio_device_read_iops",
        }

    @given(
        st.builds(
            HostConfig,
            binds=st.none() | st.lists(st.text(), max_size=3),
            memory=st.integers(-(1 << 63), (1 << 63) - 1),
            port_bindings=st.none()
            | st.dictionaries(
                st.text(), st.none() | st.lists(st.builds(model.PortBinding, host_ip=st.text())), max_size=3
            ),
            mounts=st.none()
            | st.lists(st.builds(model.MountSpec, type=st.text(), read_only=st.booleans()), max_size=3),
            init=st.none() | st.booleans(),
            ulimits=st.none() | st.lists(st.builds(model.Ulimit, name=st.text(), soft=st.integers(0, 9)), max_size=2),
            log_config=st.builds(
                model.LogConfig, type=st.text(), config=st.none() | st.dictionaries(st.text(), st.text())
            ),
        )
    )
    def test_round_trip(self, host):
        again = decode(HostConfig, encode(host))
        # an empty list of mounts is left out, as Docker does, and comes back as none
        assert again == (replace(host, mounts=None) if host.mounts == [] else host)


class TestTimes:
    def test_trailing_zeros(self):
        assert times.rfc3339(0) == "0001-01-01T00:00:00Z"
        assert times.rfc3339(1_700_000_000_120_000_000) == "2023-11-14T22:13:20.12Z"
        assert times.rfc3339(1_700_000_000_000_000_000) == "2023-11-14T22:13:20Z"
        assert times.rfc3339(1_700_000_000_000_000_001) == "2023-11-14T22:13:20.000000001Z"

    def test_parse(self):
        assert times.parse("") == 0
        assert times.parse("1700000000.000000012") == 1_700_000_000_000_000_012
        assert times.parse("2023-11-14T22:13:20.5Z") == 1_700_000_000_500_000_000
        assert times.parse("2023-11-14T23:13:20+01:00") == 1_700_000_000_000_000_000
        assert times.parse("2023-11-14") == 1_699_920_000_000_000_000
        assert abs(times.parse("1h") - times.parse("60m")) < SECOND
        for bad in ("x", "1x", "2023-13-01", "-", "1.2.3", "1 h"):
            with pytest.raises(errors.InvalidArgument):
                times.parse(bad)

    @given(st.integers(1, 4_000_000_000 * SECOND))
    def test_round_trip(self, moment):
        assert times.parse(times.rfc3339(moment)) == moment


class TestStatus:
    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (0.4, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (61, "About a minute"),
            (150, "2 minutes"),
            (3600, "About an hour"),
            (3 * 3600 + 1801, "4 hours"),
            (47 * 3600, "47 hours"),
            (3 * 86400, "3 days"),
            (15 * 86400, "2 weeks"),
            (90 * 86400, "3 months"),
            (800 * 86400, "2 years"),
        ],
    )
    def test_durations(self, seconds, words):
        assert human_duration(seconds) == words

    @pytest.mark.parametrize(
        ("state", "words"),
        [
            (RunState(), "Created"),
            (RunState(status="running", started_at=NOW - 120 * SECOND), "Up 2 minutes"),
            (
                RunState(status="running", started_at=NOW - 120 * SECOND, health=HealthState(status="healthy")),
                "Up 2 minutes (healthy)",
            ),
            (
                RunState(status="running", started_at=NOW, health=HealthState()),
                "Up Less than a second (health: starting)",
            ),
            (RunState(status="paused", started_at=NOW - 5 * SECOND), "Up 5 seconds (Paused)"),
            (
                RunState(status="exited", exit_code=137, started_at=1, finished_at=NOW - 7200 * SECOND),
                "Exited (137) 2 hours ago",
            ),
            (RunState(status="restarting", exit_code=1, finished_at=NOW - SECOND), "Restarting (1) 1 second ago"),
            (RunState(status="dead"), "Dead"),
            (RunState(status="removing"), "Removal In Progress"),
        ],
    )
    def test_words(self, state, words):
        assert status_text(state, NOW) == words


class TestFilters:
    def test_both_forms(self):
        assert filters.parse('{"label":["a","b","a"]}') == {"label": ["a", "b"]}
        assert filters.parse('{"label":{"a":true,"b":false}}') == {"label": ["a"]}
        assert filters.parse("") == filters.parse("null") == {}

    @pytest.mark.parametrize("text", ["[]", "{", '{"a":1}', '{"a":[1]}', '{"a":{"b":1}}', '"x"'])
    def test_bad(self, text):
        with pytest.raises(errors.InvalidArgument, match="invalid filter"):
            filters.parse(text)

    def test_unknown(self):
        with pytest.raises(errors.InvalidArgument, match=r"^invalid filter 'foo'$"):
            filters.parse('{"foo":["x"]}', ("bar",))


def containers():
    made = []
    for index in range(6):
        rec = record(
            container_id=f"{index:x}" * 64,
            name=f"c{index}",
            created=index * SECOND,
            state=RunState(status="running", started_at=1),
        )
        made.append(FakeContainer(rec))
    made[1].become(status="exited", exit_code=3, finished_at=2)
    made[2].become(status="paused", health=HealthState(status="healthy"))
    made[3].become(status="created", started_at=0)
    made[4].record = replace(made[4].record, endpoints={}, mounts=[], ports={}, config=ContainerConfig(image="other"))
    made[4].record = replace(made[4].record, image="sha256:" + "f" * 64, host_config=HostConfig())
    return made


def names(everything=False, limit=0, **wanted):
    every = containers()

    def lookup(ref):
        return next(item for item in every if item.record.name == ref)

    found = listfilter.select(
        every,
        {key.replace("_", "-"): value for key, value in wanted.items()},
        everything=everything,
        limit=limit,
        lookup=lookup,
        resolve_image=lambda ref: "sha256:" + "f" * 64 if ref == "other" else None,
    )
    return [item.record.name for item in found]


class TestList:
    def test_running_only_and_newest_first(self):
        assert names() == ["c5", "c4", "c2", "c0"]
        assert names(everything=True) == ["c5", "c4", "c3", "c2", "c1", "c0"]

    def test_what_implies_all(self):
        assert names(limit=2) == ["c5", "c4"]
        assert names(limit=4) == ["c5", "c4", "c3", "c2"]
        assert names(status=["exited"]) == ["c1"]
        assert names(exited=["3"]) == []
        assert names(everything=True, exited=["3", "4"]) == ["c1"]

    def test_before_and_since(self):
        assert names(everything=True, before=["c2"]) == ["c1", "c0"]
        assert names(everything=True, since=["c2"]) == ["c5", "c4", "c3"]

    def test_matches(self):
        assert names(name=["c[05]"]) == ["c5", "c0"]
        assert names(name=["^/c5$"]) == ["c5"]
        assert names(name=["("]) == []
        assert names(id=["5555"]) == ["c5"]
        assert names(label=["tier=front", "tier"]) == ["c5", "c2", "c0"]
        assert names(label=["tier=back"]) == []
        assert names(health=["healthy"]) == ["c2"]
        assert names(volume=["data"]) == names(volume=["/data"]) == ["c5", "c2", "c0"]
        assert names(network=["bridge"]) == names(network=["ccc"]) == ["c5", "c2", "c0"]
        assert names(ancestor=["other"]) == ["c4"]
        assert names(publish=["80"]) == names(publish=["70-90/tcp"]) == ["c5", "c2", "c0"]
        assert names(publish=["80/udp"]) == names(expose=["80"]) == []
        assert names(is_task=["true"]) == []

    @pytest.mark.parametrize(
        "wanted",
        [
            {"status": ["up"]},
            {"health": ["fine"]},
            {"exited": ["x"]},
            {"publish": ["x"]},
            {"expose": ["9-1"]},
            {"is-task": ["maybe"]},
        ],
    )
    def test_bad_values(self, wanted):
        with pytest.raises(errors.InvalidArgument, match="invalid filter"):
            names(**wanted)


def rows(items, version=(1, 56), sizes=None, summaries=None):
    import json

    body = (summaries or Summaries()).render(items, version, NOW, lambda rec: rec.config.image, sizes or {})
    return json.loads(body)


class TestSummary:
    def test_fits_the_schema(self):
        found = rows([FakeContainer(record())])[0]
        assert definition_problems("ContainerSummary", found) == []
        assert found["Ports"] == [
            {"PrivatePort": 80, "Type": "tcp", "IP": "0.0.0.0", "PublicPort": 8080},
            {"PrivatePort": 81, "Type": "tcp"},
        ]
        assert found["Names"] == ["/web"]
        assert found["Status"].startswith("Up ")

    def test_versions(self):
        item = FakeContainer(record(host_config=HostConfig(annotations={"a": "b"})))
        old, new = rows([item], (1, 45))[0], rows([item], (1, 52))[0]
        assert "Annotations" not in old["HostConfig"]
        assert "ImageManifestDescriptor" not in old
        assert "Health" not in old
        assert new["HostConfig"]["Annotations"] == {"a": "b"}
        assert new["Health"] == {"Status": "none", "FailingStreak": 0}

    def test_rows_are_renewed(self):
        summaries = Summaries()
        item = FakeContainer(record(config=ContainerConfig(image='a"Status":"', labels={"x": '","Status":"y'})))
        assert rows([item], summaries=summaries)[0]["State"] == "running"
        item.become(status="exited", finished_at=NOW - SECOND)
        found = rows([item], summaries=summaries, sizes={ID: (1, 2)})[0]
        assert (found["State"], found["Status"]) == ("exited", "Exited (0) 1 second ago")
        assert (found["SizeRw"], found["SizeRootFs"]) == (1, 2)

    def test_empty(self):
        assert rows([]) == []


class TestInspect:
    def document(self, version=(1, 56), **changes):
        return inspect.inspect(FakeContainer(record(**changes)), Places(log="/l"), version, (1, 2))

    def test_fits_the_schema(self):
        state = RunState(status="running", health=HealthState(status="healthy"))
        assert definition_problems("ContainerInspectResponse", self.document(state=state)) == []

    def test_running_words(self):
        for status, running in (("running", True), ("paused", True), ("restarting", True), ("exited", False)):
            state = self.document(state=RunState(status=status))["State"]
            assert (state["Status"], state["Running"]) == (status, running)
            assert state["Paused"] == (status == "paused")
            assert "Health" not in state

    def test_old_network_fields(self):
        old, new = self.document((1, 51))["NetworkSettings"], self.document((1, 52))["NetworkSettings"]
        assert (old["IPAddress"], old["IPPrefixLen"], old["IPv6Gateway"]) == ("172.17.0.2", 16, "")
        assert "IPAddress" not in new
        assert old["Networks"] == new["Networks"]
        assert new["Networks"]["bridge"]["GlobalIPv6PrefixLen"] == 0

    def test_storage(self):
        assert "GraphDriver" in self.document((1, 51))
        assert self.document((1, 52))["Storage"]["RootFS"]["Snapshot"] == {"Name": "overlayfs"}
        assert "ImageManifestDescriptor" not in self.document((1, 47))

    def test_aliases_of_old(self):
        user = {"mine": EndpointSettings(aliases=["a"])}
        assert endpoints.networks(record(endpoints=user), (1, 44))["mine"]["Aliases"] == ["a", ID[:12]]
        assert endpoints.networks(record(endpoints=user), (1, 45))["mine"]["Aliases"] == ["a"]
