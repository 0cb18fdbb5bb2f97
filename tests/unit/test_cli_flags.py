"""The parser of command lines: docker's rules, its messages."""

import pytest

from corten.cli import flags
from corten.cli.command import Command
from corten.cli.flags import Flag, HelpWanted, UsageError
from corten.cli.values import BadValue, duration, ram_bytes

FLAGS = (
    Flag("interactive", short="i"),
    Flag("tty", short="t"),
    Flag("publish", "list", short="p"),
    Flag("name", "string"),
    Flag("memory", "bytes", short="m"),
    Flag("network", "list", aliases=("net",)),
    Flag("proxy", default=True),
    Flag("last", "int", short="n", default=-1),
    Flag("filter", "filter", short="f"),
)


def parse(*argv, interspersed=True):
    return flags.parse(Command(lambda app, options: 0, "", FLAGS, interspersed=interspersed), argv)


def test_short_flags_cluster_and_take_values_in_every_form():
    options = parse("-itp80:80", "-p", "81:81", "-p=82", "-ti", "x")
    assert (options.on("interactive"), options.on("tty")) == (True, True)
    assert options.texts("publish") == ["80:80", "81:81", "82"]
    assert options.args == ["x"]


def test_long_flags_and_aliases():
    options = parse("--name=a=b", "--net", "x", "--network=y", "--proxy=false")
    assert options.text("name") == "a=b"
    assert options.texts("network") == ["x", "y"]
    assert not options.on("proxy")
    assert options.given("proxy") and not options.given("memory")


def test_flags_after_arguments_count_unless_another_command_line_follows():
    assert parse("a", "-i", "b").args == ["a", "b"]
    options = parse("-t", "image", "sh", "-i", "--name", interspersed=False)
    assert options.args == ["image", "sh", "-i", "--name"]
    assert not options.on("interactive")


def test_two_dashes_end_the_flags():
    assert parse("--", "-i", "--name").args == ["-i", "--name"]
    assert parse("-").args == ["-"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--foo"], "unknown flag: --foo"),
        (["-zz"], "unknown shorthand flag: 'z' in -zz"),
        (["-ix"], "unknown shorthand flag: 'x' in -x"),
        (["--name"], "flag needs an argument: --name"),
        (["-ip"], "flag needs an argument: 'p' in -p"),
        (["-m", "foo"], 'invalid argument "foo" for "-m, --memory" flag: invalid size: \'foo\''),
        (["--tty=maybe"], 'invalid argument "maybe" for "-t, --tty" flag: strconv.ParseBool: parsing "maybe": '
                          "invalid syntax"),
        (["-n", "x"], 'invalid argument "x" for "-n, --last" flag: strconv.ParseInt: parsing "x": invalid syntax'),
        (["-f", "x"], 'invalid argument "x" for "-f, --filter" flag: bad format of filter (expected name=value)'),
    ],
)  # fmt: skip
def test_complaints_are_dockers(argv, message):
    with pytest.raises(UsageError) as caught:
        parse(*argv)
    assert str(caught.value) == message
    assert caught.value.exit_code == 125


def test_help_is_noticed_in_both_forms():
    for word in ("--help", "-h", "-ih"):
        with pytest.raises(HelpWanted):
            parse(word)


@pytest.mark.parametrize(
    ("low", "high", "count", "message"),
    [
        (1, None, 0, "corten: 'corten rm' requires at least 1 argument"),
        (0, 0, 1, "corten: 'corten rm' accepts no arguments"),
        (2, 2, 3, "corten: 'corten rm' requires 2 arguments"),
        (0, 1, 2, "corten: 'corten rm' requires at most 1 argument"),
        (1, 2, 3, "corten: 'corten rm' requires at least 1 and at most 2 arguments"),
    ],
)
def test_wrong_numbers_of_arguments(low, high, count, message):
    command = Command(lambda app, options: 0, "", minimum=low, maximum=high)
    with pytest.raises(UsageError) as caught:
        command.check_count("corten rm", count)
    assert str(caught.value) == message
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("text", "size"), [("10", 10), ("1k", 1024), ("1.5m", 3 << 19), ("2 GiB", 2 << 30), ("1TB", 1 << 40), ("-1", -1)]
)
def test_sizes(text, size):
    assert ram_bytes(text) == size


@pytest.mark.parametrize("text", ["", "x", "1z", "--1", "1 2", "_1", "1_0", "m"])
def test_what_is_no_size(text):
    with pytest.raises(BadValue):
        ram_bytes(text)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("0", 0), ("1s", 10**9), ("1.5s", 15 * 10**8), ("1h2m3s", 3723 * 10**9), ("-2ms", -2 * 10**6), ("7us", 7000)],
)
def test_durations(text, nanoseconds):
    assert duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "1", "s", "1x", "1.2.3s", "--1s", "."])
def test_what_is_no_duration(text):
    with pytest.raises(BadValue):
        duration(text)
