"""What is known of one path in a container."""

from corten.model.base import Value


class PathStat(Value, frozen=True):
    """The header ``X-Docker-Container-Path-Stat``: size in bytes, mode as Go's ``fs.FileMode``, mtime in nanoseconds.

    ``link_target`` is where a link leads inside the container, fully followed; "" for anything else.
    """

    name: str
    size: int
    mode: int
    mtime: int
    link_target: str = ""
