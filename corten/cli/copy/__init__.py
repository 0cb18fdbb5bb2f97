"""``corten cp``: what a path means, packing local files, and unpacking a container's."""
