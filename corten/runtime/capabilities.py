"""Which capabilities a container gets.

Names are as in capabilities(7), with ``CAP_`` prefix and in upper case. The result is clamped to what the daemon's own
bounding set allows, since a runtime refuses a set that the kernel cannot give; what falls away is named in a warning.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from corten.errors import InvalidArgument
from corten.linux.host import ALL_CAPABILITIES

DEFAULT_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)
"""What an ordinary container gets, the same fourteen as with Docker."""

_KNOWN = frozenset(ALL_CAPABILITIES)
_ALL = "ALL"


def normalise(names: Sequence[str] | None) -> list[str]:
    """Client's names to kernel names: any case, prefix optional; "ALL" stays. InvalidArgument for an unknown one."""
    result: list[str] = []
    for name in names or ():
        full = name.upper()
        if full != _ALL and not full.startswith("CAP_"):
            full = "CAP_" + full
        if full != _ALL and full not in _KNOWN:
            raise InvalidArgument(f'unknown capability: "{full}"')
        result.append(full)
    return result


def effective(add: Sequence[str] | None, drop: Sequence[str] | None, privileged: bool) -> list[str]:
    """The set before clamping, in stable order. Privileged ignores *add* and *drop*, as Docker does."""
    if privileged:
        return list(ALL_CAPABILITIES)
    adds, drops = normalise(add), normalise(drop)
    if not adds and not drops:
        return list(DEFAULT_CAPABILITIES)
    if _ALL in adds:
        return [name for name in ALL_CAPABILITIES if name not in drops]
    base = () if _ALL in drops else DEFAULT_CAPABILITIES
    kept = [name for name in base if name not in drops]
    return kept + [name for name in adds if name not in kept]


def clamp(names: Iterable[str], bounding: frozenset[str]) -> tuple[list[str], list[str]]:
    """(possible, impossible): what the host's *bounding* set can give, and what it cannot."""
    possible: list[str] = []
    impossible: list[str] = []
    for name in names:
        (possible if name in bounding else impossible).append(name)
    return possible, impossible


def warning(missing: Sequence[str]) -> str:
    """The sentence for ``Warnings`` about capabilities that the host cannot give."""
    return f"This host cannot grant {', '.join(missing)}; the container runs without."


def oci(names: list[str], uid: int) -> dict[str, Any]:
    """The runtime spec's ``process.capabilities``.

    As with Docker, nothing is inheritable or ambient, and a process that is not root starts with empty effective and
    permitted sets: only the bounding set is left for set-uid programs.
    """
    if uid != 0:
        return {"bounding": names}
    return {"bounding": names, "effective": names, "permitted": names}
