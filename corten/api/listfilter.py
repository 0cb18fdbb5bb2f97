"""Which containers ``GET /containers/json`` shows."""

from collections.abc import Callable, Iterable

from corten import errors
from corten.api import filters as filter_values
from corten.api.backend import ContainerView
from corten.api.filters import Filters
from corten.model.record import Record
from corten.wire.regex import Regex

KEYS = frozenset(
    (
        "ancestor",
        "before",
        "exited",
        "expose",
        "health",
        "id",
        "is-task",
        "isolation",
        "label",
        "name",
        "network",
        "publish",
        "since",
        "status",
        "volume",
    )
)
STATES = frozenset(("created", "running", "paused", "restarting", "removing", "exited", "dead"))
HEALTH = frozenset(("none", "starting", "healthy", "unhealthy"))

Test = Callable[[ContainerView], bool]
Lookup = Callable[[str], ContainerView]
ResolveImage = Callable[[str], str | None]


def select(
    containers: Iterable[ContainerView],
    filters: Filters,
    *,
    everything: bool,
    limit: int,
    lookup: Lookup,
    resolve_image: ResolveImage,
) -> list[ContainerView]:
    """The wanted ones, newest first.

    *lookup* finds the container that ``before`` or ``since`` names (NotFound goes through), *resolve_image* gives the
    id of a reference or None. Raises InvalidArgument for bad values.
    """
    ordered = sorted(containers, key=lambda container: container.record.created, reverse=True)
    everything = everything or limit > 0 or bool(filters.get("status"))
    ordered = _between(ordered, filters, lookup)
    tests = _tests(filters, resolve_image)
    found: list[ContainerView] = []
    for container in ordered:
        if not everything and container.state.status not in ("running", "paused", "restarting"):
            continue
        if all(test(container) for test in tests):
            found.append(container)
            if len(found) == limit:
                break
    return found


def _between(ordered: list[ContainerView], filters: Filters, lookup: Lookup) -> list[ContainerView]:
    for key in ("before", "since"):
        for value in filters.get(key, ())[-1:]:
            edge = lookup(value).record.id
            index = next((index for index, item in enumerate(ordered) if item.record.id == edge), None)
            if index is not None:
                ordered = ordered[index + 1 :] if key == "before" else ordered[:index]
    return ordered


def _tests(filters: Filters, resolve_image: ResolveImage) -> list[Test]:
    makers: dict[str, Callable[[list[str]], Test]] = {
        "id": lambda values: _by_pattern(values, lambda record: (record.id,)),
        "name": lambda values: _by_pattern(values, lambda record: (record.name, "/" + record.name)),
        "label": lambda values: lambda item: filter_values.matches_labels(item.record.config.labels or {}, values),
        "status": _by_status,
        "health": _by_health,
        "exited": _by_exit_code,
        "volume": _by_volume,
        "network": _by_network,
        "ancestor": lambda values: _by_ancestor(values, resolve_image),
        "publish": lambda values: _by_port("publish", values, lambda record: record.host_config.port_bindings),
        "expose": lambda values: _by_port("expose", values, lambda record: record.config.exposed_ports),
        "is-task": _by_task,
        "isolation": lambda values: lambda item: (item.record.host_config.isolation or "default") in values,
    }
    return [makers[key](values) for key, values in filters.items() if values and key in makers]


def _by_pattern(values: list[str], texts: Callable[[Record], tuple[str, ...]]) -> Test:
    patterns: list[Regex] = []
    literal: list[str] = []
    for value in values:
        try:
            patterns.append(Regex(value))
        except errors.InvalidArgument:
            literal.append(value)

    def test(container: ContainerView) -> bool:
        found = texts(container.record)
        return any(pattern.search(text) for text in found for pattern in patterns) or any(
            value in text for text in found for value in literal
        )

    return test


def _by_status(values: list[str]) -> Test:
    for value in values:
        if value not in STATES:
            raise errors.InvalidArgument(f"invalid filter 'status={value}'")
    return lambda container: container.state.status in values


def _by_health(values: list[str]) -> Test:
    for value in values:
        if value not in HEALTH:
            raise errors.InvalidArgument(f"invalid filter 'health={value}'")

    def test(container: ContainerView) -> bool:
        health = container.state.health
        return (health.status if health is not None else "none") in values

    return test


def _by_exit_code(values: list[str]) -> Test:
    try:
        codes = {int(value) for value in values}
    except ValueError as error:
        raise errors.InvalidArgument(f"invalid filter 'exited={values[0]}'") from error

    def test(container: ContainerView) -> bool:
        state = container.state
        stopped = state.status in ("exited", "dead", "removing") and state.started_at != 0
        return stopped and state.exit_code in codes

    return test


def _by_volume(values: list[str]) -> Test:
    return lambda container: any(
        mount.name in values or mount.destination in values for mount in container.record.mounts
    )


def _by_network(values: list[str]) -> Test:
    return lambda container: any(
        name in values or (endpoint.network_id and endpoint.network_id.startswith(tuple(values)))
        for name, endpoint in container.record.endpoints.items()
    )


def _by_ancestor(values: list[str], resolve_image: ResolveImage) -> Test:
    wanted = {image for image in map(resolve_image, values) if image is not None}
    return lambda container: container.record.image in wanted or container.record.config.image in values


def _by_port(key: str, values: list[str], ports: Callable[[Record], Iterable[str] | None]) -> Test:
    wanted = {port for value in values for port in _port_range(key, value)}
    return lambda container: any(port in wanted for port in ports(container.record) or ())


def _port_range(key: str, value: str) -> list[str]:
    """ "80", "80/udp" or "8000-8010/tcp" as single ports."""
    numbers, _, protocol = value.partition("/")
    first, _, last = numbers.partition("-")
    try:
        low, high = int(first), int(last or first)
    except ValueError as error:
        raise errors.InvalidArgument(f"invalid filter '{key}={value}'") from error
    if not 0 <= low <= high <= 65535:
        raise errors.InvalidArgument(f"invalid filter '{key}={value}'")
    return [f"{number}/{protocol or 'tcp'}" for number in range(low, high + 1)]


def _by_task(values: list[str]) -> Test:
    wanted = filter_values.boolean({"is-task": values}, "is-task", False)
    return lambda container: not wanted  # no container here belongs to a swarm task
