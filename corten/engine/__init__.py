"""Use cases: containers, images, networks, volumes, events, restore."""
