"""The events bus: filters, memory, bounds."""

import asyncio
import threading
import time

import pytest

from corten import errors
from corten.engine import events
from corten.engine.events import Event, EventFilter, Events


def event(kind="container", action="start", actor="abcdef", **attributes):
    return Event(type=kind, action=action, actor_id=actor, attributes=attributes, time=1)


@pytest.mark.parametrize(
    ("filters", "sample", "wanted"),
    [
        ({}, event(), True),
        ({"type": ["image", "container"]}, event(), True),
        ({"type": ["image"]}, event(), False),
        ({"event": ["start"]}, event(), True),
        ({"event": ["exec_start"]}, event(action="exec_start: sh -c x"), True),
        ({"event": ["exec_start: sh"]}, event(action="exec_start: sh"), True),
        ({"event": ["health_status"]}, event(action="health_status: healthy"), True),
        ({"event": ["health_status: unhealthy"]}, event(action="health_status: healthy"), False),
        ({"container": ["abc"]}, event(), True),
        ({"container": ["web"]}, event(name="web1"), True),
        ({"container": ["eb1"]}, event(name="web1"), False),
        ({"image": ["busybox"]}, event(image="busybox"), True),
        ({"image": ["busybox"]}, event("image", "tag", "sha256:1", name="busybox:latest"), True),
        ({"image": ["host:5000/busybox"]}, event("image", "tag", "sha256:1", name="host:5000/busybox:1"), True),
        ({"label": ["a", "b=1"]}, event(a="x", b="1"), True),
        ({"label": ["a", "b=1"]}, event(a="x", b="2"), False),
        ({"scope": ["swarm"]}, event(), False),
        ({"type": ["container"], "event": ["die"]}, event(), False),
    ],
)
def test_filter(filters, sample, wanted):
    assert EventFilter(filters).matches(sample) is wanted


def test_unknown_filter_is_refused():
    with pytest.raises(errors.InvalidArgument, match="invalid filter 'colour'"):
        EventFilter({"colour": ["red"]})


async def collect(subscription):
    return [event.action async for event in subscription]


def test_replay_needs_a_bound_and_memory_is_bounded():
    async def scenario():
        bus = Events()
        for number in range(events.MEMORY + 5):
            bus.emit("container", str(number), "id")
        until = time.time_ns()
        replayed = await collect(bus.subscribe(until=until))
        assert replayed == [str(n) for n in range(5, events.MEMORY + 5)]
        live = bus.subscribe()
        assert bus.listeners == 1
        bus.close()
        assert await collect(live) == []
        assert bus.listeners == 0

    asyncio.run(scenario())


def test_since_replays_then_follows_and_until_ends():
    async def scenario():
        bus = Events()
        bus.emit("container", "old", "id")
        since = bus.emit("container", "first", "id").time
        subscription = bus.subscribe({"type": ["container"]}, since, time.time_ns() + 300_000_000)
        bus.emit("image", "other", "id")
        thread = threading.Thread(target=bus.emit, args=("container", "second", "id"))
        thread.start()
        assert await collect(subscription) == ["first", "second"]
        thread.join()

    asyncio.run(scenario())


def test_slow_reader_is_cut_off(monkeypatch):
    monkeypatch.setattr(events, "BACKLOG", 2)

    async def scenario():
        bus = Events()
        subscription = bus.subscribe()
        for _ in range(3):
            bus.emit("container", "x", "id")
        await asyncio.sleep(0)
        assert bus.listeners == 0
        assert [(await anext(subscription)).action for _ in range(2)] == ["x", "x"]
        with pytest.raises(errors.Exhausted):
            await anext(subscription)

    asyncio.run(scenario())
