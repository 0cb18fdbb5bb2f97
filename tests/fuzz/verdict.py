"""Whether an answer is one that a well-behaved daemon gives."""

import re
from functools import cache
from typing import Any

from tests.fuzz.exchange import Answer, Outcome, Request
from tests.support import schema

ERRORS = {400, 403, 404, 405, 409, 413, 501, 503}
SUCCESS = {101, 200, 201, 204, 304}

KNOWN_500 = (
    # the host's refusal of what the client asked for; dockerd answers 500 to each of these, too
    r"/update: \w+ update: writ.*: (Invalid argument|Numerical result out of range|Device or res|No such device)",
    r"/start: .*OCI runtime create failed: write `blkio\..*: No such device",
    # a registry that cannot be reached: there is no network in the sandbox
    r"dial tcp .*: connect: connection refused|network is unreachable|no such host|server misbehaving",
    r"/unpause: Container \w+ is not paused$",
)
"""Patterns of "METHOD /path: message" for which Docker answers 500 as well."""


def faults(request: Request, outcome: Outcome) -> list[str]:
    """What is wrong with it; empty when nothing is."""
    if not outcome.ended:
        return [f"no end within {outcome.seconds:.0f} s"]
    found: list[str] = []
    for answer in outcome.answers:
        found += answer_faults(answer)
        if not answer.whole and not request.half and not request.live:
            found.append(f"the answer {answer.status} breaks off")
    return found


def answer_faults(answer: Answer) -> list[str]:
    if answer.status in SUCCESS:
        return []
    if answer.status not in ERRORS and answer.status != 500:
        return [f"status {answer.status}"]
    if not answer.body:
        return []  # to HEAD, or cut
    try:
        document = answer.json()
    except ValueError:
        return [f"{answer.status} without JSON: {answer.body[:200]!r}"]
    if not isinstance(document, dict) or set(document) != {"message"} or not isinstance(document["message"], str):
        return [f"{answer.status} with another body: {answer.body[:200]!r}"]
    if not document["message"].strip() or answer.headers.get("content-type") != "application/json":
        return [f"{answer.status} without a message or content type: {answer.body[:200]!r}"]
    return []


def message(answer: Answer) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return ""


def explained(line: str) -> bool:
    """Whether a 500 of the form "METHOD /path: message" is one that Docker gives too."""
    return any(re.search(pattern, line, re.DOTALL) for pattern in KNOWN_500)


@cache
def patterns() -> list[tuple[str, re.Pattern[str], str]]:
    """(method, pattern of the path, path in the description), longest path first."""
    found = []
    for path, methods in schema.document()["paths"].items() if schema.PATH else ():
        pattern = re.compile("/" + "/".join(".+" if "{" in part else re.escape(part) for part in path[1:].split("/")))
        found += [(method.upper(), pattern, path) for method in methods]
    return sorted(found, key=lambda each: (each[2].count("{"), -len(each[2])))


def published(method: str, path: str) -> tuple[str, dict[Any, Any]] | None:
    """The described path that *path* (without version and query) is one of, and its answers by status."""
    for known, pattern, described in patterns():
        if known == method and pattern.fullmatch(path):
            return described, schema.document()["paths"][described][method.lower()]["responses"]
    return None
