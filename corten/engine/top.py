"""Processes of a container, as ``ps`` on the host sees them (docker top)."""

import re
import shlex
import subprocess
from collections.abc import Collection

from corten import errors

_FORBIDDEN = re.compile(r"\s+(\S*)pid\s*=\s*", re.IGNORECASE)
PS_TIMEOUT = 10.0


def top(ps_args: str, pids: Collection[int]) -> tuple[list[str], list[list[str]]]:
    """(column titles, one row per process of *pids*). Any thread; InvalidArgument when ps refuses the arguments."""
    for match in _FORBIDDEN.finditer(" " + ps_args):
        if match.group(1).lower() != "":
            raise errors.InvalidArgument(f'specifying "{match.group(0).strip()}" is not allowed')
    try:
        words = shlex.split(ps_args or "-ef")
    except ValueError as error:
        raise errors.InvalidArgument(f"ps arguments: {error}") from error
    try:
        done = subprocess.run(["ps", *words], capture_output=True, timeout=PS_TIMEOUT, check=False)
    except FileNotFoundError as error:
        raise errors.System("the program ps is not installed on the host (Debian: procps)") from error
    if done.returncode != 0:
        text = done.stderr.decode("utf-8", "replace").strip()
        raise errors.InvalidArgument(f"error running ps: {text or done.returncode}")
    return select(done.stdout.decode("utf-8", "replace"), pids)


def select(output: str, pids: Collection[int]) -> tuple[list[str], list[list[str]]]:
    """The rows of *output* whose PID column is among *pids*; the last column keeps its spaces."""
    lines = output.splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise errors.InvalidArgument("Couldn't find PID field in ps output")
    column = titles.index("PID")
    rows = []
    for line in lines[1:]:
        fields = line.split(None, len(titles) - 1)
        if len(fields) > column and fields[column].isdigit() and int(fields[column]) in pids:
            rows.append(fields)
    return titles, rows
