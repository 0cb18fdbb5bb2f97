"""Corten beside dockerd and podman, on one machine, in one run. ``python -m bench.run --help`` says how."""
