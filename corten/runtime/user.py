"""Who a process runs as: ``User`` and ``GroupAdd`` resolved against the container's own passwd and group files.

The files belong to the image, so they are opened by openat2 inside the root, only when they are regular files, and read
up to a bound. Numbers are taken as decimal digits up to 2^31-1 and nothing else, so that none can wrap round to root.
Forms of ``User`` as in the Engine API: "", "name", "uid", "name:group", "uid:gid" and mixtures.
"""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass

from corten.errors import InvalidArgument
from corten.linux import path as rooted

MAX_ID = (1 << 31) - 1
MAX_FILE = 10 << 20
"""Bytes of /etc/passwd or /etc/group that are read at most."""
MAX_LINE = 64 << 10
MAX_GROUPS = 65536
"""NGROUPS_MAX of Linux."""


@dataclass(frozen=True, slots=True)
class User:
    """A resolved user. ``groups`` are the supplementary ids, the primary one first; ``home`` is never empty."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


@dataclass(frozen=True, slots=True)
class _Account:
    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    gid: int
    members: frozenset[str]


def resolve(root_fd: int, user: str, group_add: Sequence[str] | None = None) -> User:
    """The ids for *user* inside the root. InvalidArgument with Docker's words when they cannot be found."""
    accounts = _accounts(_read(root_fd, "/etc/passwd"))
    groups = _groups(_read(root_fd, "/etc/group"))
    user_part, colon, group_part = user.partition(":")
    account = _find_account(user_part, accounts)
    gid, extra = account.gid, set[int]()
    if colon and group_part:
        text = f"unable to find group {group_part}: no matching entries in group file"
        gid = _find_group(group_part, groups, text)
    elif account.name:
        extra = {group.gid for group in groups if account.name in group.members}
    extra.update(_find_group(name, groups, f"Unable to find group {name}") for name in group_add or ())
    if len(extra) > MAX_GROUPS:
        raise InvalidArgument(f"user {user}: more than {MAX_GROUPS} supplementary groups")
    home = account.home if account.home.startswith("/") else "/"
    return User(account.uid, gid, (gid, *sorted(extra - {gid})), home)


def check_syntax(user: str) -> None:
    """Refuse at create time what can never be resolved: numbers that do not fit. Names are looked up at start."""
    for part in user.split(":", 1):
        if part.isascii() and part.lstrip("+-").isdecimal():
            _number(part, user)


def _find_account(text: str, accounts: list[_Account]) -> _Account:
    """Digits always mean a uid, also where an account is called so; a uid needs no entry."""
    if not text:
        return next((account for account in accounts if account.uid == 0), _Account("", 0, 0, "/"))
    if _numeric(text):
        uid = _number(text, text)
        return next((account for account in accounts if account.uid == uid), _Account("", uid, 0, "/"))
    for account in accounts:
        if account.name == text:
            return account
    raise InvalidArgument(f"unable to find user {text}: no matching entries in passwd file")


def _find_group(text: str, groups: list[_Group], error: str) -> int:
    if _numeric(text):
        return _number(text, text)
    for group in groups:
        if group.name == text:
            return group.gid
    raise InvalidArgument(error)


def _numeric(text: str) -> bool:
    return text.isascii() and text.lstrip("+-").isdecimal()


def _number(text: str, whole: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 10 or int(text) > MAX_ID:
        raise InvalidArgument(f"invalid user or group id {whole!r}: uids and gids must be in range 0-{MAX_ID}")
    return int(text)


def _read(root_fd: int, path: str) -> list[str]:
    """The lines of a small regular text file in the root; none when it does not exist."""
    try:
        data = rooted.read_file(root_fd, path, MAX_FILE)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return []
        raise InvalidArgument(f"cannot read {path} of the container: {os.strerror(error.errno or 0)}") from error
    return [line for line in data.decode("utf-8", "replace").split("\n") if line and len(line) <= MAX_LINE]


def _accounts(lines: list[str]) -> list[_Account]:
    """Well-formed entries of passwd(5); a line with a number out of range is no entry."""
    found: list[_Account] = []
    for line in lines:
        parts = line.strip().split(":")
        if len(parts) >= 4 and parts[0] and _is_id(parts[2]) and _is_id(parts[3]):
            found.append(_Account(parts[0], int(parts[2]), int(parts[3]), parts[5] if len(parts) > 5 else ""))
    return found


def _groups(lines: list[str]) -> list[_Group]:
    found: list[_Group] = []
    for line in lines:
        parts = line.strip().split(":")
        if len(parts) >= 3 and parts[0] and _is_id(parts[2]):
            members = frozenset(parts[3].split(",")) if len(parts) > 3 else frozenset[str]()
            found.append(_Group(parts[0], int(parts[2]), members))
    return found


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= MAX_ID
