"""Docker Engine API: routes, JSON shapes, versions, streams."""
