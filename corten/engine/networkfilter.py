"""Filters of the list of networks."""

from collections.abc import Mapping, Sequence

from corten import errors
from corten.network.defaults import PREDEFINED
from corten.network.record import NetworkRecord

FILTERS = frozenset(("dangling", "driver", "id", "label", "name", "scope", "type"))
_TRUE, _FALSE = ("1", "true", "t"), ("0", "false", "f")


class NetworkFilter:
    """Values of one key are alternatives (labels: all must be there), keys must all match."""

    def __init__(self, filters: Mapping[str, Sequence[str]]) -> None:
        """Raises ``errors.InvalidArgument`` for an unknown key or value."""
        for key in filters:
            if key not in FILTERS:
                raise errors.InvalidArgument(f"invalid filter '{key}'")
        self._filters = {key: tuple(values) for key, values in filters.items() if values}
        for kind in self._filters.get("type", ()):
            if kind not in ("builtin", "custom"):
                raise errors.InvalidArgument(f"invalid filter 'type={kind}'")
        self._dangling = self._boolean("dangling")

    def _boolean(self, key: str) -> bool | None:
        values = {value.lower() for value in self._filters.get(key, ())}
        if not values:
            return None
        if len(values) > 1 or not values <= {*_TRUE, *_FALSE}:
            raise errors.InvalidArgument(f"invalid filter '{key}={list(self._filters[key])}'")
        return values <= set(_TRUE)

    def matches(self, network: NetworkRecord, in_use: bool) -> bool:
        """Whether *network* is wanted; *in_use*: a container is on it."""
        predefined = network.name in PREDEFINED
        if self._dangling is not None and self._dangling == (in_use or predefined):
            return False
        return all(self._test(key, values, network, predefined) for key, values in self._filters.items())

    def _test(self, key: str, values: tuple[str, ...], network: NetworkRecord, predefined: bool) -> bool:
        match key:
            case "driver":
                return network.driver in values
            case "scope":
                return network.scope in values
            case "id":
                return network.id.startswith(values)
            case "name":
                return any(value in network.name for value in values)
            case "type":
                return ("builtin" if predefined else "custom") in values
            case "label":
                return all(_has_label(network.labels, value) for value in values)
        return True


def _has_label(labels: Mapping[str, str], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)
