"""Parsing of Go's template language (text/template) as far as docker's users need it.

A template becomes a list of nodes: text, actions, if/with/range blocks, break and continue. An action is a pipeline of
commands, each a list of operands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
    |(?P<char>'(?:[^'\\]|\\.)+')
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?))
    |(?P<field>\.[A-Za-z_]\w*)
    |(?P<variable>\$\w*)
    |(?P<word>[A-Za-z_]\w*)
    |(?P<symbol>:=|[=|(),.])
    )""",
    re.VERBOSE,
)


class ParseError(Exception):
    """The template's text is wrong; ``line`` is where."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of an action; ``spaced`` tells a field of its own from one that belongs to what is before it."""

    kind: str
    text: str
    position: int
    line: int
    spaced: bool


@dataclass(slots=True)
class Operand:
    """A value: ``kind`` is literal, dot, nil, variable, function or pipeline; ``fields`` are looked up in it."""

    kind: str
    value: object
    token: Token
    fields: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        base = "" if self.kind == "dot" else str(self.value)
        return base + "".join(f".{name}" for name in self.fields) or "."


@dataclass(slots=True)
class Pipeline:
    """Commands, each fed into the next; ``names`` are the variables that take the result."""

    commands: list[list[Operand]]
    names: list[str] = field(default_factory=list)
    declares: bool = False


@dataclass(slots=True)
class Text:
    text: str


@dataclass(slots=True)
class Action:
    pipeline: Pipeline


@dataclass(slots=True)
class Jump:
    kind: str


@dataclass(slots=True)
class Block:
    """``if``, ``with`` or ``range``; ``other`` is what follows ``else``."""

    kind: str
    pipeline: Pipeline
    body: list[Node] = field(default_factory=list)
    other: list[Node] = field(default_factory=list)


Node = Text | Action | Jump | Block


def parse(source: str) -> list[Node]:
    """The nodes of ``source``. ParseError with Go's words when it is no template."""
    parser = _Parser(_split(source))
    nodes, end = parser.nodes(())
    if end is not None:
        raise ParseError(f"unexpected {{{{{end}}}}}", 1)
    return nodes


def _split(source: str) -> list[Text | list[Token]]:
    """Text and the tokens of actions, in order; trim markers and comments are done with here."""
    parts: list[Text | list[Token]] = []
    position = 0
    trim = False
    while position < len(source):
        start = source.find("{{", position)
        text = source[position:] if start < 0 else source[position:start]
        if trim:
            text = text.lstrip()
        if start < 0:
            parts.append(Text(text))
            break
        begin = start + 2
        if source[begin : begin + 1] == "-" and source[begin + 1 : begin + 2].isspace():
            text = text.rstrip()
            begin += 2
        parts.append(Text(text))
        tokens, position, trim = _action(source, begin)
        if tokens is not None:
            parts.append(tokens)
    return parts


def _action(source: str, begin: int) -> tuple[list[Token] | None, int, bool]:
    line = source.count("\n", 0, begin) + 1
    if source.startswith("/*", begin):
        end = source.find("*/", begin)
        rest = re.compile(r"\s*(-?)\}\}").match(source, end + 2) if end >= 0 else None
        if rest is None:
            raise ParseError("unclosed comment", line)
        return None, rest.end(), bool(rest.group(1))
    tokens: list[Token] = []
    position = begin
    while True:
        space = re.compile(r"\s*").match(source, position)
        after = space.end() if space else position
        if source.startswith("}}", after):
            return tokens, after + 2, False
        if source.startswith("-}}", after) and after > position:
            return tokens, after + 3, True
        found = _TOKEN.match(source, position)
        if found is None or found.lastgroup is None:
            if after >= len(source):
                raise ParseError("unclosed action", line)
            if source[after] == '"':
                raise ParseError("unterminated quoted string", line)
            raise ParseError(f"unexpected {source[after]!r} in command", line)
        kind = found.lastgroup
        start = found.start(kind)
        tokens.append(Token(kind, found.group(kind), start, line, start > position or position == begin))
        position = found.end()


class _Parser:
    def __init__(self, parts: list[Text | list[Token]]) -> None:
        self._parts = parts
        self._next = 0
        self._depth = 0

    def nodes(self, ends: tuple[str, ...]) -> tuple[list[Node], str | None]:
        """Nodes up to one of ``ends`` or the template's end, and what ended them."""
        result: list[Node] = []
        while self._next < len(self._parts):
            part = self._parts[self._next]
            self._next += 1
            if isinstance(part, Text):
                if part.text:
                    result.append(part)
                continue
            word = part[0].text if part and part[0].kind == "word" else ""
            if word in ("end", "else"):
                if word not in ends:
                    raise ParseError(f"unexpected {{{{{word}}}}}", part[0].line)
                if word == "else" and len(part) > 1:
                    self._parts.insert(self._next, part[1:])
                    return result, "else if"
                return result, word
            result.append(self._node(word, part))
        return result, None

    def _node(self, word: str, tokens: list[Token]) -> Node:
        if word in ("break", "continue") and len(tokens) == 1:
            return Jump(word)
        if word in ("if", "with", "range"):
            return self._block(word, tokens)
        if word in ("define", "template", "block"):
            raise ParseError(f"{word} is not supported here", tokens[0].line)
        if not tokens:
            raise ParseError("missing value for command", 1)
        return Action(_Pipe(tokens).whole())

    def _block(self, kind: str, tokens: list[Token]) -> Block:
        if len(tokens) == 1:
            raise ParseError(f"missing value for {kind}", tokens[0].line)
        block = Block(kind, _Pipe(tokens[1:]).whole())
        block.body, end = self.nodes(("end", "else"))
        if end == "else if":
            nested = self._parts[self._next]
            self._next += 1
            assert not isinstance(nested, Text)
            block.other = [self._node(nested[0].text, nested)]
            return block
        if end == "else":
            block.other, end = self.nodes(("end",))
        if end is None:
            raise ParseError("unexpected EOF", tokens[0].line)
        return block


class _Pipe:
    """Turns the tokens of one action into a pipeline."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._next = 0

    def whole(self) -> Pipeline:
        pipeline = self._pipeline()
        if self._next < len(self._tokens):
            raise ParseError(f"unexpected {self._tokens[self._next].text!r} in command", self._tokens[0].line)
        return pipeline

    def _peek(self, offset: int = 0) -> Token | None:
        at = self._next + offset
        return self._tokens[at] if at < len(self._tokens) else None

    def _is(self, text: str, offset: int = 0) -> bool:
        token = self._peek(offset)
        return token is not None and token.kind == "symbol" and token.text == text

    def _pipeline(self) -> Pipeline:
        names, declares = self._declaration()
        commands = [self._command()]
        while self._is("|"):
            self._next += 1
            commands.append(self._command())
        return Pipeline(commands, names, declares)

    def _declaration(self) -> tuple[list[str], bool]:
        names: list[str] = []
        ahead = 0
        while (token := self._peek(ahead)) is not None and token.kind == "variable":
            names.append(token.text)
            ahead += 1
            if not self._is(",", ahead):
                break
            ahead += 1
        if names and (self._is(":=", ahead) or self._is("=", ahead)):
            declares = self._is(":=", ahead)
            self._next += ahead + 1
            return names, declares
        return [], False

    def _command(self) -> list[Operand]:
        operands: list[Operand] = []
        while (token := self._peek()) is not None and not (token.kind == "symbol" and token.text in "|)"):
            operands.append(self._operand(token))
        if not operands:
            raise ParseError("missing value for command", self._tokens[0].line)
        return operands

    def _operand(self, token: Token) -> Operand:
        self._next += 1
        operand = self._base(token)
        while (follow := self._peek()) is not None and follow.kind == "field" and not follow.spaced:
            operand.fields.append(follow.text[1:])
            self._next += 1
        return operand

    def _base(self, token: Token) -> Operand:
        if token.kind == "field":
            return Operand("dot", None, token, [token.text[1:]])
        if token.kind == "variable":
            return Operand("variable", token.text, token)
        if token.kind == "word":
            if token.text in ("true", "false"):
                return Operand("literal", token.text == "true", token)
            return Operand("nil" if token.text == "nil" else "function", token.text, token)
        if token.kind in ("string", "char", "number"):
            return Operand("literal", literal(token), token)
        if token.text == ".":
            return Operand("dot", None, token)
        if token.text == "(":
            inner = self._pipeline()
            if not self._is(")"):
                raise ParseError("unclosed left paren", token.line)
            self._next += 1
            return Operand("pipeline", inner, token)
        raise ParseError(f"unexpected {token.text!r} in operand", token.line)


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def literal(token: Token) -> object:
    """The value of a string, character or number."""
    text = token.text
    if token.kind == "number":
        return float(text) if any(char in text for char in ".eE") and "x" not in text.lower() else int(text, 0)
    if text[0] == "`":
        return text[1:-1]
    value = re.sub(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", _unescape, text[1:-1])
    return ord(value[0]) if token.kind == "char" else value


def _unescape(found: re.Match[str]) -> str:
    code = found.group(1)
    return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPES.get(code, code)
