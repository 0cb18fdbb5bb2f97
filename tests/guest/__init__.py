"""Tests on a machine of another kind than this one: a small Debian guest with systemd and cgroup v2 alone."""
