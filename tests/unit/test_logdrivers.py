"""Log drivers: options and their texts, tags, syslog and journald messages."""

import os
import socket
import threading

import pytest

from corten import errors
from corten.model.container import ContainerConfig
from corten.model.record import Record
from corten.runtime.logdrivers import journald, registry
from corten.runtime.logdrivers.options import Storage
from corten.runtime.logdrivers.syslog import Address, Header, SyslogSender
from corten.runtime.logdrivers.tag import Source, attributes, render_tag
from corten.wire.logline import LogLine

SOURCE = Source(
    id="0123456789abcdef" * 4,
    name="web",
    image_id="sha256:" + "ab" * 32,
    image_name="busybox",
    labels={"tier": "front", "x.y": "1"},
    env=["A=1", "AB=2", "HOME=/"],
)
TIME = 1_700_000_000_123_456_789


@pytest.mark.parametrize(
    ("driver", "options", "text"),
    [
        ("fluffy", {}, "logger: no log driver named 'fluffy' is registered"),
        ("json-file", {"colour": "1"}, "unknown log opt 'colour' for json-file log driver"),
        ("json-file", {"syslog-address": "1"}, "unknown log opt 'syslog-address' for json-file log driver"),
        ("local", {"labels": "1"}, "unknown log opt 'labels' for log driver local"),
        ("syslog", {"max-size": "1"}, "unknown log opt 'max-size' for syslog log driver"),
        ("journald", {"max-size": "1"}, "unknown log opt 'max-size' for journald log driver"),
        ("json-file", {"max-size": "big"}, "invalid size: 'big'"),
        ("json-file", {"max-size": "0"}, "max-size must be a positive number"),
        ("json-file", {"max-file": "0"}, "max-file cannot be less than 1"),
        ("json-file", {"max-file": "x"}, 'strconv.Atoi: parsing "x": invalid syntax'),
        ("json-file", {"max-file": "1", "compress": "true"}, "compress cannot be true when max-file is less than 2"),
        ("json-file", {"mode": "fast"}, "logger: logging mode not supported: fast"),
        ("json-file", {"max-buffer-size": "1m"}, "only supported with 'mode=non-blocking'"),
        ("json-file", {"mode": "non-blocking", "max-buffer-size": "x"}, "error parsing option max-buffer-size: "),
        ("json-file", {"tag": "{{.Secret}}"}, "invalid tag template"),
        ("json-file", {"labels-regex": "("}, "invalid labels-regex"),
        ("syslog", {"syslog-address": "host:1"}, "syslog-address should be in form proto://address, got host:1"),
        ("syslog", {"syslog-address": "unix:///no/such"}, "stat /no/such: no such file or directory"),
        ("syslog", {"syslog-facility": "kitchen"}, "invalid syslog facility"),
        ("syslog", {"syslog-format": "xml"}, "invalid syslog format"),
    ],
)
def test_refused(driver, options, text):
    with pytest.raises(errors.InvalidArgument) as caught:
        registry.validate(driver, options)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("driver", "options", "storage"),
    [
        ("json-file", None, Storage(max_size=100_000_000, max_file=5, compress=False)),
        (
            "json-file",
            {"max-size": "10k", "max-file": "3", "compress": "true"},
            Storage(max_size=10_000, max_file=3, compress=True),
        ),
        ("json-file", {"max-size": "-1"}, Storage(max_size=-1, max_file=5, compress=False)),
        ("local", {"max-size": "1m"}, Storage(max_size=1_000_000, max_file=5, compress=True)),
        (
            "syslog",
            {"cache-max-file": "2", "mode": "non-blocking", "max-buffer-size": "4m"},
            Storage(max_size=20_000_000, max_file=2, compress=True),
        ),
        ("none", {"whatever": "1"}, None),
    ],
)
def test_storage(driver, options, storage):
    assert registry.plan(driver, options).storage == storage


def test_tags_and_attributes():
    assert render_tag({}, SOURCE) == "0123456789ab"
    assert render_tag({"tag": "{{.ImageName}}/{{ .Name }}/{{.FullID}}"}, SOURCE) == f"busybox/web/{SOURCE.id}"
    options = {"labels": "tier,missing", "env": "HOME", "env-regex": "^A"}
    assert attributes(options, SOURCE) == {"tier": "front", "HOME": "/", "A": "1", "AB": "2"}


def test_details():
    config = ContainerConfig(labels={"b": "x y", "a": "1"}, env=["E=,"])
    record = Record(id="i" * 64, name="/n", created=0, config=config, log_options={"labels": "a,b", "env": "E"})
    assert registry.details(record) == b"E=%2C,a=1,b=x+y "
    assert registry.details(Record(id="i", name="n", created=0)) == b" "


def test_syslog_formats(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    host, pid = socket.gethostname(), os.getpid()
    out, error = LogLine(TIME, 1, True, b"hello"), LogLine(TIME, 2, True, b"oh")
    tag = "0123456789ab"
    assert Header({"syslog-format": "rfc5424"}, SOURCE).message(out) == (
        f"<30>1 2023-11-14T22:13:20Z {host} {tag} {pid} {tag} - hello".encode()
    )
    assert Header({"syslog-format": "rfc5424micro", "syslog-facility": "local7"}, SOURCE).message(error) == (
        f"<187>1 2023-11-14T22:13:20.123456Z {host} {tag} {pid} {tag} - oh".encode()
    )
    assert Header({"syslog-format": "rfc3164"}, SOURCE).message(out).endswith(f" {host} {tag}[{pid}]: hello".encode())
    assert Header({}, SOURCE).message(out).startswith(b"<30>Nov 1")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", Address("local")),
        ("udp://h", Address("udp", "h", 514)),
        ("tcp+tls://[::1]:6514", Address("tcp+tls", "::1", 6514)),
        ("tcp://[::1]", Address("tcp", "::1", 514)),
    ],
)
def test_syslog_address(text, address):
    assert Address.parse(text) == address


def test_syslog_over_udp_and_tcp():
    lines = [LogLine(TIME, 1, True, b"one"), LogLine(TIME, 1, True, b"two")]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        sender = SyslogSender.connect({"syslog-address": f"udp://127.0.0.1:{server.getsockname()[1]}"}, SOURCE)
        sender.send(lines)
        assert [server.recv(999).rpartition(b": ")[2] for _ in range(2)] == [b"one", b"two"]
        sender.close()
    with socket.create_server(("127.0.0.1", 0)) as server:
        received = []

        def serve():
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as file:
                received.extend(file.readlines())

        thread = threading.Thread(target=serve)
        thread.start()
        sender = SyslogSender.connect({"syslog-address": f"tcp://127.0.0.1:{server.getsockname()[1]}"}, SOURCE)
        sender.send(lines)
        sender.close()
        thread.join(10)
        assert [line.rpartition(b": ")[2] for line in received] == [b"one\n", b"two\n"]


def test_journald_entries(tmp_path, monkeypatch):
    monkeypatch.setattr(journald, "SOCKET", str(tmp_path / "journal"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(journald.SOCKET)
        sender = journald.JournaldSender.connect({"labels": "x.y"}, SOURCE)
        sender.send([LogLine(TIME, 2, True, b"a\nb"), LogLine(TIME, 1, True, b""), LogLine(TIME, 1, False, b"c")])
        first, second = server.recv(9999), server.recv(9999)
        assert first.startswith(b"PRIORITY=3\n")
        assert b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n" in first
        assert b"CONTAINER_NAME=web\n" in first
        assert b"X_Y=1\n" in first
        assert b"MESSAGE=c\n" in second
        assert b"CONTAINER_PARTIAL_MESSAGE=true\n" in second
        big = b"x" * 1_000_000
        sender.send([LogLine(TIME, 1, True, big)])
        _, descriptors, _, _ = socket.recv_fds(server, 10, 1)
        with os.fdopen(descriptors[0], "rb") as file:
            file.seek(0)
            assert b"MESSAGE=" + big + b"\n" in file.read()
        sender.close()
