"""Process limits (ulimits, ``process.rlimits``): checked, completed with the daemon's defaults, clamped to the host."""

from collections.abc import Mapping, Sequence
from typing import Any

from corten.errors import InvalidArgument
from corten.linux.host import RLIMITS, Host
from corten.model.container import Ulimit

NAMES = frozenset(RLIMITS)
"""What Docker's clients may name; the meaning is in getrlimit(2)."""
_INFINITY = (1 << 64) - 1
UNLIMITED = -1


def check(ulimits: Sequence[Ulimit] | None) -> None:
    """InvalidArgument for an unknown name or a soft limit above the hard one."""
    for limit in ulimits or ():
        if limit.name not in NAMES:
            raise InvalidArgument(f"invalid ulimit type: {limit.name}")
        if limit.hard != UNLIMITED and (limit.soft == UNLIMITED or limit.soft > limit.hard):
            raise InvalidArgument(
                f"ulimit soft limit must be less than or equal to hard limit: {limit.soft} > {limit.hard}"
            )


def rlimits(
    ulimits: Sequence[Ulimit] | None, defaults: Mapping[str, tuple[int, int]], host: Host
) -> tuple[list[dict[str, Any]], list[str]]:
    """(``process.rlimits``, warnings).

    Without CAP_SYS_RESOURCE nobody can raise a hard limit: what is above the daemon's own is lowered to that, with a
    warning if the client had asked for it.
    """
    if not ulimits and not defaults:
        return [], []
    check(ulimits)
    asked = {limit.name: (limit.soft, limit.hard) for limit in ulimits or ()}
    result: list[dict[str, Any]] = []
    warnings: list[str] = []
    for name, (soft, hard) in {**defaults, **asked}.items():
        given_soft, given_hard = _clamp(name, soft, hard, host)
        if name in asked and (given_soft, given_hard) != (_unsigned(soft), _unsigned(hard)):
            warnings.append(
                f"ulimit {name}={_text(soft)}:{_text(hard)} is above this host's hard limit; "
                f"using {_text(given_soft)}:{_text(given_hard)}."
            )
        result.append({"type": f"RLIMIT_{name.upper()}", "soft": given_soft, "hard": given_hard})
    return result, warnings


def _clamp(name: str, soft: int, hard: int, host: Host) -> tuple[int, int]:
    wanted_soft, wanted_hard = _unsigned(soft), _unsigned(hard)
    if host.can_raise_limits or name not in host.rlimits:
        return wanted_soft, wanted_hard
    bound = _unsigned(host.rlimits[name][1])
    return min(wanted_soft, bound), min(wanted_hard, bound)


def _unsigned(value: int) -> int:
    return _INFINITY if value < 0 else value


def _text(value: int) -> str:
    return "unlimited" if value in (UNLIMITED, _INFINITY) else str(value)
