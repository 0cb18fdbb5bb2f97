"""kill -9 and failing steps in the midst of every use case: what was asked for has happened wholly or not at all.

Every step of a use case (``corten.faultpoint``) is learned from a first run. Then, for each of them: the daemon dies
there and the next one takes over, or the step fails, once as on a full disk and once as on a broken one. Afterwards
records, directories and host fit together, what exists works, the same request can be made again, and a container that
has nothing to do with it was not disturbed.

A normal run takes a fixed part of the steps; `make soak` (``CORTEN_FAULTS_ALL=1``) takes them all.
"""

import os
import traceback
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.daemon import KIND
from tests.support.faultcases import CASES, Case
from tests.support.http import Response
from tests.support.stock import eventually
from tests.support.world import World, message, succeeded

ALL = bool(os.environ.get("CORTEN_FAULTS_ALL"))
FEW = 2
"""A normal run takes so many steps of a use case, spread over all of it, others for each."""
DEATH = {"database.commit": 5.0}
"""Seconds in which a step comes that follows the answer, 30 by default; transactions may have shared a commit."""
DONE = frozenset(
    {"create.recorded", "image.recorded", "volume.recorded", "remove.directory", "snapshot.trashed", "image.forgotten"}
)
"""What comes after these cannot be taken back: only a death happens there, not a failure."""
pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(os.geteuid() != 0, reason="a daemon needs root"),
    pytest.mark.skipif(KIND != "cortend", reason="only cortend has fault points"),
]


@pytest.fixture(scope="module")
def world(rootfs_tar: bytes) -> Iterator[World]:
    made = World(rootfs_tar)
    try:
        made.begin()
        yield made
    finally:
        leaks = made.close()
    assert not leaks, f"left on the host: {leaks}"


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", CASES)
def test_every_step(world: World, name: str) -> None:
    case = CASES[name]
    steps = learn(world, case)
    assert steps, "a use case without a step proves nothing"
    offset = list(CASES).index(name)
    failed: list[str] = []
    apart = 1 if ALL else -(-len(steps) // FEW)
    for number in range(offset % apart, len(steps), apart):
        step, count = steps[number]
        actions = ["kill", "ENOSPC", "EIO"] if ALL else ["kill", ("ENOSPC", "EIO")[number % 2]]
        for action in actions:
            try:
                if action == "kill":
                    death(world, case, step, count)
                else:
                    failure(world, case, step, count, action)
            except Exception:  # noqa: BLE001 - told with the step, and the other steps are tried all the same
                failed.append(f"{step} {count} {action}: {traceback.format_exc(limit=-2)}")
                world.renew()
    assert not failed, "\n".join(failed)


def learn(world: World, case: Case) -> list[tuple[str, int]]:
    """The steps of one undisturbed run, each with how often it had come."""
    world.reset()
    case.prepare(world)
    world.check()
    world.daemon.forget_trace()
    assert succeeded(case.act(world))
    assert case.happened(world)
    world.check()
    steps = world.daemon.trace()
    case.works(world)
    seen: Counter[str] = Counter()
    found = []
    for step in steps:
        seen[step] += 1
        found.append((step, seen[step]))
    return found


def set_up(world: World, case: Case, step: str, count: int, action: str) -> None:
    world.reset()
    case.prepare(world)
    world.check()
    world.daemon.forget_trace()
    world.daemon.arm(step, action, count)


def death(world: World, case: Case, step: str, count: int) -> None:
    set_up(world, case, step, count, "kill")
    answer = case.act(world)
    died = world.daemon.dies(DEATH.get(step, 30.0))
    world.daemon.disarm()
    if not died and not world.daemon.dies(1):
        assert step == "database.commit", f"{step} was not reached: {world.daemon.trace()}"
        return  # two transactions have shared a commit this time
    world.daemon.start()
    happened = case.happened(world)
    assert happened or case.LATER or not succeeded(answer), "what was said to be done is lost"
    again(world, case, happened)


def failure(world: World, case: Case, step: str, count: int, error: str) -> None:
    if step in DONE:
        return
    set_up(world, case, step, count, error)
    answer = case.act(world)
    assert answer is not None and not world.daemon.dies(0), world.daemon.log_tail()
    eventually(lambda: world.daemon.trace().count(step) >= count or step == "database.commit")
    world.daemon.disarm()
    if not succeeded(answer):
        told(answer)
    happened = case.happened(world)
    assert happened or case.LATER or not succeeded(answer), f"said to be done and is not: {answer.body!r}"
    again(world, case, happened)


def told(answer: Response) -> None:
    text = message(answer)
    assert any(words in text for words in ("no space left", "input/output error")), f"unclear: {text}"


def again(world: World, case: Case, happened: bool) -> None:
    """The store is in order, the same request can be made again, and what it makes works."""
    case.intact(world)
    world.check()
    answer = case.act(world)
    assert answer is not None
    if happened:
        assert answer.status in case.REPEATED, (answer.status, answer.body)
    else:
        assert succeeded(answer), (answer.status, answer.body)
    assert case.happened(world)
    world.check()
    case.works(world)
