"""Properties that hold for any input: the parsers complain in their own words or give a result, never anything else."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corten.cli import flags, table
from corten.cli.command import Command
from corten.cli.container.flags import FLAGS
from corten.cli.escape import visible
from corten.cli.flags import HelpWanted, UsageError
from corten.cli.template import Template, TemplateError
from corten.client.demux import Demultiplexer
from corten.wire.detachkeys import DetachScanner

# a loaded machine is no reason to fail
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

PIECES = st.sampled_from(
    [
        "{{",
        "}}",
        "{{-",
        "-}}",
        ".A",
        ".B.C",
        "$x",
        ":=",
        "=",
        "|",
        "(",
        ")",
        ",",
        "range",
        "if",
        "else",
        "end",
        "with",
        "0",
        "1.5",
        '"s"',
        "`r`",
        "'c'",
        "index",
        "len",
        "json",
        "join",
        ".",
        "nil",
        "printf",
        "and",
        "or",
        "eq",
        "not",
        "break",
        "continue",
        "\n",
        "/*",
        "*/",
        "text",
    ]
)
DATA = {"A": "text", "B": {"C": [1, None, "x"]}, "N": None, "F": 1.5}


@calm
@given(st.lists(PIECES, max_size=12).map(" ".join))
def test_templates_give_text_or_a_template_error(template):
    try:
        assert isinstance(Template(template).execute(DATA), str)
    except TemplateError as error:
        assert "template" in str(error)


WORDS = st.sampled_from([f"--{flag.name}" for flag in FLAGS] + [f"-{flag.short}" for flag in FLAGS if flag.short])


@calm
@given(st.lists(WORDS | st.text(max_size=8) | st.tuples(WORDS, st.text(max_size=8)).map("=".join), max_size=6))
def test_command_lines_are_understood_or_refused(argv):
    try:
        flags.parse(Command(lambda app, options: 0, "", FLAGS, interspersed=False), argv)
    except (UsageError, HelpWanted):
        pass


@calm
@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50)), max_size=8), st.integers(1, 30))
def test_frames_survive_any_cut(frames, size):
    data = b"".join(bytes((stream, 0, 0, 0)) + len(part).to_bytes(4, "big") + part for stream, part in frames)
    seen = {1: b"", 2: b""}
    cutter = Demultiplexer()
    for start in range(0, len(data), size):
        for stream, part in cutter.feed(data[start : start + size]):
            seen[stream] += part
    for stream, whole in seen.items():
        assert whole == b"".join(part for number, part in frames if number == stream)


@calm
@given(
    st.binary(max_size=40).map(lambda data: data.translate(bytes(b"\x10\x11ab"[byte % 4] for byte in range(256)))),
    st.integers(1, 9),
)
def test_keys_pass_unless_they_detach(typed, size):
    """Before the sequence nothing is lost, save what may be its beginning."""
    watch = DetachScanner(b"\x10\x11")
    out, found = b"", False
    for start in range(0, len(typed), size):
        part, found = watch.feed(typed[start : start + size])
        out += part
        if found:
            break
    place = typed.find(b"\x10\x11")
    assert found == (place >= 0)
    assert out == (typed[:place] if found else typed.removesuffix(b"\x10") if typed.endswith(b"\x10") else typed)


@calm
@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), min_size=1, max_size=5), st.integers(20, 80))
def test_tables_hold_one_line_a_row_and_no_control_character(rows, width):
    for terminal in (None, width):
        text = table.render(rows, terminal)
        assert text.count("\n") == len(rows)
        assert text.replace("\n", "").isprintable() or not any(
            ord(char) < 32 or 127 <= ord(char) < 160 for char in text.replace("\n", "")
        )


@calm
@given(st.text())
def test_visible_text_has_no_control_character(text):
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in visible(text))
