import json

import pytest

from corten.errors import InvalidArgument
from corten.model.container import DeviceRequest
from corten.runtime import cdi

KIND = "vendor.com/thing"


def spec():
    return {
        "process": {"env": ["A=1", "PATH=/bin"], "user": {"uid": 0, "gid": 0, "additionalGids": [0]}},
        "mounts": [{"destination": "/lib/x", "type": "bind", "source": "/old", "options": []}],
        "linux": {"resources": {"devices": [{"allow": False, "access": "rwm"}]}},
    }


def describe(directory, name="a.json", kind=KIND, device="one", **edits):
    directory.mkdir(exist_ok=True)
    document = {"cdiVersion": "0.6.0", "kind": kind, "devices": [{"name": device, "containerEdits": edits}]}
    document["containerEdits"] = {"env": ["COMMON=yes"]}
    (directory / name).write_text(json.dumps(document))
    return [str(directory)]


def request(*names, driver="cdi", **more):
    return DeviceRequest(driver=driver, device_ids=list(names), **more)


def test_every_edit(tmp_path):
    directories = describe(
        tmp_path / "cdi",
        env=["A=2"],
        deviceNodes=[{"path": "/dev/thing", "hostPath": "/dev/null", "permissions": "rw", "fileMode": 384, "gid": 7}],
        mounts=[{"hostPath": "/new", "containerPath": "/lib/x"}],
        hooks=[{"hookName": "createContainer", "path": "/bin/hook", "args": ["hook", "-x"]}],
        additionalGIDs=[44, 0],
    )
    document = spec()
    cdi.apply(document, [request(f"{KIND}=one", f"{KIND}=one")], directories)
    assert document["process"]["env"] == ["PATH=/bin", "COMMON=yes", "A=2"]
    node = document["linux"]["devices"][0]
    assert (node["path"], node["major"], node["minor"], node["fileMode"], node["gid"]) == ("/dev/thing", 1, 3, 384, 7)
    assert document["linux"]["resources"]["devices"][1] == {
        "allow": True,
        "type": "c",
        "major": 1,
        "minor": 3,
        "access": "rw",
    }
    assert [mount["source"] for mount in document["mounts"]] == ["/new"]
    assert document["hooks"] == {"createContainer": [{"path": "/bin/hook", "args": ["hook", "-x"]}]}
    assert document["process"]["user"]["additionalGids"] == [0, 44]


def test_yaml_and_priority(tmp_path):
    describe(tmp_path / "low", env=["FROM=low"])
    (tmp_path / "high").mkdir()
    (tmp_path / "high/b.yaml").write_text(
        f"cdiVersion: 0.6.0\nkind: {KIND}\ndevices:\n- name: one\n  containerEdits:\n    env: [FROM=high]\n"
    )
    document = spec()
    cdi.apply(document, [request(f"{KIND}=one")], [str(tmp_path / "low"), str(tmp_path / "high"), "/nowhere"])
    assert document["process"]["env"][-1] == "FROM=high"


def test_conflict_in_one_directory_is_unresolvable(tmp_path):
    describe(tmp_path / "cdi", env=["X=1"])
    directories = describe(tmp_path / "cdi", name="b.json", env=["X=2"])
    with pytest.raises(InvalidArgument, match=f"unresolvable CDI devices {KIND}=one"):
        cdi.apply(spec(), [request(f"{KIND}=one")], directories)
    better = describe(tmp_path / "better", env=["X=3"])
    cdi.apply(spec(), [request(f"{KIND}=one")], directories + better)


def test_missing_devices(tmp_path):
    directories = describe(tmp_path / "cdi")
    with pytest.raises(InvalidArgument, match=r"^CDI device injection failed: unresolvable CDI devices x\.com/y=z$"):
        cdi.apply(spec(), [request(f"{KIND}=one", "x.com/y=z")], directories)


@pytest.mark.parametrize("driver", ["", "nvidia", "other"])
def test_other_drivers_have_dockers_words(tmp_path, driver):
    wanted = request(driver=driver, count=-1, capabilities=[["gpu"]])
    text = f'could not select device driver "{driver}" with capabilities: \\[\\[gpu\\]\\]'
    with pytest.raises(InvalidArgument, match=text):
        cdi.apply(spec(), [wanted], [str(tmp_path)])


def test_gpus_through_cdi(tmp_path):
    describe(tmp_path / "cdi", kind="nvidia.com/gpu", device="0", env=["GPU=0"])
    directories = describe(tmp_path / "cdi", name="b.json", kind="nvidia.com/gpu", device="all", env=["GPU=all"])
    for wanted, expected in (
        (request(driver="", count=-1, capabilities=[["gpu"]]), "GPU=all"),
        (request(driver="", count=1, capabilities=[["gpu"]]), "GPU=0"),
        (request("0", driver="nvidia", capabilities=[["gpu", "utility"]]), "GPU=0"),
    ):
        document = spec()
        cdi.apply(document, [wanted], directories)
        assert document["process"]["env"][-1] == expected


def test_wrong_files_are_reported_and_skipped(tmp_path):
    directories = describe(tmp_path / "cdi")
    for name, text in (("bad.json", "{"), ("kind.json", '{"cdiVersion":"1","kind":"x","devices":[]}'), ("y.yaml", "[")):
        (tmp_path / "cdi" / name).write_text(text)
    registry = cdi.read(directories)
    assert sorted(path.rpartition("/")[2] for path in registry.problems) == ["bad.json", "kind.json", "y.yaml"]
    assert list(registry.devices) == [f"{KIND}=one"]
