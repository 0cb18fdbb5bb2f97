"""Volume drivers and the mounts of containers."""
