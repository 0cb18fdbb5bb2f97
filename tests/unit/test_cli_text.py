"""Tables, sizes, times, ports and what else is shown."""

import time

import pytest

from corten.cli import container_row, image_row, moment, table, units
from corten.cli.copy import paths
from corten.cli.escape import visible
from corten.cli.ports import published
from corten.cli.stats_row import row as stats_row
from corten.cli.terminal import parse_keys
from corten.wire.detachkeys import DetachScanner


def test_columns_are_three_apart_and_at_least_ten_wide():
    assert table.render([("A", "LONG HEADING", "Z"), ("x", "y", "")]) == (
        "A         LONG HEADING   Z\nx         y              \n"
    )


def test_control_bytes_of_a_name_never_reach_the_terminal():
    text = table.render([("NAME", "X"), ("a\x1b[31mb\n\x9b\x7f", "y")])
    assert text.count("\n") == 2
    assert "\x1b" not in text and "\x9b" not in text and "\\x1b[31mb\\n\\x9b\\x7f" in text
    assert visible("plain ö 漢") == "plain ö 漢"


def test_wide_characters_count_double():
    lines = table.render([("漢字", "x"), ("ab", "y")]).splitlines()
    assert lines[0].index("x") == len("漢字") + 6 and lines[1].index("y") == 10


def test_a_table_shrinks_its_widest_column_to_fit_the_terminal():
    text = table.render([("ID", "COMMAND", "N"), ("1", "c" * 100, "n" * 20)], 60)
    assert max(map(len, text.splitlines())) == 60
    assert "c…" in text and "n" * 20 in text


@pytest.mark.parametrize(
    ("size", "digits", "text"),
    [
        (0, 3, "0B"),
        (999, 3, "999B"),
        (1000, 3, "1kB"),
        (1984000, 3, "1.98MB"),
        (1984000, 4, "1.984MB"),
        (5e9, 3, "5GB"),
    ],
)
def test_decimal_sizes(size, digits, text):
    assert units.decimal_size(size, digits) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "Less than a second"), (1.2, "1 second"), (59, "59 seconds"), (60, "About a minute"), (150, "2 minutes"),
        (3600, "About an hour"), (5400, "2 hours"), (86400 * 3, "3 days"), (86400 * 20, "2 weeks"),
        (86400 * 90, "3 months"), (86400 * 800, "2 years"),
    ],
)  # fmt: skip
def test_spans_of_time(seconds, text):
    assert units.span(seconds) == text


def port(private, public=0, ip="", kind="tcp"):
    return {"PrivatePort": private, "Type": kind, **({"PublicPort": public, "IP": ip} if public else {})}


@pytest.mark.parametrize(
    ("ports", "text"),
    [
        ([port(80)], "80/tcp"),
        ([port(80), port(81), port(82), port(90)], "80-82/tcp, 90/tcp"),
        ([port(80, 8080, "0.0.0.0")], "0.0.0.0:8080->80/tcp"),
        ([port(80, 8080, "0.0.0.0"), port(80, 8080, "::")], "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"),
        ([port(80, 80, "0.0.0.0"), port(81, 81, "0.0.0.0")], "0.0.0.0:80-81->80-81/tcp"),
        ([port(53, 53, "1.2.3.4", "udp"), port(53, 53, "1.2.3.4")], "1.2.3.4:53->53/tcp, 1.2.3.4:53->53/udp"),
        ([port(90), port(80, 8080, "0.0.0.0")], "90/tcp, 0.0.0.0:8080->80/tcp"),
    ],
)
def test_ports(ports, text):
    assert sorted(published(ports).split(", ")) == sorted(text.split(", "))


CONTAINER = {
    "Id": "0123456789abcdef", "Names": ["/web", "/other/alias"], "Image": "img", "ImageID": "sha256:ff", "Created": 100,
    "Command": "sh -c 'a very long command line'", "State": "running", "Status": "Up", "Labels": {"b": "1", "a": "2"},
    "Mounts": [{"Name": "a-very-long-volume-name", "Driver": "local"}, {"Source": "/x"}],
    "NetworkSettings": {"Networks": {"z": {}, "bridge": {}}}, "SizeRw": 1500, "SizeRootFs": 2000000,
}  # fmt: skip


def test_a_container_as_a_row():
    row = container_row.row(CONTAINER, full=False, now=200)
    assert (row["ID"], row["Names"], row["RunningFor"]) == ("0123456789ab", "web", "About a minute ago")
    assert row["Command"] == '"sh -c \'a very long …"'
    assert (row["Labels"], row["Label"]("a"), row["Label"]("x")) == ("a=2,b=1", "2", "")
    assert (row["Mounts"], row["LocalVolumes"], row["Networks"]) == ("a-very-long-vo…,/x", "1", "bridge,z")
    assert row["Size"] == "1.5kB (virtual 2MB)"
    assert container_row.row(CONTAINER, full=True, now=200)["Names"] == "web,other/alias"


def test_an_image_has_a_row_for_every_name():
    image = {"Id": "sha256:" + "a" * 64, "Created": 1, "Size": 10, "RepoTags": ["x:1", "r:5000/y:2"],
             "RepoDigests": ["x@sha256:1", "z@sha256:2"]}  # fmt: skip
    rows = image_row.rows(image, full=False, digests=True, now=2)
    assert [(row["Repository"], row["Tag"], row["Digest"]) for row in rows] == [
        ("x", "1", "sha256:1"),
        ("r:5000/y", "2", "<none>"),
        ("z", "<none>", "sha256:2"),
    ]
    nameless = image_row.rows({**image, "RepoTags": [], "RepoDigests": []}, full=False, digests=False, now=2)
    assert [(row["Repository"], row["Tag"]) for row in nameless] == [("<none>", "<none>")]


def test_statistics():
    sample = {
        "id": "f" * 64, "name": "/web", "pids_stats": {"current": 3},
        "cpu_stats": {"cpu_usage": {"total_usage": 300}, "system_cpu_usage": 2000, "online_cpus": 2},
        "precpu_stats": {"cpu_usage": {"total_usage": 100}, "system_cpu_usage": 1000},
        "memory_stats": {"usage": 3 << 20, "limit": 8 << 20, "stats": {"inactive_file": 1 << 20}},
        "networks": {"a": {"rx_bytes": 1000, "tx_bytes": 1}, "b": {"rx_bytes": 1000, "tx_bytes": 1}},
        "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 5}, {"op": "write", "value": 6}]},
    }  # fmt: skip
    row = stats_row("web", sample)
    assert (row["CPUPerc"], row["MemUsage"], row["MemPerc"]) == ("40.00%", "2MiB / 8MiB", "25.00%")
    assert (row["NetIO"], row["BlockIO"], row["PIDs"], row["Name"]) == ("2kB / 2B", "5B / 6B", "3", "web")
    assert stats_row("gone", None)["CPUPerc"] == "--"


def test_moments(monkeypatch):
    assert moment.parse("1970-01-01T00:00:01.5Z") == 1_500_000_000
    assert moment.parse("1970-01-01T02:00:00+01:00") == 3600 * 10**9
    assert moment.stamp("123.5") == "123.5"
    assert moment.stamp("1970-01-01T00:00:02Z") == "2.000000000"
    monkeypatch.setattr(time, "time_ns", lambda: 100 * 10**9)
    assert moment.stamp("40s") == "60.000000000"
    with pytest.raises(Exception, match="neither a time nor a duration"):
        moment.stamp("yesterday")


def test_detach_keys():
    assert parse_keys("ctrl-p,ctrl-q") == b"\x10\x11"
    assert parse_keys("a,ctrl-@,ctrl-[") == b"a\0\x1b"
    with pytest.raises(Exception, match="Unknown character"):
        parse_keys("ctrl-p,nope")


def test_the_detach_sequence_is_found_and_what_only_looks_like_it_passes():
    watch = DetachScanner(b"\x10\x11")
    assert watch.feed(b"ab\x10") == (b"ab", False)
    assert watch.feed(b"c\x10\x10") == (b"\x10c\x10", False)
    assert watch.feed(b"\x11rest") == (b"", True)
    assert DetachScanner(b"x").feed(b"abxc") == (b"ab", True)


@pytest.mark.parametrize(
    ("argument", "container", "path"),
    [("web:/x", "web", "/x"), ("/a:b", "", "/a:b"), ("./a:b", "", "./a:b"), ("-", "", "-"), ("web:", "web", "")],
)
def test_which_side_a_path_of_cp_is_on(argument, container, path):
    assert paths.split(argument) == (container, path)


@pytest.mark.parametrize(
    ("path", "absolute"),
    [("x", "/x"), ("", "/"), ("/a/../b/", "/b/"), ("/a/.", "/a/."), ("../../x", "/x"), ("/.", "/.")],
)
def test_paths_in_containers(path, absolute):
    assert paths.in_container(path) == absolute
