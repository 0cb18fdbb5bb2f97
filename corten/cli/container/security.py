"""``--security-opt``: what the client itself does with it."""

from __future__ import annotations

import json

from corten.cli.failure import Failure


def options(values: list[str]) -> list[str]:
    """The options as the daemon takes them; a seccomp profile is read from its file and sent as JSON.

    Failure with docker's words for what is no option, and for a file that cannot be read.
    """
    return [_one(value) for value in values]


def _one(value: str) -> str:
    if value == "no-new-privileges":
        return value
    name, separator, rest = value.partition("=")
    if not separator:
        name, separator, rest = value.partition(":")
    if not separator:
        raise Failure(f'Invalid --security-opt: "{value}"', 125)
    if name != "seccomp" or rest in ("unconfined", "builtin"):
        return value
    try:
        with open(rest, "rb") as file:
            profile = json.load(file)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise Failure(f"opening seccomp profile ({rest}) failed: open {rest}: {reason}", 125) from None
    except ValueError as error:
        raise Failure(f"compacting json for seccomp profile ({rest}) failed: {error}", 125) from None
    return "seccomp=" + json.dumps(profile, separators=(",", ":"))


def split_system_paths(values: list[str]) -> tuple[list[str], bool]:
    """The options without ``systempaths=unconfined``, and whether that was among them."""
    kept = [value for value in values if value != "systempaths=unconfined"]
    return kept, len(kept) != len(values)
