"""The engine's events: a short memory of past ones and subscriptions to those to come."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Self

from corten import errors
from corten.model.base import Value

MEMORY = 256
"""How many past events ``since`` can reach, as in Docker."""
BACKLOG = 16384
"""A subscriber that is this many events behind is cut off."""

TYPES = (
    "builder",
    "config",
    "container",
    "daemon",
    "image",
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "volume",
)
_NAMED = tuple(kind for kind in TYPES if kind not in ("builder", "image"))
FILTERS = frozenset((*_NAMED, "image", "event", "label", "scope", "type"))
_PREFIXED_ACTIONS = ("health_status", "exec_create", "exec_start", "exec_die", "exec_detach")


class Event(Value, frozen=True):
    """One change of one object. ``time`` is nanoseconds since the epoch; ``attributes`` are all text."""

    type: str
    action: str
    actor_id: str
    attributes: dict[str, str]
    time: int
    scope: str = "local"


class EventFilter:
    """Which events a subscriber wants: values of one key are alternatives (labels: all), keys must all match."""

    def __init__(self, filters: Mapping[str, Sequence[str]]) -> None:
        for key in filters:
            if key not in FILTERS:
                raise errors.InvalidArgument(f"invalid filter '{key}'")
        self._filters = {key: tuple(values) for key, values in filters.items() if values}

    def matches(self, event: Event) -> bool:
        """Whether *event* is wanted."""
        return all(self._matches_key(key, values, event) for key, values in self._filters.items())

    def _matches_key(self, key: str, values: tuple[str, ...], event: Event) -> bool:
        if key == "type":
            return event.type in values
        if key == "scope":
            return event.scope in values
        if key == "event":
            return _action_matches(event.action, values)
        if key == "label":
            return all(_label_matches(event.attributes, value) for value in values)
        if key == "image":
            return _image_matches(event, values)
        # Names and ids match by prefix, as in Docker, whatever the event's own type is.
        return event.actor_id.startswith(values) or event.attributes.get("name", "").startswith(values)


def _action_matches(action: str, values: tuple[str, ...]) -> bool:
    if action in values:
        return True
    verb, colon, _ = action.partition(":")
    return bool(colon) and verb in _PREFIXED_ACTIONS and verb in values


def _label_matches(attributes: Mapping[str, str], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in attributes and (not equals or attributes[key] == value)


def _image_matches(event: Event, values: tuple[str, ...]) -> bool:
    name = event.attributes.get("name" if event.type == "image" else "image", "")
    candidates = {event.actor_id, name}
    if event.type == "image":
        candidates |= {_without_tag(text) for text in (event.actor_id, name)}
    return not candidates.isdisjoint(values)


def _without_tag(name: str) -> str:
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition("@")[0].partition(":")[0]


class Subscription:
    """An async iterator of events; ``close`` it (or use ``async with``) when done.

    It has seen the memory already when ``subscribe`` returns, so no event falls between the two. It ends by itself at
    its ``until``, and with ``errors.Exhausted`` when its reader is too slow.
    """

    def __init__(self, owner: "Events", wanted: EventFilter, until: int, internal: bool) -> None:
        self.internal = internal
        self._owner = owner
        self._wanted = wanted
        self._until = until
        self._end = time.monotonic() + (until - time.time_ns()) / 1e9
        self._queue: deque[Event] = deque()
        self._ready = asyncio.Event()
        self._closed = False
        self._overrun = False
        self.loop = asyncio.get_running_loop()

    def push(self, event: Event) -> None:
        """Take an event. Loop thread only."""
        if self._closed or not self._wanted.matches(event) or (self._until and event.time > self._until):
            return
        if len(self._queue) >= BACKLOG:
            self._overrun = True
            self.close()
            return
        self._queue.append(event)
        self._ready.set()

    def close(self) -> None:
        """End the subscription; what is queued can still be read."""
        self._closed = True
        self._ready.set()
        self._owner.forget(self)

    def __aiter__(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def __anext__(self) -> Event:
        while not self._queue:
            if self._overrun:
                raise errors.Exhausted(f"the reader of events is more than {BACKLOG} events behind")
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._wait()
        return self._queue.popleft()

    async def _wait(self) -> None:
        if not self._until:
            await self._ready.wait()
            return
        try:
            async with asyncio.timeout(max(self._end - time.monotonic(), 0)):
                await self._ready.wait()
        except TimeoutError:
            self.close()


class Events:
    """The bus. ``emit`` may be called from any thread, ``subscribe`` from a loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._memory: deque[Event] = deque(maxlen=MEMORY)
        self._subscriptions: list[Subscription] = []

    @property
    def listeners(self) -> int:
        """How many subscriptions clients have now."""
        return sum(not subscription.internal for subscription in self._subscriptions)

    def emit(self, kind: str, action: str, actor_id: str, attributes: Mapping[str, str] | None = None) -> Event:
        """Tell everybody that *action* happened to *actor_id*; returns the event."""
        with self._lock:
            event = Event(
                type=kind, action=action, actor_id=actor_id, attributes=dict(attributes or {}), time=time.time_ns()
            )
            self._memory.append(event)
            for subscription in self._subscriptions:
                subscription.loop.call_soon_threadsafe(subscription.push, event)
        return event

    def subscribe(
        self,
        filters: Mapping[str, Sequence[str]] | None = None,
        since: int = 0,
        until: int = 0,
        *,
        internal: bool = False,
    ) -> Subscription:
        """Events that match *filters*, from *since* to *until* (nanoseconds, 0 = not given).

        Past events are only replayed when one of the two is given. *internal* ones, the daemon's own, are not among
        the ``listeners``. InvalidArgument for an unknown filter.
        """
        subscription = Subscription(self, EventFilter(filters or {}), until, internal)
        with self._lock:
            past = list(self._memory) if since or until else []
            self._subscriptions.append(subscription)
        for event in past:
            if event.time >= since:  # each one, as the clock may have been set back in between
                subscription.push(event)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        """Remove a subscription; called by its ``close``."""
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)

    def close(self) -> None:
        """End every subscription (the daemon stops)."""
        for subscription in list(self._subscriptions):
            subscription.close()
