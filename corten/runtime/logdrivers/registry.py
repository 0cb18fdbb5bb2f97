"""The log drivers by name."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple, Protocol
from urllib.parse import quote_plus

from corten import errors
from corten.model.base import Value
from corten.model.record import Record
from corten.runtime.logdrivers import journald, options, syslog
from corten.runtime.logdrivers.options import Options, Storage
from corten.runtime.logdrivers.tag import Source, attributes, render_tag
from corten.wire.logline import LogLine


class Sender(Protocol):
    """A connection to where a remote driver sends lines. Not shared between threads."""

    def send(self, lines: list[LogLine]) -> None:
        """Send *lines* in order; OSError when the other side does not take them. Blocks for seconds at most."""

    def close(self) -> None:
        """Close the connection; may be called twice."""


Connect = Callable[[Options, Source], Sender]


class _Driver(NamedTuple):
    check: Callable[[Options], None]
    connect: Connect | None = None


_DRIVERS: dict[str, _Driver] = {
    "json-file": _Driver(options.check_json_file),
    "local": _Driver(options.check_local),
    "none": _Driver(lambda _: None),
    "syslog": _Driver(syslog.check, syslog.SyslogSender.connect),
    "journald": _Driver(options.check_journald, journald.JournaldSender.connect),
}


class LogPlan(Value, frozen=True):
    """What a driver and its options mean for a container. ``storage`` None: nothing is written (driver none)."""

    driver: str
    options: dict[str, str]
    storage: Storage | None
    remote: bool
    readable: bool

    def connect(self, source: Source) -> Sender:
        """A sender for the remote driver. OSError when it cannot be reached."""
        connect = _DRIVERS[self.driver].connect
        if connect is None:
            raise errors.InvalidArgument(f"log driver {self.driver} has nowhere to send to")
        return connect(self.options, source)


def names() -> list[str]:
    """The drivers that can be chosen, sorted (for ``Plugins.Log`` of /info)."""
    return sorted(_DRIVERS)


def _driver(name: str) -> _Driver:
    found = _DRIVERS.get(name)
    if found is None:
        raise errors.InvalidArgument(f"logger: no log driver named '{name}' is registered")
    return found


def validate(driver: str, settings: Mapping[str, str] | None) -> None:
    """Refuse an unknown driver and what it does not understand. InvalidArgument with dockerd's text."""
    given = dict(settings or {})
    check = _driver(driver).check
    if driver == "none":
        return
    options.check_mode(given)
    check(given)
    options.check_attributes(given)
    plan(driver, given)


def plan(driver: str, settings: Mapping[str, str] | None) -> LogPlan:
    """What *driver* with *settings*, which were validated once, means. Does not look at the host."""
    return _plan(driver, tuple(sorted((settings or {}).items())))


@lru_cache(maxsize=1024)
def _plan(driver: str, settings: tuple[tuple[str, str], ...]) -> LogPlan:
    given = dict(settings)
    remote = _driver(driver).connect is not None
    if driver == "none":
        return LogPlan(driver=driver, options=given, storage=None, remote=False, readable=False)
    return LogPlan(
        driver=driver,
        options=given,
        storage=options.storage(driver, given),
        remote=remote,
        readable=not (remote and options.flag(given.get("cache-disabled") or "false")),
    )


def details(record: Record) -> bytes:
    """What ``logs --details`` writes in front of a line: the picked attributes as ``k=v,k=v`` and a space."""
    source = Source.of(record)
    found = attributes(record.log_options, source)
    if record.log_options.get("tag"):
        found["tag"] = render_tag(record.log_options, source)
    text = ",".join(f"{quote_plus(key)}={quote_plus(found[key])}" for key in sorted(found))
    return text.encode("utf-8") + b" "
