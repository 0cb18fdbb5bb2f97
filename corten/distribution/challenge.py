"""``WWW-Authenticate`` (RFC 9110, section 11.6.1; the token flow: distribution's docs/spec/auth/token.md)."""

import re
from collections.abc import Iterable

import msgspec

MAX_HEADER = 8 << 10
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}|[^\s,"]+))\s*(?:,|$)')
_SCHEME = re.compile(rf"\s*,?\s*({_TOKEN})(?:\s+|,|$)")


class Challenge(msgspec.Struct, frozen=True):
    """``scheme`` is "basic", "bearer" or another in lower case; of a bearer challenge the parameters."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""
    error: str = ""
    error_description: str = ""


def parse(headers: Iterable[str]) -> list[Challenge]:
    """The challenges of an answer's headers, in order; what is not well-formed ends its header."""
    found: list[Challenge] = []
    for text in headers:
        if len(text) <= MAX_HEADER:
            found += _parse(text)
    return found


def _parse(text: str) -> list[Challenge]:
    found = []
    position = 0
    while position < len(text):
        match = _SCHEME.match(text, position)
        if match is None:
            break
        scheme, position = match[1].lower(), match.end()
        parameters: dict[str, str] = {}
        while (pair := _PARAMETER.match(text, position)) is not None:
            value = re.sub(r"\\(.)", r"\1", pair[2]) if pair[2] is not None else pair[3]
            parameters.setdefault(pair[1].lower(), value)
            position = pair.end()
        known = {name: parameters[name] for name in Challenge.__struct_fields__ if name in parameters}
        found.append(Challenge(scheme, **known))
    return found
