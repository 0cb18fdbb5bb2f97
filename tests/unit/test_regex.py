"""Clients' regular expressions: the same answers as Python's where both understand a pattern, but never slow."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corten import errors
from corten.wire.regex import Regex

ATOMS = st.sampled_from(
    ["a", "b", "ab", ".", "[ab]", "[^a]", "[a-c]", r"\d", r"\w", r"\S", r"\.", "1", "_", "^", "$", r"\b", "(?i:A)", "-"]
)
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["*", "+", "?", "*?", "{2}", "{0,2}", "{1,}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(PATTERNS, st.text("ab1_-.AB", max_size=8))
def test_agrees_with_python(pattern: str, text: str) -> None:
    python = pattern.replace("$", r"\Z")
    assert Regex(pattern).search(text) is (re.search(python, text) is not None)
    assert Regex(pattern).fullmatch(text) is (re.fullmatch(python, text) is not None)


@settings(max_examples=300, deadline=None)
@given(st.text(r"ab()[]{}|*+?.^$\123,-:ims<>P xdQE", max_size=20) | st.text(max_size=20))
def test_any_text_is_a_pattern_or_refused(pattern: str) -> None:
    try:
        Regex(pattern).search("aab1 \n")
    except errors.InvalidArgument as error:
        assert str(error).startswith("error parsing regexp: ")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(.*)*x", "(a?){30}a{30}b", ".*.*.*.*.*.*.*.*=x"])
def test_no_pattern_takes_long(pattern: str) -> None:
    assert not Regex(pattern).search("a" * 250 + "!")


@pytest.mark.parametrize(
    "pattern",
    [
        *(r"(a)\1", "(?=a)", "(?<!a)b", "a{1001}", "(a{900}){900}", "(", ")", "[", "[z-a]", "a**", "*", "\\", r"\p"),
        *("(?z)", "(" * 5000, "a" * 3000, "[[:no:]]", r"\x{110000}", "a{3,2}"),
    ],
)
def test_what_go_refuses(pattern: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="error parsing regexp: "):
        Regex(pattern)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^web", "web1", True),
        ("^web$", "web1", False),
        ("/web", "/web1", True),
        ("(?i)WEB", "web1", True),
        ("a(?i)b|c", "aB", True),
        ("[[:digit:]]{2}", "x12", True),
        (r"\Qa.b\E", "a.b", True),
        (r"\Qa.b\E", "axb", False),
        ("(?m)^b", "a\nb", True),
        ("a.b", "a\nb", False),
        ("(?s)a.b", "a\nb", True),
        (r"\x41\x{1F600}", "A😀", True),
        ("(?P<name>x)+", "xx", True),
        ("[]a]", "]", True),
        ("[a-]", "-", True),
        ("{", "{", True),
        ("", "", True),
    ],
)
def test_syntax_of_go(pattern: str, text: str, found: bool) -> None:
    assert Regex(pattern).search(text) is found
