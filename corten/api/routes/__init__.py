"""The API's routes: one table per group."""

from corten.api.routes import (
    commit,
    containers,
    files,
    images,
    networks,
    push,
    stats,
    streams,
    system,
    unsupported,
    volumes,
)
from corten.api.routing import Route


def all_routes() -> list[Route]:
    """Every route. Within a group the order matters where one pattern covers another."""
    groups = (containers, streams, files, stats, commit, images, push, networks, volumes, system, unsupported)
    return [route for group in groups for route in group.ROUTES]
