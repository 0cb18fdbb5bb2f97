"""The words after the second colon of ``-v source:destination:words``."""

from corten import errors

READ_WRITE = frozenset({"rw", "ro"})
LABELS = frozenset({"z", "Z"})
PROPAGATIONS = frozenset({"private", "rprivate", "slave", "rslave", "shared", "rshared"})
CONSISTENCIES = frozenset({"consistent", "cached", "delegated"})
NO_COPY = "nocopy"
DEFAULT_PROPAGATION = "rprivate"

_GROUPS = (READ_WRITE, LABELS, PROPAGATIONS, CONSISTENCIES, frozenset({NO_COPY}))


def valid(mode: str) -> bool:
    """Whether every word is known and none of a group comes twice; "" is valid."""
    if not mode:
        return True
    words = mode.split(",")
    return all(any(word in group for group in _GROUPS) for word in words) and all(
        sum(word in group for word in words) <= 1 for group in _GROUPS
    )


def check(mode: str) -> None:
    """Refuse a mode that ``valid`` refuses."""
    if not valid(mode):
        raise errors.InvalidArgument(f"invalid mode: {mode}")


def writable(mode: str) -> bool:
    """Read-write unless "ro" is among the words."""
    return "ro" not in mode.split(",")


def no_copy(mode: str) -> bool:
    """Whether copy-up is switched off."""
    return NO_COPY in mode.split(",")


def propagation(mode: str) -> str:
    """The propagation word, or ""."""
    return next((word for word in mode.split(",") if word in PROPAGATIONS), "")
