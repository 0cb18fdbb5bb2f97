"""RE2's syntax to the program of ``corten.wire.regex`` (Go's regexp/syntax).

A program is a list of steps: take one character of a set (or any), go on at several places (given from here), look at
the position, end.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from corten import errors

ANY, ONE, SPLIT, ASSERT, MATCH = range(5)
MOST_STEPS = 2000
MOST_REPEATS = 1000
DEEPEST = 100

Step = tuple[int, Any]
Program = list[Step]
Assertion = Callable[[str, int], bool]

_SPACE, _DIGIT, _WORD = " \t\n\r\f", "0-9", "0-9A-Za-z_"
_CLASSES = {"d": _DIGIT, "s": _SPACE, "w": _WORD}
_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "blank": " \t", "cntrl": "\x00-\x1f\x7f", "digit": "0-9",
    "graph": "!-~", "lower": "a-z", "print": " -~", "punct": "!-/:-@[-`{-~", "space": " \t\n\r\v\f", "upper": "A-Z",
    "word": _WORD, "xdigit": "0-9A-Fa-f", "ascii": "\x00-\x7f",
}  # fmt: skip
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_REPEAT = re.compile(r"\{(\d{1,5})(,(\d{0,5}))?\}")
_GROUP = re.compile(r"\?(?:P?<\w+>|([imsU]*)(?:-([imsU]+))?([:)]))")


class CharSet(NamedTuple):
    """Characters as ranges; *fold*: in either case."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False
    fold: bool = False

    def takes(self, char: str) -> bool:
        forms = (char, char.lower(), char.upper()) if self.fold else (char,)
        return any(low <= form <= high for low, high in self.ranges for form in forms) != self.negated


def _ranges(text: str) -> tuple[tuple[str, str], ...]:
    """ "a-z_" as ranges."""
    found = []
    while text:
        width = 3 if len(text) > 2 and text[1] == "-" else 1
        found.append((text[0], text[width - 1]))
        text = text[width:]
    return tuple(found)


def bad(what: str, where: str) -> errors.InvalidArgument:
    return errors.InvalidArgument(f"error parsing regexp: {what}: `{where}`")


def parse(pattern: str) -> Program:
    """The program of *pattern*. Raises InvalidArgument."""
    parser = _Parser(pattern)
    program = parser.alternatives(0)
    if parser.at < len(pattern):
        raise bad("unexpected )", pattern)
    return [*program, (MATCH, None)]


class _Parser:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.flags: frozenset[str] = frozenset()

    def alternatives(self, depth: int) -> Program:
        if depth > DEEPEST:
            raise bad("expression nests too deeply", self.pattern)
        before, found = self.flags, [self.sequence(depth)]
        while self._eat("|"):
            found.append(self.sequence(depth))
        self.flags = before
        program = found.pop()
        while found:
            first = found.pop()
            program = [(SPLIT, (1, len(first) + 2)), *first, (SPLIT, (len(program) + 1,)), *program]
        return self._checked(program)

    def sequence(self, depth: int) -> Program:
        program: Program = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            start = self.at
            piece = self.atom(depth)
            program += self.repeated(piece, start)
            self._checked(program)
        return program

    def repeated(self, piece: Program, start: int) -> Program:
        """*piece* with the repetition that follows it."""
        if self.at < len(self.pattern) and self.pattern[self.at] in "*+?":
            sign = self.pattern[self.at]
            self.at += 1
            least, most = (1 if sign == "+" else 0), (1 if sign == "?" else None)
        elif match := _REPEAT.match(self.pattern, self.at):
            self.at = match.end()
            least = int(match[1])
            most = least if match[2] is None else int(match[3]) if match[3] else None
            if max(least, most or 0) > MOST_REPEATS or (most is not None and most < least):
                raise bad("invalid repeat count", match[0])
        else:
            return piece
        self._eat("?")  # how much is taken first does not change whether there is a match
        if self.pattern[self.at : self.at + 1] in ("*", "+", "?"):
            raise bad("invalid nested repetition operator", self.pattern[start : self.at + 1])
        if len(piece) * max(least, most or 0, 1) > MOST_STEPS:
            raise bad("expression too large", self.pattern[:40])
        if most is None:
            loop = [(SPLIT, (1, len(piece) + 2)), *piece, (SPLIT, (-len(piece) - 1,))]
            return piece * least + loop
        optional: Program = []
        for _ in range(most - least):
            optional = [(SPLIT, (1, len(piece) + len(optional) + 1)), *piece, *optional]
        return piece * least + optional

    def atom(self, depth: int) -> Program:
        char = self.pattern[self.at]
        self.at += 1
        if char == "(":
            return self.group(depth)
        if char == "[":
            return [(ONE, self.char_class())]
        if char == ".":
            return [(ANY, None)] if "s" in self.flags else [(ONE, CharSet((("\n", "\n"),), negated=True))]
        if char == "^":
            return [(ASSERT, _line_start if "m" in self.flags else _start)]
        if char == "$":
            return [(ASSERT, _line_end if "m" in self.flags else _end)]
        if char == "\\":
            return self.escape()
        if char in "*+?":
            raise bad("missing argument to repetition operator", char)
        return [self.one(char)]

    def one(self, char: str) -> Step:
        return (ONE, CharSet(((char, char),), fold="i" in self.flags))

    def group(self, depth: int) -> Program:
        before = self.flags
        if self.pattern.startswith("?", self.at):
            match = _GROUP.match(self.pattern, self.at)
            if match is None:
                raise bad("invalid or unsupported Perl syntax", self.pattern[self.at - 1 : self.at + 3])
            self.at = match.end()
            if match[3]:
                self.flags = (before | frozenset(match[1])) - frozenset(match[2] or "")
            if match[3] == ")":
                return []  # for the rest of the group that this stands in
        program = self.alternatives(depth + 1)
        self.flags = before
        if not self._eat(")"):
            raise bad("missing closing )", self.pattern)
        return program

    def escape(self) -> Program:
        if self.at >= len(self.pattern):
            raise bad("trailing backslash at end of expression", "")
        char = self.pattern[self.at]
        if char in "AzbB":
            self.at += 1
            return [(ASSERT, {"A": _start, "z": _end, "b": _boundary, "B": _no_boundary}[char])]
        if char == "Q":
            quoted, _, _ = self.pattern[self.at + 1 :].partition("\\E")
            self.at = min(len(self.pattern), self.at + 1 + len(quoted) + 2)
            return [self.one(each) for each in quoted]
        if char.lower() in _CLASSES:
            self.at += 1
            return [(ONE, CharSet(_ranges(_CLASSES[char.lower()]), negated=char.isupper()))]
        return [self.one(self.escaped_char())]

    def escaped_char(self) -> str:
        """The character behind a backslash, which has been read."""
        char = self.pattern[self.at : self.at + 1]
        self.at += 1
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char == "x":
            match = re.compile(r"\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2})").match(self.pattern, self.at)
            if match and int(match[1] or match[2], 16) <= 0x10FFFF:
                self.at = match.end()
                return chr(int(match[1] or match[2], 16))
        elif char and not (char.isascii() and char.isalnum()):
            return char
        raise bad("invalid escape sequence", f"\\{char}")

    def char_class(self) -> CharSet:
        """Behind the opening bracket."""
        start, negated = self.at - 1, self._eat("^")
        ranges: list[tuple[str, str]] = []
        first = True
        while first or not self.pattern.startswith("]", self.at):
            first = False
            if self.at >= len(self.pattern):
                raise bad("missing closing ]", self.pattern[start:])
            if match := re.compile(r"\[:(\w+):\]").match(self.pattern, self.at):
                if match[1] not in _POSIX:
                    raise bad("invalid character class range", match[0])
                self.at = match.end()
                ranges += _ranges(_POSIX[match[1]])
                continue
            if self.pattern.startswith(("\\d", "\\s", "\\w"), self.at):
                ranges += _ranges(_CLASSES[self.pattern[self.at + 1]])
                self.at += 2
                continue
            low = high = self._class_char()
            if self.pattern.startswith("-", self.at) and not self.pattern.startswith("-]", self.at):
                self.at += 1
                high = self._class_char()
            if high < low:
                raise bad("invalid character class range", f"{low}-{high}")
            ranges.append((low, high))
        self.at += 1
        return CharSet(tuple(ranges), negated, "i" in self.flags)

    def _class_char(self) -> str:
        char = self.pattern[self.at : self.at + 1]
        self.at += 1
        if not char:
            raise bad("missing closing ]", self.pattern)
        return self.escaped_char() if char == "\\" else char

    def _eat(self, char: str) -> bool:
        if self.pattern.startswith(char, self.at):
            self.at += 1
            return True
        return False

    def _checked(self, program: Program) -> Program:
        if len(program) > MOST_STEPS:
            raise bad("expression too large", self.pattern[:40])
        return program


def _start(text: str, at: int) -> bool:
    return at == 0


def _end(text: str, at: int) -> bool:
    return at == len(text)


def _line_start(text: str, at: int) -> bool:
    return at == 0 or text[at - 1] == "\n"


def _line_end(text: str, at: int) -> bool:
    return at == len(text) or text[at] == "\n"


def _is_word(text: str, at: int) -> bool:
    return 0 <= at < len(text) and text[at].isascii() and (text[at].isalnum() or text[at] == "_")


def _boundary(text: str, at: int) -> bool:
    return _is_word(text, at - 1) != _is_word(text, at)


def _no_boundary(text: str, at: int) -> bool:
    return not _boundary(text, at)
