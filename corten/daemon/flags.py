"""cortend's command line: words to values, with the rules and error texts of the flag library that dockerd uses."""

from collections.abc import Sequence
from typing import Any

from corten import errors
from corten.daemon.options import BY_FLAG, BY_SHORT, Option
from corten.daemon.values import REPEATED, from_text


def parse(words: Sequence[str]) -> dict[str, Any]:
    """Flag name -> value of every flag that was given; repeated kinds are merged. InvalidArgument otherwise."""
    found: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            _refuse_words(rest)
            break
        if word.startswith("--"):
            name, equals, text = word[2:].partition("=")
            option = BY_FLAG.get(name)
            if option is None:
                raise errors.InvalidArgument(f"unknown flag: --{name}")
            _store(found, option, _value(option, equals, text, rest, f"--{name}"))
        elif word.startswith("-") and len(word) > 1:
            _short_flags(found, word[1:], rest)
        else:
            _refuse_words([word])
    return found


def _refuse_words(words: list[str]) -> None:
    if words:
        raise errors.InvalidArgument('"cortend" accepts no arguments.')


def _short_flags(found: dict[str, Any], letters: str, rest: list[str]) -> None:
    word = letters
    while letters:
        letter, letters = letters[0], letters[1:]
        option = BY_SHORT.get(letter)
        if option is None:
            raise errors.InvalidArgument(f"unknown shorthand flag: '{letter}' in -{word}")
        if option.kind == "bool" and not letters.startswith("="):
            _store(found, option, "true")
            continue
        equals = "=" if letters else ""
        _store(found, option, _value(option, equals, letters.removeprefix("="), rest, f"'{letter}' in -{word}"))
        return


def _value(option: Option, equals: str, text: str, rest: list[str], shown: str) -> str:
    if equals:
        return text
    if option.kind == "bool":
        return "true"
    if not rest:
        raise errors.InvalidArgument(f"flag needs an argument: {shown}")
    return rest.pop(0)


def _store(found: dict[str, Any], option: Option, text: str) -> None:
    try:
        value = from_text(option.kind, text)
    except ValueError as error:
        names = f"-{option.short}, --{option.flag}" if option.short else f"--{option.flag}"
        raise errors.InvalidArgument(f'invalid argument "{text}" for "{names}" flag: {error}') from error
    if option.kind in REPEATED and option.flag in found:
        previous = found[option.flag]
        value = {**previous, **value} if isinstance(value, dict) else [*previous, *value]
    found[option.flag] = value
