"""``corten ps`` starts lean: the modules that it loads are pinned here, so that a heavy import is a decision."""

import os
import subprocess
import sys

from tests.support.fakedaemon import FakeDaemon

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

PROGRAM = """
import sys
sys.path.insert(0, {root!r})
from corten.cli import main
before = set()
assert main.run(["ps"]) == 0
sys.stderr.write(" ".join(sys.modules))
"""

OWN = [
    "cli",
    "cli.app",
    "cli.command",
    "cli.commands",
    "cli.commands.ps",
    "cli.container_row",
    "cli.directory",
    "cli.escape",
    "cli.failure",
    "cli.flags",
    "cli.listing",
    "cli.main",
    "cli.ports",
    "cli.table",
    "cli.units",
    "cli.values",
    "client",
    "client.client",
    "client.connection",
    "client.endpoint",
    "client.error",
    "client.query",
    "client.reader",
    "client.response",
    "client.stream",
    "errors",
]

HEAVY = [
    "argparse",
    "asyncio",
    "ast",
    "calendar",
    "concurrent",
    "contextlib",
    "copy",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "email",
    "hashlib",
    "http",
    "inspect",
    "ipaddress",
    "logging",
    "msgspec",
    "pathlib",
    "platform",
    "random",
    "rich",
    "shutil",
    "signal",
    "ssl",
    "string",
    "subprocess",
    "tempfile",
    "textwrap",
    "threading",
    "traceback",
    "typing",
    "unicodedata",
    "urllib",
    "warnings",
    "weakref",
]


def loaded(tmp_path):
    daemon = FakeDaemon(str(tmp_path / "d.sock"))
    daemon.answers["GET", "/containers/json"] = 200, []
    program = PROGRAM.format(root=ROOT)
    # -I -S: only what the program itself loads, not what this environment's site hooks load
    command = [sys.executable, "-I", "-S", "-c", program]
    env = {"PATH": os.environ["PATH"], "DOCKER_HOST": daemon.url, "HOME": str(tmp_path)}
    result = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
    assert result.stdout.startswith("CONTAINER ID"), result.stdout
    return set(result.stderr.split())


def test_ps_loads_these_of_our_modules_and_no_other(tmp_path):
    modules = {name.removeprefix("corten.") for name in loaded(tmp_path) if name.startswith("corten.")}
    assert modules == set(OWN)


def test_ps_loads_no_heavy_module(tmp_path):
    assert loaded(tmp_path).isdisjoint(HEAVY)


def test_ps_makes_one_request_on_one_connection(tmp_path):
    daemon = FakeDaemon(str(tmp_path / "d.sock"), version="1.51")
    daemon.answers["GET", "/containers/json"] = 200, []
    env = {**os.environ, "DOCKER_HOST": daemon.url, "PYTHONPATH": ROOT}
    program = "from corten.cli.main import main; main()"
    subprocess.run([sys.executable, "-c", program, "ps"], env=env, check=True, capture_output=True)
    assert [call.path for call in daemon.calls] == ["/v1.51/containers/json"]


def test_closed_standard_streams_do_no_harm(tmp_path):
    daemon = FakeDaemon(str(tmp_path / "d.sock"), version="1.51")
    daemon.answers["GET", "/containers/json"] = 200, []
    env = {**os.environ, "DOCKER_HOST": daemon.url, "PYTHONPATH": ROOT}
    command = f"exec {sys.executable} -c 'from corten.cli.main import main; main()' ps"
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        assert (
            subprocess.run(["sh", "-c", f"{command} {closed}"], env=env, capture_output=True, check=False).returncode
            == 0
        )
    assert [call.body for call in daemon.calls] == [b""] * 4
