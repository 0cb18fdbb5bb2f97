"""The AppArmor profile; its syntax is checked where apparmor_parser is installed (CORTEN_APPARMOR_PARSER names one)."""

import os
import shutil
import subprocess

import pytest

from corten.linux import path as rooted
from corten.model.container import HostConfig
from corten.model.record import Record
from corten.runtime import apparmor
from corten.runtime.spec import SpecInput, build_spec
from corten.runtime.spec_process import ExecInput, exec_process
from tests.support.hosts import host

PARSER = os.environ.get("CORTEN_APPARMOR_PARSER") or shutil.which("apparmor_parser", path="/usr/sbin:/sbin")
CONFIGURATION = os.environ.get("CORTEN_APPARMOR_DIRECTORY", "/etc/apparmor.d")


@pytest.mark.skipif(not PARSER, reason="apparmor_parser is not installed")
@pytest.mark.parametrize("configuration", [CONFIGURATION, "/nowhere"])
def test_the_parser_takes_the_profile(configuration):
    text = apparmor.profile_text(configuration)
    argv = [PARSER, "--skip-kernel-load", "--skip-cache", "--base", CONFIGURATION]
    done = subprocess.run(argv, input=text.encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_what_is_loaded(tmp_path):
    (tmp_path / "profiles").write_text("other (enforce)\ncorten-default (enforce)\n")
    assert apparmor.is_loaded("corten-default", str(tmp_path / "profiles"))
    assert not apparmor.is_loaded("corten", str(tmp_path / "profiles"))
    assert not apparmor.is_loaded("x", str(tmp_path / "missing"))


def test_which_profile_a_process_gets(monkeypatch):
    monkeypatch.setattr(apparmor, "ensure_default", lambda: apparmor.NAME)
    assert apparmor.for_process("", False) == "corten-default"
    assert apparmor.for_process("", True) == "unconfined"
    assert apparmor.for_process("mine", True) == "mine"
    assert apparmor.for_process("unconfined", False) == "unconfined"


def test_a_host_that_cannot_load_it(monkeypatch, caplog):
    apparmor.ensure_default.cache_clear()
    monkeypatch.setattr(apparmor, "is_loaded", lambda name: False)
    monkeypatch.setattr(apparmor.shutil, "which", lambda name, path: None)
    assert apparmor.ensure_default() == "" and "not installed" in caplog.text
    apparmor.ensure_default.cache_clear()
    monkeypatch.setattr(apparmor.shutil, "which", lambda name, path: "/bin/false")
    assert apparmor.ensure_default() == "" and "refuses the profile" in caplog.text
    apparmor.ensure_default.cache_clear()
    monkeypatch.setattr(apparmor.shutil, "which", lambda name, path: "/bin/true")
    assert apparmor.ensure_default() == apparmor.NAME
    apparmor.ensure_default.cache_clear()


def test_the_document_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr(apparmor, "ensure_default", lambda: apparmor.NAME)

    def shown(security_opt=None, machine=None, **fields):
        made = Record(
            id="a", name="a", created=1, path="/x", host_config=HostConfig(security_opt=security_opt, **fields)
        )
        machine = machine or host(apparmor=True)
        result = build_spec(SpecInput(record=made, rootfs=str(tmp_path), host=machine))
        return result.spec["process"].get("apparmorProfile")

    assert shown() == "corten-default"
    assert shown(["apparmor=mine"]) == "mine"
    assert shown(["apparmor:unconfined"]) == "unconfined"
    assert shown(privileged=True) == "unconfined"
    assert shown(machine=host()) is None
    fd = rooted.open_root(str(tmp_path))
    try:
        made = Record(id="a", name="a", created=1, apparmor_profile="corten-default")
        for privileged, expected in ((False, "corten-default"), (True, "unconfined")):
            wanted = ExecInput(cmd=["x"], privileged=privileged)
            assert exec_process(made, wanted, fd, host(apparmor=True))["apparmorProfile"] == expected
    finally:
        os.close(fd)
