"""A group of measurements that belong together, and the wish that each of its figures is held against."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

from bench.engines import NAMES, Engine

Medians = dict[str, float]
"""Engine -> median; an engine that did not take part is absent."""


@dataclass(frozen=True)
class Wish:
    """What a figure should reach: a sentence, and a test over the medians."""

    text: str
    met: Callable[[Medians], bool]


NO_WISH = Wish("", lambda _: True)


def times_faster(factor: float, than: str = "dockerd") -> Wish:
    text = f"{factor:g} times faster than {than}" if factor != 1 else f"as {than}'s or better"
    return Wish(text, lambda m: m[than] / m["cortend"] >= factor)


def times_faster_than_best(factor: float) -> Wish:
    def met(medians: Medians) -> bool:
        return min(medians["dockerd"], medians["podman"]) / medians["cortend"] >= factor

    return Wish(f"{factor:g} times faster than the best" if factor > 1 else "not slower than the best", met)


def under(limit: float, unit: str) -> Wish:
    return Wish(f"under {limit:g} {unit}", lambda m: m["cortend"] < limit)


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    name: str
    through: str
    unit: str
    wish: Wish


@dataclass(frozen=True)
class Group:
    """``measure`` gives one value per figure, in the figures' units; ``prepare`` and ``finish`` are not timed."""

    key: str
    figures: tuple[Figure, ...]
    measure: Callable[[Engine], list[float]]
    prepare: Callable[[Engine], None] = lambda _: None
    finish: Callable[[Engine], None] = lambda engine: engine.settle()
    repetitions: int = 10
    quick: int = 3
    engines: tuple[str, ...] = NAMES
    values: dict[str, list[list[float]]] = field(default_factory=dict)


@dataclass
class Lap:
    milliseconds: float = 0.0

    @property
    def seconds(self) -> float:
        return self.milliseconds / 1000


@contextmanager
def lap() -> Iterator[Lap]:
    """``with lap() as taken: ...``; then ``taken.milliseconds``."""
    taken = Lap()
    started = perf_counter()
    yield taken
    taken.milliseconds = (perf_counter() - started) * 1000
