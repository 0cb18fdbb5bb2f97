"""What garbage collection may do, and what it has done."""

from collections.abc import Mapping

import msgspec

from corten.model.base import Value
from corten.model.units import seconds, size


class GcPolicy(Value, frozen=True):
    """Settings of garbage collection; sizes in bytes, times in seconds, 0 is no limit.

    What nothing refers to goes in any case. ``max_age``, ``keep_storage`` and ``min_free_space`` condemn images that no
    container uses: those without a name, with ``tagged`` the others too. Downloads that were broken off go after
    ``partial_max_age``, and earlier where room is short.
    """

    enabled: bool = True
    interval: float = 3600
    max_age: float = 0
    keep_storage: int = 0
    min_free_space: int = 0
    tagged: bool = False
    partial_max_age: float = 7 * 86400


_SIZES = ("keep_storage", "min_free_space")


def policy_from(words: Mapping[str, object], base: GcPolicy | None = None) -> GcPolicy:
    """*base* with the values of *words*, keys as in daemon.json (keep-storage). ValueError says what is wrong."""
    found: dict[str, object] = {}
    for key, value in words.items():
        name = key.replace("-", "_")
        if name not in GcPolicy.__struct_fields__:
            raise ValueError(f"unknown gc setting '{key}'")
        found[name] = _value(key, name, value)
    policy = msgspec.structs.replace(base or GcPolicy(), **found)
    if policy.interval < 1:
        raise ValueError("gc interval must be at least 1s")
    return policy


def _value(key: str, name: str, value: object) -> object:
    if name in ("enabled", "tagged"):
        if value in (True, "true", "1"):
            return True
        if value in (False, "false", "0"):
            return False
        raise ValueError(f"gc {key}: expected true or false")
    if name in _SIZES:
        return value if type(value) is int and value >= 0 else size(str(value))
    return seconds(str(value))


class Garbage(Value, frozen=True):
    """One object that goes, went or stays. ``kind``: image, blob, layer, partial or lease; ``size`` in bytes."""

    kind: str
    id: str
    size: int
    reason: str
    names: list[str] = msgspec.field(default_factory=list)


class Collection(Value, frozen=True):
    """A run of the collector; ``held`` says why what nothing refers to was left alone, "" when it was not."""

    removed: list[Garbage]
    reclaimed: int
    kept: list[Garbage] = msgspec.field(default_factory=list)
    held: str = ""
