"""One result of the examination."""

from __future__ import annotations

from dataclasses import dataclass

OK, ADVICE, PROBLEM = "ok", "advice", "problem"


@dataclass(frozen=True)
class Finding:
    """``state``: ok, advice (works, could be better or safer) or problem (containers will not run, or not as asked).

    ``remedy`` says what to do about it, empty when all is well.
    """

    name: str
    state: str
    text: str
    remedy: str = ""


def read(path: str) -> str:
    """The file's text, empty when it is not there or may not be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
