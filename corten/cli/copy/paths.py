"""Paths of ``corten cp``, and where a copy ends up.

The rules are those of docker's manual page docker-cp(1): a directory's content alone is meant by a trailing ``/.``;
a destination that is a directory takes the source under its own name, any other takes its place.
"""

from __future__ import annotations

import posixpath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_GO_DIRECTORY = 1 << 31
_GO_SYMLINK = 1 << 27


def split(argument: str) -> tuple[str, str]:
    """(container, path); the container is empty for a local path, which may begin with ``/`` or ``.``."""
    if argument.startswith("/"):
        return "", argument
    container, colon, path = argument.partition(":")
    if not colon or container.startswith("."):
        return "", argument
    return container, path


def is_content(path: str) -> bool:
    """Whether the path means what is in a directory, not the directory."""
    return path == "." or path.endswith("/.")


def in_container(path: str) -> str:
    """The absolute form of a path in a container, with its trailing ``/`` or ``/.`` kept."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    if is_content(path):
        return clean.rstrip("/") + "/."
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def base(path: str) -> str:
    """The last name of a path; ``.`` when its content is meant."""
    return "." if is_content(path) else posixpath.basename(path.rstrip("/")) or "/"


class Stat:
    """What the daemon says about a path (the header X-Docker-Container-Path-Stat)."""

    __slots__ = ("_mode", "link", "name", "size")

    def __init__(self, fields: dict[str, Any]) -> None:
        self.name = str(fields.get("name", ""))
        self.size = int(fields.get("size", 0))
        self.link = str(fields.get("linkTarget", ""))
        self._mode = int(fields.get("mode", 0))

    @property
    def is_directory(self) -> bool:
        return bool(self._mode & _GO_DIRECTORY)

    @property
    def is_link(self) -> bool:
        return bool(self._mode & _GO_SYMLINK)


def resolve_link(path: str, target: str) -> str:
    """Where a symbolic link at ``path`` in a container points."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path.rstrip("/")), target))
