"""Help pages."""

from __future__ import annotations

import os
import textwrap

from corten.cli import directory
from corten.cli.values import REPEATED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from corten.cli.command import Command
    from corten.cli.flags import Flag

_LISTS = frozenset(
    ["weight-device", "rate-device", "iops-device", "attach", "env", "device-rule", "add-host", "ip-list", "label"]
)
_NAMES = {"sysctl": "map", **dict.fromkeys(_LISTS, "list")}


def program(flags: Iterable[Flag]) -> str:
    """The page of ``corten --help``."""
    common = [(name, directory.COMMANDS[name][1]) for name in directory.COMMON]
    others = [
        (name, entry[1])
        for name, entry in sorted(directory.COMMANDS.items())
        if " " not in name and name not in directory.COMMON
    ]
    return "\n".join(
        [
            "Usage:  corten [OPTIONS] COMMAND\n",
            "Containers, images, volumes and networks from the command line\n",
            _section("Common Commands", common),
            _section("Management Commands", sorted(directory.GROUPS.items())),
            _section("Commands", others),
            _flags("Global Options", flags),
            "Run 'corten COMMAND --help' for more information on a command.\n",
        ]
    )


def group(name: str) -> str:
    """The page of a group such as ``corten volume --help``."""
    hidden = {alias for aliases in directory.ALIASES.values() for alias in aliases[1:]}
    hidden |= {a for n, aliases in directory.ALIASES.items() if n.startswith(f"{name} ") for a in aliases}
    entries = [
        (path.partition(" ")[2], entry[1])
        for path, entry in sorted(directory.COMMANDS.items())
        if path.startswith(f"{name} ") and path not in hidden
    ]
    return "\n".join(
        [
            f"Usage:  corten {name} COMMAND\n",
            f"{directory.GROUPS[name]}\n",
            _section("Commands", entries),
            f"Run 'corten {name} COMMAND --help' for more information on a command.\n",
        ]
    )


def command(path: str, command: Command) -> str:
    """The page of one command."""
    forms = [f"corten {path} {usage}".rstrip() for usage in command.usage]
    parts = ["Usage:  " + "\n        ".join(forms) + "\n", directory.COMMANDS[path][1] + "\n"]
    if command.about:
        parts.append(command.about.strip() + "\n")
    names = _all_names(path)
    if len(names) > 1:
        parts.append("Aliases:\n  " + ", ".join(f"corten {name}" for name in names) + "\n")
    if any(not flag.hidden for flag in command.flags):
        parts.append(_flags("Options", command.flags))
    return "\n".join(parts).rstrip("\n") + "\n"


def _all_names(path: str) -> list[str]:
    for name, aliases in directory.ALIASES.items():
        if path == name or path in aliases:
            return [*aliases, name]
    return [path]


def _section(title: str, entries: Iterable[tuple[str, str]]) -> str:
    return f"{title}:\n" + "".join(f"  {name:<11} {text}\n" for name, text in entries)


def _flags(title: str, flags: Iterable[Flag]) -> str:
    shown = sorted((flag for flag in flags if not flag.hidden), key=lambda flag: flag.name)
    heads = [_head(flag) for flag in shown]
    indent = max(map(len, heads)) + 3
    room = max(30, _terminal_width() - indent)
    lines = [f"{title}:"]
    for head, flag in zip(heads, shown, strict=True):
        first, *rest = textwrap.wrap(flag.help + _default(flag), room) or [""]
        lines.append(f"{head:<{indent}}{first}")
        lines.extend(" " * indent + line for line in rest)
    return "\n".join(lines) + "\n"


def _head(flag: Flag) -> str:
    short = f"-{flag.short}, " if flag.short else "    "
    kind = "" if flag.kind == "bool" else " " + _NAMES.get(flag.kind, flag.kind)
    return f"  {short}--{flag.name}{kind}"


def _default(flag: Flag) -> str:
    if flag.shown:
        return f" (default {flag.shown})"
    if flag.default in (None, "", 0, False) or flag.kind in REPEATED:
        return ""
    value = f'"{flag.default}"' if isinstance(flag.default, str) else str(flag.default).lower()
    return f" (default {value})"


def _terminal_width() -> int:
    try:
        return min(os.get_terminal_size(1).columns, 120)
    except OSError:
        return 80
