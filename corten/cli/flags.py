"""Parsing of command lines as docker's users know them.

Short flags cluster (``-it``), take their value attached or after a space or ``=``; long flags take ``--name value`` or
``--name=value``; a boolean takes a value only with ``=``. Commands that end in another command line (run, exec) stop
looking for flags at the first argument that is none.
"""

from __future__ import annotations

from corten.cli import values
from corten.cli.values import BadValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from corten.cli.command import Command


class UsageError(Exception):
    """A command line that cannot be understood; ``exit_code`` is what docker exits with in that case."""

    def __init__(self, message: str, exit_code: int = 125) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class HelpWanted(Exception):
    """``--help`` was given."""


class Flag:
    """One flag. ``kind`` names its type as help shows it, and chooses the parser in ``values``."""

    __slots__ = ("aliases", "default", "help", "hidden", "kind", "name", "short", "shown")

    def __init__(
        self,
        name: str,
        kind: str = "bool",
        help: str = "",
        *,
        short: str = "",
        default: Any = None,
        shown: str = "",
        aliases: Sequence[str] = (),
        hidden: bool = False,
    ) -> None:
        self.name = name
        self.kind = kind
        self.help = help
        self.short = short
        self.default = default
        self.shown = shown
        self.aliases = aliases
        self.hidden = hidden

    @property
    def label(self) -> str:
        """How messages name the flag: ``-m, --memory``."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


class Options:
    """The parsed command line: ``args`` and the flags' values, by flag name."""

    __slots__ = ("_given", "_values", "args")

    def __init__(self, flags: Sequence[Flag]) -> None:
        self.args: list[str] = []
        self._given: set[str] = set()
        self._values: dict[str, Any] = {flag.name: _empty(flag) for flag in flags}

    def given(self, name: str) -> bool:
        """Whether the user gave the flag, whatever its value."""
        return name in self._given

    def __contains__(self, name: str) -> bool:
        """Whether the command has such a flag."""
        return name in self._values

    def on(self, name: str) -> bool:
        return self._values[name] is True

    def text(self, name: str) -> str:
        return str(self._values[name])

    def number(self, name: str) -> int:
        return int(self._values[name])

    def texts(self, name: str) -> list[str]:
        return list(self._values[name])

    def value(self, name: str) -> Any:
        return self._values[name]

    def set(self, flag: Flag, text: str) -> None:
        """Record a value. UsageError when it is none for this kind of flag."""
        try:
            value = values.parse(flag.kind, text)
        except BadValue as error:
            raise UsageError(f'invalid argument "{text}" for "{flag.label}" flag: {error}') from None
        self._given.add(flag.name)
        if flag.kind in values.REPEATED:
            self._values[flag.name].append(value)
        else:
            self._values[flag.name] = value


def _empty(flag: Flag) -> Any:
    if flag.default is not None:
        return flag.default
    if flag.kind in values.REPEATED:
        return []
    if flag.kind == "bool":
        return False
    return 0 if flag.kind in values.NUMBERS else ""


def parse(command: Command, argv: Sequence[str]) -> Options:
    """Parse what follows the command's name. UsageError or HelpWanted."""
    flags = command.flags
    options = Options(flags)
    parser = _Parser(flags, options)
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            options.args.extend(rest)
            break
        if len(word) < 2 or word[0] != "-":
            options.args.append(word)
            if not command.interspersed:
                options.args.extend(rest)
                break
        elif word[1] == "-":
            parser.long(word, rest)
        else:
            parser.cluster(word, rest)
    return options


class _Parser:
    __slots__ = ("_long", "_options", "_short")

    def __init__(self, flags: Sequence[Flag], options: Options) -> None:
        self._options = options
        self._long = {flag.name: flag for flag in flags}
        self._long.update({alias: flag for flag in flags for alias in flag.aliases})
        self._short = {flag.short: flag for flag in flags if flag.short}

    def long(self, word: str, rest: list[str]) -> None:
        name, equals, value = word[2:].partition("=")
        flag = self._long.get(name)
        if flag is None:
            if name == "help":
                raise HelpWanted
            raise UsageError(f"unknown flag: --{name}")
        if not equals:
            value = self._value(flag, rest, lambda: f"flag needs an argument: --{name}")
        self._options.set(flag, value)

    def cluster(self, word: str, rest: list[str]) -> None:
        for position in range(1, len(word)):
            letter = word[position]
            flag = self._short.get(letter)
            if flag is None:
                if letter == "h":
                    raise HelpWanted
                raise UsageError(f"unknown shorthand flag: {letter!r} in -{word[position:]}")
            attached = word[position + 1 :]
            if attached.startswith("="):
                self._options.set(flag, attached[1:])
                return
            if flag.kind != "bool":
                message = f"flag needs an argument: {letter!r} in -{word[position:]}"
                self._options.set(flag, attached or self._value(flag, rest, lambda text=message: text))  # type: ignore[misc]
                return
            self._options.set(flag, "true")

    @staticmethod
    def _value(flag: Flag, rest: list[str], complaint: Callable[[], str]) -> str:
        if flag.kind == "bool":
            return "true"
        if not rest:
            raise UsageError(complaint())
        return rest.pop(0)
