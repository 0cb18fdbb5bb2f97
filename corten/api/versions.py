"""API versions: their order, the supported range, and which answers differ between them."""

import re
from functools import lru_cache

from corten import errors

Version = tuple[int, int]

MIN: Version = (1, 24)
MAX: Version = (1, 56)
MIN_TEXT = "1.24"
MAX_TEXT = "1.56"

_PATH = re.compile(r"/v([0-9]{1,4}(?:\.[0-9]{1,4}){0,3})(/.*)", re.DOTALL)


@lru_cache(maxsize=64)
def parse(text: str) -> Version:
    """The version "1.47" as (1, 47). Raises InvalidArgument outside the supported range, with Docker's texts."""
    numbers = [int(part) for part in text.split(".")[:2]]
    version = (numbers[0], numbers[1] if len(numbers) > 1 else 0)
    if version > MAX:
        raise errors.InvalidArgument(f"client version {text} is too new. Maximum supported API version is {MAX_TEXT}")
    if version < MIN:
        raise errors.InvalidArgument(
            f"client version {text} is too old. Minimum supported API version is {MIN_TEXT}, "
            "please upgrade your client to a newer version"
        )
    return version


def split(path: str) -> tuple[Version, str]:
    """Take the version off *path*: "/v1.47/info" → ((1, 47), "/info"); without one the newest is meant."""
    if path.startswith("/v"):
        match = _PATH.fullmatch(path)
        if match is not None:
            return parse(match.group(1)), match.group(2)
    return MAX, path
