"""Regular expressions of clients, matched in time proportional to the text, as Go's regexp does (RE2's syntax).

Python's own module tries alternatives one after the other and can take longer than the universe for a short pattern,
with every other thread standing still. Here all alternatives go forward together, one character at a time. What cannot
be matched so, back-references and look-around, is refused, as in Go.
"""

from corten import errors
from corten.wire.regexparse import ANY, ASSERT, MATCH, ONE, SPLIT, Program, parse

LONGEST_PATTERN = 2000


class Regex:
    """A compiled pattern. Raises InvalidArgument with Go's words for a bad one."""

    __slots__ = ("_plain", "_program")

    def __init__(self, pattern: str) -> None:
        if len(pattern) > LONGEST_PATTERN:
            raise errors.InvalidArgument("error parsing regexp: expression too large")
        self._plain = pattern if pattern.isalnum() and pattern.isascii() else None
        self._program: Program = [] if self._plain is not None else parse(pattern)

    def search(self, text: str) -> bool:
        """Whether the pattern matches anywhere in *text*."""
        return self._plain in text if self._plain is not None else self._run(text, anywhere=True)

    def fullmatch(self, text: str) -> bool:
        """Whether the pattern matches all of *text*."""
        return self._plain == text if self._plain is not None else self._run(text, anywhere=False)

    def _run(self, text: str, anywhere: bool) -> bool:
        program = self._program
        waiting: set[int] = set()
        for at in range(len(text) + 1):
            if anywhere or at == 0:
                waiting.add(0)
            here: set[int] = set()
            matched = self._follow(waiting, here, text, at)
            if matched and (anywhere or at == len(text)):
                return True
            if at == len(text):
                return False
            char = text[at]
            waiting = {
                number + 1
                for number in here
                if (step := program[number])[0] == ANY or (step[0] == ONE and step[1].takes(char))
            }
            if not waiting and not anywhere:
                return False
        return False

    def _follow(self, waiting: set[int], here: set[int], text: str, at: int) -> bool:
        """Put the steps into *here* that *waiting* leads to without a character; says whether the end is among them."""
        program, stack, seen, matched = self._program, list(waiting), set(waiting), False
        while stack:
            number = stack.pop()
            step = program[number]
            following: tuple[int, ...] = ()
            if step[0] == SPLIT:
                following = tuple(number + offset for offset in step[1])
            elif step[0] == ASSERT:
                following = (number + 1,) if step[1](text, at) else ()
            elif step[0] == MATCH:
                matched = True
            else:
                here.add(number)
            for each in following:
                if each not in seen:
                    seen.add(each)
                    stack.append(each)
        return matched
