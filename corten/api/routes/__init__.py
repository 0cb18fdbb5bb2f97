"""The API's routes: one table per group."""

from corten.api.routes import (
    commit,
    containers,
    files,
    images,
    maintenance,
    networks,
    push,
    registries,
    stats,
    streams,
    system,
    unsupported,
    volumes,
)
from corten.api.routing import Route


def all_routes() -> list[Route]:
    """Every route. Within a group the order matters where one pattern covers another."""
    doors = (containers, streams, files, stats, commit, images, push, registries, networks, volumes, system)
    groups = (*doors, maintenance, unsupported)
    return [route for group in groups for route in group.ROUTES]
