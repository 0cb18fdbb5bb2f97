"""cortend's flags and daemon.json."""

import json
import os

import pytest

from corten.daemon.checks import registry_config
from corten.daemon.config import Config
from corten.daemon.options import OPTIONS
from corten.daemon.values import Runtime, size
from corten.errors import InvalidArgument
from corten.model.container import Ulimit


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "daemon.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return ["--config-file", str(path)]

    return write


@pytest.fixture
def empty(file):
    return file("{}")


def test_flags_in_every_form(empty):
    words = (
        "-H unix:///a -Hfd:// --host=tcp://[::1]:1 -Dl warn --mtu=9000 --icc=false --default-ulimit nofile=10:20 "
        "--default-ulimit=nproc=5 --log-opt max-size=10m --add-runtime mine=/usr/bin/mine --default-runtime=mine "
        "--default-shm-size 1g --feature x=true"
    )
    config = Config.load([*empty, *words.split()])
    assert config.hosts == ("unix:///a", "fd://", "tcp://[::1]:1")
    assert (config.debug, config.log_level, config.level) == (True, "warn", "debug")
    assert (config.mtu, config.icc) == (9000, False)
    assert config.default_ulimits == {
        "nofile": Ulimit(name="nofile", soft=10, hard=20),
        "nproc": Ulimit(name="nproc", soft=5, hard=5),
    }
    assert config.log_options == {"max-size": "10m"}
    assert config.runtimes == {"mine": Runtime(path="/usr/bin/mine")}
    assert config.default_shm_size == 1 << 30
    assert config.features == {"x": True}


def test_file_has_the_same_settings(file):
    config = Config.load(
        file(
            {
                "hosts": ["unix:///a"],
                "debug": True,
                "mtu": 1400,
                "live-restore": True,
                "labels": ["a=b"],
                "runtimes": {"mine": {"path": "/m", "runtimeArgs": ["--x"]}},
                "log-opts": {"max-file": "3"},
                "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 2, "Soft": 1}},
                "dns": ["1.1.1.1"],
                "default-shm-size": "128M",
                "bip": "10.9.0.1/16",
                "insecure-registries": ["r:5000"],
                "storage-opts": None,
                "userns-remap": "",
            }
        )
    )
    assert config.runtimes == {"mine": Runtime(path="/m", arguments=("--x",))}
    assert config.default_ulimits["nofile"] == Ulimit(name="nofile", soft=1, hard=2)
    assert config.default_shm_size == 128 << 20
    assert (config.hosts, config.labels, config.dns) == (("unix:///a",), ("a=b",), ("1.1.1.1",))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--foo"], "unknown flag: --foo"),
        (["-Dx"], "unknown shorthand flag: 'x' in -Dx"),
        (["--mtu", "a"], 'invalid argument "a" for "--mtu" flag: strconv.ParseInt: parsing "a": invalid syntax'),
        (["--debug=maybe"], 'invalid argument "maybe" for "-D, --debug" flag: strconv.ParseBool: parsing "maybe": '),
        (["--host"], "flag needs an argument: --host"),
        (["serve"], '"cortend" accepts no arguments.'),
        (["--metrics-addr", "x"], "--metrics-addr is not supported: a metrics listener is not built yet"),
        (["--live-restore=false"], "containers always outlive cortend"),
        (["--userns-remap=default"], "--userns-remap is not supported"),
        (["-l", "loud"], "invalid logging level: loud"),
        (["--label", "x"], "bad attribute format: x"),
        (["--label", "x=1", "--label", "x=2"], "conflict labels for x=2 and x=1"),
        (["--default-runtime", "nope"], "specified default runtime 'nope' does not exist"),
        (["--add-runtime", "runc=/x"], "runtime name 'runc' is reserved"),
        (["--dns", "1.2.3"], "1.2.3 is not an ip address"),
        (["--bip", "10.0.0.1"], "invalid CIDR address: 10.0.0.1"),
        (["-b", "br0", "--bip", "10.0.0.1/8"], "mutually exclusive"),
        (["--max-download-attempts=0"], "invalid max download attempts: 0"),
        (["-s", "btrfs"], "driver not supported: btrfs"),
        (["--log-opt", "x=1"], "failed to set log opts: unknown log opt 'x' for json-file log driver"),
        (["--log-driver", "x"], "failed to set log opts: logger: no log driver named 'x' is registered"),
        (["--feature", "containerd-snapshotter=false"], "feature containerd-snapshotter cannot be off"),
        (["--min-api-version=1.40"], "every API version from 1.24 on is served"),
        (["--ip6tables=false"], "rules for IPv4 and IPv6 are one set here"),
        (["--default-address-pool", "base=10.0.0.0/8,size=24"], "the pools of new networks are fixed"),
        (["-H", "npipe://x"], "invalid bind address format"),
        (["--default-ulimit", "nofile=5:2"], "ulimit soft limit must be less than or equal to hard limit: 5 > 2"),
    ],
)
def test_refused_flags(empty, words, text):
    with pytest.raises(InvalidArgument) as caught:
        Config.load([*empty, *words])
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"colour": 1, "art": 2}, "the following directives don't match any configuration option: art, colour"),
        ({"mtu": "1500"}, 'invalid value for "mtu": expected a number'),
        ({"debug": 1}, 'invalid value for "debug": expected true or false'),
        ({"labels": "a"}, 'invalid value for "labels": expected a list'),
        ({"metrics-addr": "x"}, "a metrics listener is not built yet"),
        ({"live-restore": False}, "containers always outlive cortend"),
        ("[1]", "expected a JSON object"),
        ("{", "invalid JSON"),
    ],
)
def test_refused_files(file, content, text):
    with pytest.raises(InvalidArgument) as caught:
        Config.load(file(content))
    assert str(caught.value).startswith("unable to configure the Docker daemon with file ")
    assert text in str(caught.value)


def test_conflict_of_flag_and_file(file):
    words = file({"labels": ["a=b"], "debug": False, "mtu": 1400})
    with pytest.raises(InvalidArgument) as caught:
        Config.load([*words, "-D", "--label=c=d"])
    assert (
        "the following directives are specified both as a flag and in the configuration file: "
        "labels: (from flag: [c=d], from file: [a=b]), debug: (from flag: true, from file: false)"
    ) in str(caught.value)


def test_missing_files(tmp_path, monkeypatch):
    monkeypatch.setattr("corten.daemon.config.DEFAULT_FILE", str(tmp_path / "none"))
    assert Config.load([]).debug is False
    with pytest.raises(InvalidArgument, match="no such file or directory"):
        Config.load(["--config-file", str(tmp_path / "none")])


def test_reload_takes_only_what_may_change(file):
    words = file({"debug": False, "mtu": 1400})
    before = Config.load(words)
    file({"debug": True, "mtu": 1500, "labels": ["a=b"]})
    after, waiting = Config.reload(before, words)
    assert (after.debug, after.labels, after.mtu) == (True, ("a=b",), 1400)
    assert waiting == ["mtu"]
    assert after.reload_attributes()["labels"] == '["a=b"]'


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("1k", 1024), ("1.5 GiB", 3 << 29), ("64MB", 64 << 20)])
def test_sizes(text, value):
    assert size(text) == value


def test_settings_of_registries(file, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "from.environment")
    content = {
        "proxies": {"http-proxy": "http://p:3128", "https-proxy": "p:3129"},
        "insecure-registries": ["r:5000", "10.0.0.0/8"],
        "registry-mirrors": ["https://mirror.example"],
        "registry-realms": {"r.example": "login.example.net"},
        "max-download-attempts": 7,
    }
    made = registry_config(Config.load(file(content)))
    assert (made.proxies.http, made.proxies.https) == ("http://p:3128", "http://p:3129")
    assert made.proxies.no_proxy == "from.environment"
    assert made.insecure_hosts == {"r:5000"} and made.mirrors == ("https://mirror.example/",)
    assert made.realms == {"r.example": {"login.example.net"}} and made.attempts == 7


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"http-proxy": "http://p"}, "don't match any configuration option: http-proxy"),
        ({"proxies": {"ftp-proxy": "x"}}, 'invalid value for "proxies"'),
        ({"proxies": "x"}, 'invalid value for "proxies"'),
        ({"proxies": {"http-proxy": "socks5://p"}}, "socks5"),
        ({"registry-mirrors": ["https://m/path"]}, "path, query, or fragment"),
        ({"insecure-registries": ["ftp://x"]}, "should not contain '://'"),
    ],
)
def test_settings_of_registries_that_are_none(file, content, words):
    with pytest.raises(InvalidArgument) as caught:
        Config.load(file(content))
    assert words in str(caught.value)


def test_every_option_is_documented():
    path = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "configuration.md")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    assert [option.flag for option in OPTIONS if f"`--{option.flag}`" not in text] == []
    assert [option.key for option in OPTIONS if option.field and f"`{option.key}`" not in text and option.key] == []
