"""Names for containers that were given none, and what a name may look like."""

import re
import secrets
from collections.abc import Callable

from corten import errors

_SHAPE = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+")

_QUALITIES = [
    "amber",
    "brisk",
    "calm",
    "clever",
    "cosy",
    "crisp",
    "daring",
    "eager",
    "early",
    "fair",
    "fleet",
    "fresh",
    "gentle",
    "glad",
    "golden",
    "grand",
    "happy",
    "hardy",
    "keen",
    "kind",
    "lively",
    "lucid",
    "mellow",
    "merry",
    "mild",
    "neat",
    "nimble",
    "noble",
    "plucky",
    "polite",
    "proud",
    "quick",
    "quiet",
    "rapid",
    "ready",
    "sharp",
    "silent",
    "silver",
    "sleek",
    "smart",
    "snug",
    "sober",
    "solid",
    "steady",
    "stout",
    "sunny",
    "sure",
    "swift",
    "tidy",
    "tough",
    "trusty",
    "vivid",
    "warm",
    "wise",
    "witty",
]
_THINGS = [
    "anchor",
    "anvil",
    "arch",
    "badger",
    "barge",
    "beacon",
    "beam",
    "birch",
    "bolt",
    "bridge",
    "brook",
    "canyon",
    "cedar",
    "cliff",
    "comet",
    "copper",
    "coral",
    "crane",
    "delta",
    "derrick",
    "dock",
    "dune",
    "ember",
    "falcon",
    "fern",
    "fjord",
    "forge",
    "girder",
    "glacier",
    "harbor",
    "hatch",
    "heron",
    "ingot",
    "iris",
    "jetty",
    "kestrel",
    "lagoon",
    "lantern",
    "larch",
    "lathe",
    "maple",
    "marsh",
    "mast",
    "meadow",
    "mesa",
    "mill",
    "moss",
    "otter",
    "pier",
    "pine",
    "plank",
    "quarry",
    "raven",
    "reef",
    "ridge",
    "rivet",
    "rudder",
    "sail",
    "slate",
    "sluice",
    "spar",
    "spruce",
    "summit",
    "tern",
    "timber",
    "tundra",
    "valve",
    "vault",
    "vessel",
    "weld",
    "wharf",
    "willow",
    "winch",
]


def check(name: str) -> str:
    """*name* without a leading slash; InvalidArgument with Docker's words for a bad one."""
    if not _SHAPE.fullmatch(name):
        raise errors.InvalidArgument(f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return name.removeprefix("/")


def generate(taken: Callable[[str], bool]) -> str:
    """A free name such as "brisk_harbor"."""
    for attempt in range(100):
        name = f"{secrets.choice(_QUALITIES)}_{secrets.choice(_THINGS)}"
        if attempt > 5:
            name += str(secrets.randbelow(1000))
        if not taken(name):
            return name
    return secrets.token_hex(8)
