"""Volumes and mounts: named, anonymous, bind, tmpfs, image, subpath, copy-up, read-only, volumes-from, API."""

import os

import pytest

from tests.support.busybox import IMAGE
from tests.support.http import Api
from tests.support.stock import Docker


@pytest.fixture(autouse=True)
def no_volumes(clean, api: Api):
    yield
    clean.remove_containers()
    for volume in api("GET", "/volumes").json()["Volumes"] or []:
        assert api("DELETE", f"/volumes/{volume['Name']}").status == 204


def run(docker: Docker, *arguments: str) -> str:
    return docker("run", "--rm", *arguments)


class TestVolumes:
    def test_named_volume_keeps_its_content(self, docker: Docker) -> None:
        run(docker, "-v", "data:/data", IMAGE, "sh", "-c", "echo kept > /data/file")
        assert run(docker, "-v", "data:/other", IMAGE, "cat", "/other/file") == "kept"

    def test_mount_option_does_the_same(self, docker: Docker) -> None:
        run(docker, "--mount", "type=volume,src=data,dst=/data", IMAGE, "touch", "/data/file")
        assert run(docker, "--mount", "source=data,target=/d,readonly", IMAGE, "ls", "/d") == "file"

    def test_copy_up_with_owner_and_mode(self, docker: Docker) -> None:
        assert (
            run(docker, "-v", "up:/home", IMAGE, "stat", "-c", "%u:%g %a %n", "/home/user")
            == "1000:1000 755 /home/user"
        )
        assert run(docker, "-v", "up:/mnt", IMAGE, "ls", "/mnt") == "user"

    def test_no_copy(self, docker: Docker) -> None:
        assert run(docker, "-v", "plain:/home:nocopy", IMAGE, "ls", "/home") == ""
        assert run(docker, "--mount", "type=volume,src=other,dst=/home,volume-nocopy", IMAGE, "ls", "/home") == ""

    def test_used_volume_is_not_copied_to_again(self, docker: Docker) -> None:
        run(docker, "-v", "used:/somewhere", IMAGE, "touch", "/somewhere/mine")
        assert run(docker, "-v", "used:/home", IMAGE, "ls", "/home") == "mine"

    def test_read_only(self, docker: Docker) -> None:
        result = docker.result("run", "--rm", "-v", "data:/data:ro", IMAGE, "touch", "/data/file")
        assert "Read-only file system" in result.err

    def test_anonymous_volume_goes_with_rm_v(self, api: Api, docker: Docker) -> None:
        identifier = docker("create", "-v", "/anon", "-v", "named:/named", IMAGE)
        mounts = {
            mount["Destination"]: mount for mount in api("GET", f"/containers/{identifier}/json").json()["Mounts"]
        }
        assert len(mounts["/anon"]["Name"]) == 64
        assert mounts["/named"]["Name"] == "named"
        assert mounts["/named"]["Driver"] == "local"
        docker("rm", "-v", identifier)
        assert docker("volume", "ls", "-q") == "named"

    def test_auto_remove_takes_anonymous_volumes(self, docker: Docker) -> None:
        run(docker, "-v", "/anon", IMAGE, "true")
        assert docker("volume", "ls", "-q") == ""

    def test_volumes_from(self, docker: Docker) -> None:
        docker("create", "--name", "first", "-v", "data:/data", "-v", "/tmp:/host:ro", IMAGE)
        run(docker, "--volumes-from", "first", IMAGE, "touch", "/data/file")
        assert run(docker, "--volumes-from", "first:ro", IMAGE, "ls", "/data") == "file"
        for place in ("/data", "/host"):
            assert docker.result("run", "--rm", "--volumes-from", "first:ro", IMAGE, "touch", f"{place}/x").code != 0

    def test_image_volumes(self, docker: Docker, api: Api, rootfs_tar: bytes) -> None:
        query = {"fromSrc": "-", "repo": "withvolume", "changes": "VOLUME /home"}
        assert api("POST", "/images/create", rootfs_tar, query=query).status == 200
        identifier = docker("create", "withvolume", "true")
        mount = api("GET", f"/containers/{identifier}/json").json()["Mounts"][0]
        assert (mount["Type"], mount["Destination"]) == ("volume", "/home")

    @pytest.mark.since("1.45")
    def test_subpath(self, docker: Docker) -> None:
        run(docker, "-v", "data:/data", IMAGE, "sh", "-c", "mkdir /data/sub; touch /data/sub/inner")
        assert run(docker, "--mount", "type=volume,src=data,dst=/d,volume-subpath=sub", IMAGE, "ls", "/d") == "inner"
        run(docker, "-v", "data:/data", IMAGE, "ln", "-s", "/etc", "/data/out")
        outside = docker.result(
            "run", "--rm", "--mount", "type=volume,src=data,dst=/d,volume-subpath=out", IMAGE, "ls", "/d"
        )
        assert outside.code != 0

    def test_local_driver_options(self, docker: Docker, tmp_path) -> None:
        (tmp_path / "seen").write_text("")
        docker("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={tmp_path}", "bound")
        assert run(docker, "-v", "bound:/b", IMAGE, "ls", "/b") == "seen"
        docker("volume", "create", "-o", "type=tmpfs", "-o", "o=size=1m", "-o", "device=tmpfs", "memory")
        assert run(docker, "-v", "memory:/m", IMAGE, "sh", "-c", "df -k /m | tail -1").split()[1] == "1024"


class TestBinds:
    def test_bind(self, docker: Docker, tmp_path) -> None:
        run(docker, "-v", f"{tmp_path}:/here", IMAGE, "sh", "-c", "echo hi > /here/file")
        assert (tmp_path / "file").read_text() == "hi\n"

    def test_read_only_file(self, docker: Docker, tmp_path) -> None:
        (tmp_path / "conf").write_text("one")
        for place in ("/etc/new.conf", "/etc/passwd"):
            option = f"{tmp_path}/conf:{place}:ro"
            assert run(docker, "-v", option, IMAGE, "cat", place) == "one"
            assert docker.result("run", "--rm", "-v", option, IMAGE, "sh", "-c", f"echo two > {place}").code != 0
        assert (tmp_path / "conf").read_text() == "one"

    def test_read_only_bind(self, docker: Docker, tmp_path) -> None:
        for option in (["-v", f"{tmp_path}:/here:ro"], ["--mount", f"type=bind,src={tmp_path},dst=/here,ro"]):
            assert "Read-only" in docker.result("run", "--rm", *option, IMAGE, "touch", "/here/file").err

    def test_single_file(self, docker: Docker, tmp_path) -> None:
        (tmp_path / "file").write_text("content")
        assert (
            run(docker, "-v", f"{tmp_path}/file:/etc/deep/down/file", IMAGE, "cat", "/etc/deep/down/file") == "content"
        )

    def test_missing_source_is_made_by_v_only(self, docker: Docker, tmp_path) -> None:
        run(docker, "-v", f"{tmp_path}/new/sub:/here", IMAGE, "true")
        assert (tmp_path / "new" / "sub").is_dir()
        result = docker.fails(
            "run", "--rm", "--mount", f"type=bind,src={tmp_path}/none,dst=/here", IMAGE, "true", code=125
        )
        assert "bind source path does not exist" in result.err

    def test_source_must_be_absolute(self, api: Api) -> None:
        mount = {"Type": "bind", "Source": "relative", "Target": "/here"}
        answer = api("POST", "/containers/create", {"Image": IMAGE, "HostConfig": {"Mounts": [mount]}})
        assert answer.status == 400
        assert "mount path must be absolute" in answer.message

    @pytest.mark.parametrize("spec", ["data:/", "data:relative", "/tmp:/a:nonsense", "a:b:c:d"])
    def test_wrong_specifications(self, docker: Docker, spec: str) -> None:
        assert docker.result("run", "--rm", "-v", spec, IMAGE, "true").code == 125

    def test_the_same_target_twice(self, docker: Docker) -> None:
        result = docker.fails("run", "--rm", "-v", "/tmp:/x", "-v", "/etc:/x", IMAGE, "true", code=125)
        assert "Duplicate mount point: /x" in result.err

    def test_mounts_below_mounts(self, docker: Docker, tmp_path) -> None:
        (tmp_path / "file").write_text("inner")
        options = ("-v", f"{tmp_path}:/a/b/c", "--tmpfs", "/a", "-v", "data:/a/b")
        assert run(docker, *options, IMAGE, "cat", "/a/b/c/file") == "inner"

    def test_private_propagation_by_default(self, docker: Docker, tmp_path) -> None:
        shown = run(docker, "-v", f"{tmp_path}:/here", IMAGE, "sh", "-c", "grep ' /here ' /proc/self/mountinfo")
        assert "shared:" not in shown
        assert "master:" not in shown

    def test_inspect(self, api: Api, docker: Docker, tmp_path) -> None:
        identifier = docker("create", "-v", f"{tmp_path}:/here:ro", IMAGE)
        shown = api("GET", f"/containers/{identifier}/json").json()
        assert shown["HostConfig"]["Binds"] == [f"{tmp_path}:/here:ro"]
        expected = {"Type": "bind", "Source": str(tmp_path), "Destination": "/here", "Mode": "ro", "RW": False}
        assert {**expected, "Propagation": "rprivate"} == shown["Mounts"][0]

    def test_link_in_the_image_is_resolved_inside(self, docker: Docker, tmp_path) -> None:
        docker("run", "--name", "linked", IMAGE, "ln", "-s", "/tmp/ct-escape", "/way")
        docker("commit", "linked", "linked")
        run(docker, "-v", f"{tmp_path}:/way/out", "linked", "true")
        assert not os.path.exists("/tmp/ct-escape")
        docker("rm", "linked")
        docker("rmi", "linked")


class TestTmpfs:
    def test_options(self, docker: Docker) -> None:
        shown = run(docker, "--tmpfs", "/t:size=1m,mode=700", IMAGE, "sh", "-c", "df -k /t | tail -1; stat -c %a /t")
        assert shown.split()[1] == "1024"
        assert shown.split()[-1] == "700"

    def test_mount_option(self, docker: Docker) -> None:
        option = "type=tmpfs,dst=/t,tmpfs-size=2m,tmpfs-mode=1770"
        shown = run(docker, "--mount", option, IMAGE, "sh", "-c", "df -k /t | tail -1; stat -c %a /t")
        assert shown.split()[1] == "2048"
        assert shown.split()[-1] == "1770"

    def test_defaults_of_security(self, docker: Docker) -> None:
        options = run(docker, "--tmpfs", "/t", IMAGE, "sh", "-c", "grep ' /t ' /proc/mounts").split()[3].split(",")
        assert {"nosuid", "nodev", "noexec"} <= set(options)

    def test_wrong_option(self, docker: Docker) -> None:
        assert docker.result("run", "--rm", "--tmpfs", "/t:nonsense=1", IMAGE, "true").code != 0


@pytest.mark.since("1.48")
def test_image_mount(docker: Docker) -> None:
    option = f"type=image,src={IMAGE},dst=/image"
    assert "user:x:1000" in run(docker, "--mount", option, IMAGE, "cat", "/image/etc/passwd")
    assert docker.result("run", "--rm", "--mount", option, IMAGE, "touch", "/image/file").code != 0


class TestApi:
    def test_create_inspect_remove(self, api: Api, daemon) -> None:
        created = api("POST", "/volumes/create", {"Name": "v1", "Labels": {"a": "b"}})
        assert created.status == 201
        shown = api("GET", "/volumes/v1").json()
        assert (shown["Name"], shown["Driver"], shown["Scope"], shown["Labels"]) == ("v1", "local", "local", {"a": "b"})
        assert shown["Mountpoint"] == f"{daemon.data_root}/volumes/v1/_data"
        assert api("POST", "/volumes/create", {"Name": "v1"}).status == 201
        assert api("DELETE", "/volumes/v1").status == 204
        assert api("DELETE", "/volumes/v1").status == 404
        assert api("DELETE", "/volumes/v1", query={"force": 1}).status == 204
        assert api("GET", "/volumes/v1").status == 404

    def test_name_is_made(self, api: Api) -> None:
        assert len(api("POST", "/volumes/create", {}).json()["Name"]) == 64

    def test_wrong_requests(self, api: Api) -> None:
        assert api("POST", "/volumes/create", {"Name": "../x"}).status in (400, 500)
        assert api("POST", "/volumes/create", {"Name": "x1", "DriverOpts": {"nonsense": "1"}}).status in (400, 500)
        assert api("POST", "/volumes/create", {"Name": "x2", "Driver": "nonsense"}).status in (400, 404)

    def test_in_use(self, docker: Docker) -> None:
        identifier = docker("create", "-v", "used:/data", IMAGE)
        result = docker.fails("volume", "rm", "used")
        assert f"remove used: volume is in use - [{identifier}]" in result.err

    def test_filters(self, docker: Docker) -> None:
        docker("volume", "create", "--label", "kind=a", "alpha")
        docker("volume", "create", "beta")
        docker("create", "-v", "beta:/data", IMAGE)

        def listed(*filters: str) -> set[str]:
            return set(docker("volume", "ls", "-q", *(part for text in filters for part in ("--filter", text))).split())

        assert listed() == {"alpha", "beta"}
        assert listed("label=kind=a") == {"alpha"}
        assert listed("name=et") == {"beta"}
        assert listed("dangling=true") == {"alpha"}
        assert listed("dangling=false") == {"beta"}
        assert listed("driver=local") == {"alpha", "beta"}
        assert listed("driver=other") == set()

    @pytest.mark.since("1.42")
    def test_prune(self, docker: Docker, api: Api) -> None:
        docker("volume", "create", "named")
        anonymous = docker("volume", "create")
        assert anonymous in docker("volume", "prune", "-f")
        assert docker("volume", "ls", "-q") == "named"
        assert "named" in docker("volume", "prune", "-f", "-a")
        assert docker("volume", "ls", "-q") == ""

    def test_usage(self, api: Api, docker: Docker) -> None:
        docker(
            "run", "--name", "writer", "-v", "used:/data", IMAGE, "sh", "-c", "head -c 500000 /dev/zero > /data/file"
        )
        usage = api("GET", "/system/df").json()["Volumes"][0]["UsageData"]
        assert usage["RefCount"] == 1
        assert usage["Size"] >= 500_000
