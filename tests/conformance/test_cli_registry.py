"""`corten login`, `logout` and `push`, and the stock CLI's, against a registry that asks for a password."""

import json
import os
from collections.abc import Iterator

import pytest

from tests.support import registry as registries
from tests.support.cortencli import Corten
from tests.support.daemon import KIND, Daemon
from tests.support.registry import Registry
from tests.support.stock import Docker

SECRET = "s3cr3t pass:word"
HELPER = """#!/bin/sh
# Keeps one secret per server in a directory.
read -r request
case "$1" in
store) name=$(echo "$request" | sed 's/.*"ServerURL": *"\\([^"]*\\)".*/\\1/'); echo "$request" > "$VAULT/$name" ;;
get) [ -e "$VAULT/$request" ] || { echo "credentials not found in native keychain"; exit 1; }; cat "$VAULT/$request" ;;
erase) rm -f "$VAULT/$request" ;;
esac
"""
pytestmark = [
    pytest.mark.skipif(bool(registries.MISSING), reason=str(registries.MISSING)),
    pytest.mark.skipif(KIND == "dockerd", reason="corten's own command"),
]


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with Registry(users={"bob": SECRET}) as running:
        yield running


@pytest.fixture(params=["corten", "docker"])
def cli(request, daemon: Daemon) -> Iterator[Docker]:
    """One after the other, each with a fresh configuration."""
    made = Corten(daemon.url) if request.param == "corten" else Docker(daemon.url)
    yield made
    made.close()


def auths(cli: Docker) -> dict:
    path = f"{cli.config}/config.json"
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        return json.load(file).get("auths", {})


def test_login_push_logout(cli: Docker, registry: Registry) -> None:
    name = f"{registry.host}/cli/app"
    cli("tag", "busybox", name)
    assert cli.fails("push", name).err.strip().endswith("no basic auth credentials")
    assert cli("login", "-u", "bob", "--password-stdin", registry.host, stdin=SECRET.encode()) == "Login Succeeded"
    assert list(auths(cli)) == [registry.host]
    assert "digest: sha256:" in cli("push", name)
    assert cli("login", registry.host) == "Login Succeeded"
    assert cli("logout", registry.host) == f"Removing login credentials for {registry.host}"
    assert auths(cli) == {}
    assert cli.fails("push", name).err.strip().endswith("no basic auth credentials")


def test_wrong_password(cli: Docker, registry: Registry) -> None:
    failed = cli.fails("login", "-u", "bob", "--password-stdin", registry.host, stdin=b"wrong")
    assert failed.err.startswith("Error response from daemon: ")
    assert "401 Unauthorized" in failed.err
    assert "wrong" not in failed.err
    assert auths(cli) == {}


def test_a_login_is_for_its_registry_alone(cli: Docker, registry: Registry) -> None:
    """The other one's challenge gets no credentials of the first."""
    cli("login", "-u", "bob", "-p", SECRET, registry.host)
    with Registry(users={"bob": SECRET}) as other:
        cli("tag", "busybox", f"{other.host}/cli/other")
        assert cli.fails("push", f"{other.host}/cli/other").err.strip().endswith("no basic auth credentials")
        cli("rmi", f"{other.host}/cli/other")


def test_either_reads_what_the_other_wrote(daemon: Daemon, registry: Registry) -> None:
    corten, docker = Corten(daemon.url), Docker(daemon.url)
    try:
        name = f"{registry.host}/cli/shared"
        corten("tag", "busybox", name)
        for writer, reader in ((corten, docker), (docker, corten)):
            reader.environment["DOCKER_CONFIG"] = writer.config
            writer("login", "-u", "bob", "-p", SECRET, registry.host)
            reader("push", name)
            reader("logout", registry.host)
            assert writer.result("push", name).code == 1
            reader.environment["DOCKER_CONFIG"] = reader.config
    finally:
        corten.close()
        docker.close()


def test_credential_helper(cli: Docker, registry: Registry, tmp_path) -> None:
    vault = tmp_path / "vault"
    vault.mkdir()
    program = tmp_path / "docker-credential-vault"
    program.write_text(HELPER)
    program.chmod(0o755)
    cli.environment["PATH"] = f"{tmp_path}:{cli.environment['PATH']}"
    cli.environment["VAULT"] = str(vault)
    with open(f"{cli.config}/config.json", "w") as file:
        json.dump({"credHelpers": {registry.host: "vault"}}, file)
    name = f"{registry.host}/cli/helped"
    cli("tag", "busybox", name)
    assert cli.result("push", name).code == 1
    cli("login", "-u", "bob", "--password-stdin", registry.host, stdin=SECRET.encode())
    with open(f"{cli.config}/config.json") as file:
        assert SECRET not in file.read()
    assert os.listdir(vault) == [registry.host]
    assert "digest: sha256:" in cli("push", name)
    cli("logout", registry.host)
    assert os.listdir(vault) == []
    assert cli.result("push", name).code == 1
